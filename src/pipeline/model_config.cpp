#include "rae/pipeline/model_config.hpp"

#include <cmath>
#include <set>

#include "rae/io/image.hpp"

namespace rae {
namespace {

constexpr index_t kMaxWidth = 1 << 16;
constexpr index_t kMaxLayers = 1024;
constexpr index_t kMaxClasses = 1 << 20;
constexpr index_t kMaxGrid = 1024;
constexpr double kMaxMlpRatio = 64;

index_t size_in(const ConfigNode& node, std::string_view key, index_t lowest, index_t highest) {
  return node.at(key).as_integer(lowest, highest);
}

double number_in(const ConfigNode& node, std::string_view key, double fallback, double lowest, double highest) {
  const ConfigNode* found = node.find(key);
  if (found == nullptr || found->is_null()) return fallback;
  const double value = found->as_number();
  if (!(value >= lowest && value <= highest)) found->fail_expected(concat("a number from ", lowest, " to ", highest));
  return value;
}

index_t channels_in(const ConfigNode& node) {
  const index_t channels = size_in(node, "channels", 1, 3);
  if (channels == 2) node.at("channels").fail_expected("1 (gray) or 3 (RGB)");
  return channels;
}

void require_heads(const ConfigNode& node, std::string_view where, index_t width, index_t heads) {
  if (width % heads != 0) raise<ConfigError>(node.where(), ": ", where, " ", width, " does not divide into ", heads, " heads");
}

/// Two sizes, the backbone's and the head's.
void pair_in(const ConfigNode& node, std::string_view key, index_t highest, index_t (&out)[2]) {
  const ConfigNode& list = node.at(key);
  if (!list.is_list() || list.elements().size() != 2) list.fail_expected("a list of two integers, backbone and head");
  for (std::size_t i = 0; i < 2; ++i) out[i] = list.elements()[i].as_integer(1, highest);
}

ConfigNode pair_of(const index_t (&values)[2]) { return ConfigNode::list({values[0], values[1]}); }

/// Parses a name; the error gets the place in the file.
template <class Parse>
auto named(const ConfigNode& node, std::string_view key, std::string_view fallback, Parse parse) {
  const ConfigNode* found = node.find(key);
  if (found == nullptr || found->is_null()) return parse(fallback);
  try {
    return parse(found->as_string());
  } catch (const ArgumentError& error) {
    raise<ConfigError>(found->where(), ": ", error.what());
  }
}

ConfigNode channels_of(const std::array<double, 3>& values, index_t channels) {
  ConfigNode::List list;
  for (index_t i = 0; i < channels; ++i) list.emplace_back(values[static_cast<std::size_t>(i)]);
  return ConfigNode::list(std::move(list));
}

std::array<double, 3> channels_from(const ConfigNode& node, std::string_view key, index_t channels, double lowest) {
  const ConfigNode& list = node.at(key);
  if (!list.is_list() || static_cast<index_t>(list.elements().size()) != channels)
    list.fail_expected(concat("a list of one number for each of ", channels, " channels"));
  std::array<double, 3> out{};
  for (std::size_t i = 0; i < out.size(); ++i) {
    const ConfigNode& element = list.elements()[i < list.elements().size() ? i : 0];
    out[i] = element.as_number();
    if (!(out[i] >= lowest && std::abs(out[i]) <= 1e6)) element.fail_expected(concat("a number from ", lowest, " to 1e6"));
  }
  return out;
}

PixelNorm parse_pixels(const ConfigNode& node, index_t channels) {
  require_keys_known(node, {"mean", "std"});
  return {channels_from(node, "mean", channels, -1e6), channels_from(node, "std", channels, 1e-6)};
}

SamplingDefaults parse_sampling(const ConfigNode& node) {
  require_keys_known(node, {"steps", "solver", "guidance"});
  SamplingDefaults out;
  if (node.contains("steps")) out.steps = size_in(node, "steps", 1, kMaxSamplingSteps);
  out.solver = named(node, "solver", "euler", parse_solver);
  if (const ConfigNode* guidance = node.find("guidance"); guidance != nullptr && !guidance->is_null()) {
    require_keys_known(*guidance, {"scale", "t_min", "t_max"});
    out.guidance.scale = static_cast<float>(number_in(*guidance, "scale", 1.0, 0.0, 1000.0));
    out.guidance.t_min = static_cast<float>(number_in(*guidance, "t_min", 0.0, 0.0, 1.0));
    out.guidance.t_max = static_cast<float>(number_in(*guidance, "t_max", 1.0, 0.0, 1.0));
    if (out.guidance.t_min > out.guidance.t_max) raise<ConfigError>(guidance->where(), ": t_min is above t_max");
  }
  return out;
}

std::vector<std::string> parse_class_names(const ConfigNode& node) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const ConfigNode& element : node.elements()) {
    const std::string& name = element.as_string();
    if (name.empty() || name.size() > 200) element.fail_expected("a name of 1 to 200 bytes");
    if (!seen.insert(name).second) raise<ConfigError>(element.where(), ": the class '", name, "' appears twice");
    out.push_back(name);
  }
  return out;
}

/// The parts must fit each other: one latent shape, one picture.
void require_fit(const ConfigNode& node, const ModelConfig& c) {
  const std::string where = node.where();
  const index_t side = c.encoder_size > 0 ? c.encoder_size : c.image_size;
  if (side % c.encoder.patch_size != 0)
    raise<ConfigError>(where, ": pictures of side ", side, " do not divide into the encoder's patches of ", c.encoder.patch_size);
  const index_t grid = side / c.encoder.patch_size, width = c.encoder.hidden_size;
  if (grid > kMaxLatentGrid || width > kMaxLatentSize / (grid * grid))
    raise<ConfigError>(where, ": latents of ", width, " x ", grid, " x ", grid, " are too large; the limits are a grid of ", kMaxLatentGrid,
                       " and ", kMaxLatentSize, " elements");
  if (c.decoder) {
    const DecoderConfig& d = *c.decoder;
    if (d.in_dim != width || d.grid_h != grid || d.grid_w != grid)
      raise<ConfigError>(where, ": decoder: takes ", d.in_dim, " x ", d.grid_h, " x ", d.grid_w, ", the encoder makes ", width, " x ", grid,
                         " x ", grid);
    if (grid * d.patch_size != c.image_size)
      raise<ConfigError>(where, ": decoder: ", grid, " patches of ", d.patch_size, " do not make the image_size ", c.image_size);
    if (d.channels != c.encoder.channels)
      raise<ConfigError>(where, ": decoder: ", d.channels, " channels, the encoder has ", c.encoder.channels);
  }
  if (!c.dit) {
    return;
  }
  const DitDhConfig& d = *c.dit;
  if (d.in_channels != width || d.grid_h != grid || d.grid_w != grid)
    raise<ConfigError>(where, ": dit: takes ", d.in_channels, " x ", d.grid_h, " x ", d.grid_w, ", the encoder makes ", width, " x ", grid,
                       " x ", grid);
  if (!c.class_names.empty() && static_cast<index_t>(c.class_names.size()) != d.num_classes)
    raise<ConfigError>(where, ": ", c.class_names.size(), " class_names, but the dit has ", d.num_classes, " classes");
  if (c.sampling.guidance.scale != 1.0f && !(d.class_dropout_prob > 0))
    raise<ConfigError>(where, ": sampling.guidance needs the null class, which a dit with class_dropout_prob 0 does not have");
}

}  // namespace

Shape ModelConfig::latent_shape() const {
  if (encoder.patch_size < 1) raise<ConfigError>("latent_shape: the encoder's patch_size is ", encoder.patch_size);
  const index_t side = (encoder_size > 0 ? encoder_size : image_size) / encoder.patch_size;
  return {encoder.hidden_size, side, side};
}

std::string_view name_of(EncoderFamily family) noexcept {
  constexpr std::string_view kNames[] = {"dinov2", "siglip2", "mae"};
  return kNames[static_cast<std::size_t>(family)];
}

EncoderFamily parse_encoder_family(std::string_view name) {
  for (const EncoderFamily f : {EncoderFamily::dinov2, EncoderFamily::siglip2, EncoderFamily::mae})
    if (name == name_of(f)) return f;
  raise<ArgumentError>("unknown encoder family '", name, "': expected dinov2, siglip2 or mae");
}

ConfigNode to_config(const EncoderConfig& c) {
  ConfigNode out = ConfigNode::map({{"family", name_of(c.family)},
                                    {"patch_size", c.patch_size},
                                    {"channels", c.channels},
                                    {"hidden_size", c.hidden_size},
                                    {"num_layers", c.num_layers},
                                    {"num_heads", c.num_heads},
                                    {"intermediate_size", c.intermediate_size},
                                    {"table_h", c.table_h},
                                    {"table_w", c.table_w},
                                    {"layer_norm_eps", c.layer_norm_eps}});
  if (c.family == EncoderFamily::dinov2) out.set("registers", c.registers);
  return out;
}

EncoderConfig parse_encoder_config(const ConfigNode& node) {
  require_keys_known(node, {"family", "patch_size", "channels", "hidden_size", "num_layers", "num_heads", "intermediate_size", "table_h",
                            "table_w", "layer_norm_eps", "registers"});
  EncoderConfig c;
  (void)node.at("family");
  c.family = named(node, "family", "", parse_encoder_family);
  c.patch_size = size_in(node, "patch_size", 1, kMaxGrid);
  c.channels = channels_in(node);
  c.hidden_size = size_in(node, "hidden_size", 1, kMaxWidth);
  c.num_layers = size_in(node, "num_layers", 1, kMaxLayers);
  c.num_heads = size_in(node, "num_heads", 1, kMaxWidth);
  c.intermediate_size = size_in(node, "intermediate_size", 1, 16 * kMaxWidth);
  c.table_h = size_in(node, "table_h", 1, kMaxGrid);
  c.table_w = size_in(node, "table_w", 1, kMaxGrid);
  c.layer_norm_eps = number_in(node, "layer_norm_eps", c.family == EncoderFamily::mae ? 1e-12 : c.layer_norm_eps, 0, 1);
  if (node.contains("registers")) c.registers = size_in(node, "registers", 0, kMaxGrid);
  require_heads(node, "hidden_size", c.hidden_size, c.num_heads);
  return c;
}

ConfigNode to_config(const DecoderConfig& c) {
  return ConfigNode::map({{"grid_h", c.grid_h},
                          {"grid_w", c.grid_w},
                          {"in_dim", c.in_dim},
                          {"hidden_size", c.hidden_size},
                          {"num_layers", c.num_layers},
                          {"num_heads", c.num_heads},
                          {"intermediate_size", c.intermediate_size},
                          {"patch_size", c.patch_size},
                          {"channels", c.channels},
                          {"layer_norm_eps", c.layer_norm_eps}});
}

DecoderConfig parse_decoder_config(const ConfigNode& node) {
  require_keys_known(node, {"grid_h", "grid_w", "in_dim", "hidden_size", "num_layers", "num_heads", "intermediate_size", "patch_size",
                            "channels", "layer_norm_eps"});
  DecoderConfig c;
  c.grid_h = size_in(node, "grid_h", 1, kMaxGrid);
  c.grid_w = size_in(node, "grid_w", 1, kMaxGrid);
  c.in_dim = size_in(node, "in_dim", 1, kMaxWidth);
  c.hidden_size = size_in(node, "hidden_size", 1, kMaxWidth);
  c.num_layers = size_in(node, "num_layers", 1, kMaxLayers);
  c.num_heads = size_in(node, "num_heads", 1, kMaxWidth);
  c.intermediate_size = size_in(node, "intermediate_size", 1, 16 * kMaxWidth);
  c.patch_size = size_in(node, "patch_size", 1, kMaxGrid);
  c.channels = channels_in(node);
  c.layer_norm_eps = number_in(node, "layer_norm_eps", c.layer_norm_eps, 0, 1);
  require_heads(node, "hidden_size", c.hidden_size, c.num_heads);
  return c;
}

ConfigNode to_config(const DitDhConfig& c) {
  return ConfigNode::map({{"grid_h", c.grid_h},
                          {"grid_w", c.grid_w},
                          {"in_channels", c.in_channels},
                          {"hidden_size", pair_of(c.hidden_size)},
                          {"depth", pair_of(c.depth)},
                          {"num_heads", pair_of(c.num_heads)},
                          {"mlp_ratio", c.mlp_ratio},
                          {"num_classes", c.num_classes},
                          {"class_dropout_prob", c.class_dropout_prob},
                          {"use_swiglu", c.use_swiglu},
                          {"use_rmsnorm", c.use_rmsnorm},
                          {"use_rope", c.use_rope},
                          {"use_qknorm", c.use_qknorm},
                          {"use_pos_embed", c.use_pos_embed}});
}

DitDhConfig parse_dit_config(const ConfigNode& node) {
  require_keys_known(node, {"grid_h", "grid_w", "in_channels", "hidden_size", "depth", "num_heads", "mlp_ratio", "num_classes",
                            "class_dropout_prob", "use_swiglu", "use_rmsnorm", "use_rope", "use_qknorm", "use_pos_embed"});
  DitDhConfig c;
  c.grid_h = size_in(node, "grid_h", 1, kMaxGrid);
  c.grid_w = size_in(node, "grid_w", 1, kMaxGrid);
  c.in_channels = size_in(node, "in_channels", 1, kMaxWidth);
  pair_in(node, "hidden_size", kMaxWidth, c.hidden_size);
  pair_in(node, "depth", kMaxLayers, c.depth);
  pair_in(node, "num_heads", kMaxWidth, c.num_heads);
  c.mlp_ratio = number_in(node, "mlp_ratio", c.mlp_ratio, 0.0, kMaxMlpRatio);
  c.num_classes = size_in(node, "num_classes", 1, kMaxClasses);
  c.class_dropout_prob = number_in(node, "class_dropout_prob", c.class_dropout_prob, 0.0, 1.0);
  c.use_swiglu = node.get_or("use_swiglu", c.use_swiglu);
  c.use_rmsnorm = node.get_or("use_rmsnorm", c.use_rmsnorm);
  c.use_rope = node.get_or("use_rope", c.use_rope);
  c.use_qknorm = node.get_or("use_qknorm", c.use_qknorm);
  c.use_pos_embed = node.get_or("use_pos_embed", c.use_pos_embed);
  for (std::size_t i = 0; i < 2; ++i) {
    require_heads(node, i == 0 ? "the backbone's hidden_size" : "the head's hidden_size", c.hidden_size[i], c.num_heads[i]);
    if (c.use_rope && c.hidden_size[i] / c.num_heads[i] % 4 != 0)
      raise<ConfigError>(node.where(), ": use_rope needs heads whose width is a multiple of 4, got ", c.hidden_size[i], " / ",
                         c.num_heads[i]);
    if (static_cast<double>(c.hidden_size[i]) * c.mlp_ratio < 2)
      raise<ConfigError>(node.where(), ": mlp_ratio ", c.mlp_ratio, " leaves no hidden unit");
  }
  return c;
}

ConfigNode to_config(const ModelConfig& c) {
  ConfigNode out =
      ConfigNode::map({{"name", c.name},
                       {"image_size", c.image_size},
                       {"encoder_size", c.encoder_size},
                       {"pixels", ConfigNode::map({{"mean", channels_of(c.pixels.mean, std::min<index_t>(3, c.encoder.channels))},
                                                   {"std", channels_of(c.pixels.std, std::min<index_t>(3, c.encoder.channels))}})},
                       {"encoder", to_config(c.encoder)}});
  if (c.decoder) out.set("decoder", to_config(*c.decoder));
  if (c.dit) out.set("dit", to_config(*c.dit));
  out.set("time_shift", c.time_shift);
  out.set("prediction", name_of(c.prediction));
  const Cfg& guidance = c.sampling.guidance;
  out.set("sampling", ConfigNode::map({{"steps", c.sampling.steps},
                                       {"solver", name_of(c.sampling.solver)},
                                       {"guidance", ConfigNode::map({{"scale", static_cast<double>(guidance.scale)},
                                                                     {"t_min", static_cast<double>(guidance.t_min)},
                                                                     {"t_max", static_cast<double>(guidance.t_max)}})}}));
  ConfigNode::List names;
  for (const std::string& name : c.class_names) names.emplace_back(name);
  out.set("class_names", ConfigNode::list(std::move(names)));
  return out;
}

ModelConfig parse_model_config(const ConfigNode& node) {
  require_keys_known(node, {"name", "encoder", "encoder_size", "pixels", "image_size", "decoder", "dit", "time_shift", "prediction",
                            "sampling", "class_names"});
  ModelConfig c;
  c.name = node.get<std::string>("name");
  c.image_size = size_in(node, "image_size", 1, kMaxModelImageSize);
  if (node.contains("encoder_size")) c.encoder_size = size_in(node, "encoder_size", 0, kMaxModelImageSize);
  c.encoder = parse_encoder_config(node.at("encoder"));
  c.pixels = parse_pixels(node.at("pixels"), c.encoder.channels);
  if (const ConfigNode* decoder = node.find("decoder"); decoder != nullptr && !decoder->is_null())
    c.decoder = parse_decoder_config(*decoder);
  if (const ConfigNode* dit = node.find("dit"); dit != nullptr && !dit->is_null()) c.dit = parse_dit_config(*dit);
  c.time_shift = number_in(node, "time_shift", c.time_shift, 1.0, 1e6);
  c.prediction = named(node, "prediction", "velocity", parse_prediction);
  // At t = 1, where sampling begins, noise and score say nothing about the velocity.
  if (c.prediction != Prediction::velocity && c.prediction != Prediction::data) node.at("prediction").fail_expected("velocity or data");
  if (const ConfigNode* sampling = node.find("sampling"); sampling != nullptr && !sampling->is_null())
    c.sampling = parse_sampling(*sampling);
  if (const ConfigNode* names = node.find("class_names"); names != nullptr && !names->is_null()) c.class_names = parse_class_names(*names);
  require_fit(node, c);
  return c;
}

namespace {

constexpr index_t linear_count(index_t in, index_t out) { return in * out + out; }

constexpr index_t vit_block_count(index_t d, index_t hidden, bool layer_scale) {
  return 4 * d + linear_count(d, 3 * d) + linear_count(d, d) + linear_count(d, hidden) + linear_count(hidden, d) +
         (layer_scale ? 2 * d : 0);
}

}  // namespace

index_t parameter_count(const EncoderConfig& c) {
  const index_t d = c.hidden_size;
  const index_t prefix = c.prefix_tokens(), table = c.table_h * c.table_w + (c.has_cls() ? 1 : 0);
  return linear_count(c.channels * c.patch_size * c.patch_size, d) + (prefix + table) * d +
         c.num_layers * vit_block_count(d, c.intermediate_size, c.family == EncoderFamily::dinov2);
}

index_t parameter_count(const DecoderConfig& c) {
  const index_t h = c.hidden_size;
  return (c.grid_h * c.grid_w + 2) * h + linear_count(c.in_dim, h) + c.num_layers * vit_block_count(h, c.intermediate_size, false) + 2 * h +
         linear_count(h, c.patch_size * c.patch_size * c.channels);
}

index_t parameter_count(const DitDhConfig& c) {
  const auto [h, d] = c.hidden_size;
  const index_t tokens = c.grid_h * c.grid_w, channels = c.in_channels, features = 2 * TimestepEmbed<Tensor<float>>::kFrequencies;
  index_t n = (c.use_pos_embed ? tokens * h : 0) + linear_count(channels, d) + linear_count(channels, h);
  if (h != d) n += linear_count(h, d);
  n += features / 2 + linear_count(features, h) + linear_count(h, h);
  n += (c.num_classes + (c.class_dropout_prob > 0 ? 1 : 0)) * h;
  for (std::size_t i = 0; i < 2; ++i) {
    const index_t width = c.hidden_size[i], norm = c.use_rmsnorm ? width : 0, head = width / c.num_heads[i];
    const auto wide = static_cast<index_t>(static_cast<double>(width) * c.mlp_ratio);
    const index_t hidden = c.use_swiglu ? static_cast<index_t>(2.0 / 3.0 * static_cast<double>(wide)) : wide;
    const index_t qk = c.use_qknorm ? 2 * head * (c.use_rmsnorm ? 1 : 2) : 0;
    n += c.depth[i] *
         (2 * norm + linear_count(width, 3 * width) + qk + linear_count(width, width) +
          linear_count(width, c.use_swiglu ? 2 * hidden : hidden) + linear_count(hidden, width) + linear_count(width, 6 * width));
  }
  return n + (c.use_rmsnorm ? d : 0) + linear_count(d, channels) + linear_count(d, 2 * d);
}

}  // namespace rae
