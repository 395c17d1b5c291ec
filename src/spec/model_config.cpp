#include "rae/spec/model_config.hpp"

#include <cmath>
#include <set>

#include "io/config_values.hpp"
#include "rae/io/image.hpp"

namespace rae {
namespace {

using detail::given;
using detail::named;
using detail::number_in;
using detail::size_in;

index_t channels_in(const ConfigNode& node) {
  const index_t channels = size_in(node, "channels", 1, 3);
  if (channels == 2) node.at("channels").fail_expected("1 (gray) or 3 (RGB)");
  return channels;
}

void require_heads(const ConfigNode& node, std::string_view where, index_t width, index_t heads) {
  if (width % heads != 0)
    raise<ConfigError>(node.where(), ": ", where, " ", width, " does not divide into ", heads,
                       " heads");
}

void require_transformer(const ConfigNode& node, std::string_view where, index_t width,
                         index_t heads, bool rope, double mlp_ratio) {
  require_heads(node, where, width, heads);
  if (rope && width / heads % 4 != 0)
    raise<ConfigError>(node.where(), ": use_rope needs heads whose width is a multiple of 4, got ",
                       width, " / ", heads);
  if (static_cast<double>(width) * mlp_ratio < 2)
    raise<ConfigError>(node.where(), ": mlp_ratio ", mlp_ratio, " leaves no hidden unit");
}

/// Two sizes, the backbone's and the head's.
void pair_in(const ConfigNode& node, std::string_view key, index_t highest, index_t (&out)[2]) {
  const ConfigNode& list = node.at(key);
  if (!list.is_list() || list.elements().size() != 2)
    list.fail_expected("a list of two integers, backbone and head");
  for (std::size_t i = 0; i < 2; ++i) out[i] = list.elements()[i].as_integer(1, highest);
}

ConfigNode pair_of(const index_t (&values)[2]) { return ConfigNode::list({values[0], values[1]}); }

ConfigNode channels_of(const std::array<double, 3>& values, index_t channels) {
  ConfigNode::List list;
  for (index_t i = 0; i < channels; ++i) list.emplace_back(values[static_cast<std::size_t>(i)]);
  return ConfigNode::list(std::move(list));
}

std::array<double, 3> channels_from(const ConfigNode& node, std::string_view key, index_t channels,
                                    double lowest) {
  const ConfigNode& list = node.at(key);
  if (!list.is_list() || static_cast<index_t>(list.elements().size()) != channels)
    list.fail_expected(concat("a list of one number for each of ", channels, " channels"));
  std::array<double, 3> out{};
  for (std::size_t i = 0; i < out.size(); ++i) {
    const ConfigNode& element = list.elements()[i < list.elements().size() ? i : 0];
    out[i] = element.as_number();
    if (!(out[i] >= lowest && std::abs(out[i]) <= 1e6))
      element.fail_expected(concat("a number from ", lowest, " to 1e6"));
  }
  return out;
}

PixelNorm parse_pixels(const ConfigNode& node, index_t channels) {
  require_keys_known(node, {"mean", "std"});
  return {channels_from(node, "mean", channels, -1e6), channels_from(node, "std", channels, 1e-6)};
}

std::vector<std::string> parse_class_names(const ConfigNode& node) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const ConfigNode& element : node.elements()) {
    const std::string& name = element.as_string();
    if (name.empty() || name.size() > 200) element.fail_expected("a name of 1 to 200 bytes");
    if (!seen.insert(name).second)
      raise<ConfigError>(element.where(), ": the class '", name, "' appears twice");
    out.push_back(name);
  }
  return out;
}

/// The model that the samplers call must take the latents that the encoder makes.
void require_latents(const std::string& where, const char* part, const Shape& takes,
                     const Shape& latent) {
  if (!(takes == latent))
    raise<ConfigError>(where, ": ", part, ": takes ", takes[0], " x ", takes[1], " x ", takes[2],
                       ", the encoder makes ", latent[0], " x ", latent[1], " x ", latent[2]);
}

/// The encoder's grid on the pictures that it sees.
void require_grid(const std::string& where, const ModelConfig& c) {
  const Shape input = c.encoder_input_shape();
  for (const index_t side : {input[1], input[2]})
    if (side % c.encoder.patch_size != 0)
      raise<ConfigError>(where, ": pictures of side ", side,
                         " do not divide into the encoder's patches of ", c.encoder.patch_size);
  const Shape latent = c.latent_shape();
  if (latent[1] > kMaxLatentGrid || latent[2] > kMaxLatentGrid ||
      latent[0] > kMaxLatentSize / (latent[1] * latent[2]))
    raise<ConfigError>(where, ": latents of ", latent[0], " x ", latent[1], " x ", latent[2],
                       " are too large; the limits are a grid of ", kMaxLatentGrid, " and ",
                       kMaxLatentSize, " elements");
}

void require_decoder(const std::string& where, const ModelConfig& c) {
  const DecoderConfig& d = *c.decoder;
  require_latents(where, "decoder", {d.in_dim, d.grid_h, d.grid_w}, c.latent_shape());
  const Shape image = c.image_shape();
  if (d.grid_h * d.patch_size != image[1] || d.grid_w * d.patch_size != image[2])
    raise<ConfigError>(where, ": decoder: ", d.grid_h, " x ", d.grid_w, " patches of ",
                       d.patch_size, " do not make the image_size ", image[1], " x ", image[2]);
  if (d.channels != c.encoder.channels)
    raise<ConfigError>(where, ": decoder: ", d.channels, " channels, the encoder has ",
                       c.encoder.channels);
}

void require_dit(const std::string& where, const ModelConfig& c) {
  const Shape latent = c.latent_shape();
  if (c.dit && c.lightning_dit)
    raise<ConfigError>(where, ": has a dit and a lightning_dit; a model has one of them");
  if (c.dit)
    require_latents(where, "dit", {c.dit->in_channels, c.dit->grid_h, c.dit->grid_w}, latent);
  if (c.lightning_dit)
    require_latents(
        where, "lightning_dit",
        {c.lightning_dit->in_channels, c.lightning_dit->input_h, c.lightning_dit->input_w}, latent);
  const bool any = c.dit || c.lightning_dit;
  if (c.guide && c.lightning_guide)
    raise<ConfigError>(where, ": has a guide and a lightning_guide; a model has one of them");
  if (c.has_guide() && !any)
    raise<ConfigError>(where, ": has a guide, but no dit that it could guide");
  const auto require_guide = [&](const char* name, const Shape& latents, index_t classes) {
    require_latents(where, name, latents, latent);
    if (classes != c.num_classes())
      raise<ConfigError>(where, ": the guide has ", classes, " classes, the dit ", c.num_classes());
  };
  if (const auto& g = c.guide)
    require_guide("guide", {g->in_channels, g->grid_h, g->grid_w}, g->num_classes);
  if (const auto& g = c.lightning_guide)
    require_guide("lightning_guide", {g->in_channels, g->input_h, g->input_w}, g->num_classes);
  if (!any) return;
  if (!c.class_names.empty() && static_cast<index_t>(c.class_names.size()) != c.num_classes())
    raise<ConfigError>(where, ": ", c.class_names.size(), " class_names, but the dit has ",
                       c.num_classes(), " classes");
  const bool guided = c.sampling.guidance.scale != 1.0f;
  const bool autoguided = c.sampling.autoguidance && c.sampling.autoguidance->scale != 1.0f;
  if (guided && !c.has_null_class())
    raise<ConfigError>(where,
                       ": sampling.guidance needs the null class, which a dit with "
                       "class_dropout_prob 0 does not have");
  if (autoguided && !c.has_guide())
    raise<ConfigError>(where,
                       ": sampling.autoguidance needs a guide, which this model does not have");
  if (guided && autoguided)
    raise<ConfigError>(where, ": sampling.guidance and sampling.autoguidance exclude each other");
}

/// The parts must fit each other: one latent shape, one picture.
void require_fit(const ConfigNode& node, const ModelConfig& c) {
  const std::string where = node.where();
  require_grid(where, c);
  if (c.decoder) require_decoder(where, c);
  require_dit(where, c);
}

}  // namespace

Shape ModelConfig::image_shape() const {
  return {encoder.channels, image_size, image_width > 0 ? image_width : image_size};
}

Shape ModelConfig::encoder_input_shape() const {
  if (encoder_size == 0) return image_shape();
  return {encoder.channels, encoder_size, encoder_width > 0 ? encoder_width : encoder_size};
}

Shape ModelConfig::latent_shape() const {
  if (encoder.patch_size < 1)
    raise<ConfigError>("latent_shape: the encoder's patch_size is ", encoder.patch_size);
  const Shape input = encoder_input_shape();
  return {encoder.hidden_size, input[1] / encoder.patch_size, input[2] / encoder.patch_size};
}

index_t ModelConfig::num_classes() const noexcept {
  return dit ? dit->num_classes : lightning_dit ? lightning_dit->num_classes : 0;
}

bool ModelConfig::has_null_class() const noexcept {
  return (dit             ? dit->class_dropout_prob
          : lightning_dit ? lightning_dit->class_dropout_prob
                          : 0.0) > 0;
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
  require_keys_known(node,
                     {"family", "patch_size", "channels", "hidden_size", "num_layers", "num_heads",
                      "intermediate_size", "table_h", "table_w", "layer_norm_eps", "registers"});
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
  c.layer_norm_eps = number_in(node, "layer_norm_eps",
                               c.family == EncoderFamily::mae ? 1e-12 : c.layer_norm_eps, 0, 1);
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
  require_keys_known(node, {"grid_h", "grid_w", "in_dim", "hidden_size", "num_layers", "num_heads",
                            "intermediate_size", "patch_size", "channels", "layer_norm_eps"});
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
  require_keys_known(node, {"grid_h", "grid_w", "in_channels", "hidden_size", "depth", "num_heads",
                            "mlp_ratio", "num_classes", "class_dropout_prob", "use_swiglu",
                            "use_rmsnorm", "use_rope", "use_qknorm", "use_pos_embed"});
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
  for (std::size_t i = 0; i < 2; ++i)
    require_transformer(node, i == 0 ? "the backbone's hidden_size" : "the head's hidden_size",
                        c.hidden_size[i], c.num_heads[i], c.use_rope, c.mlp_ratio);
  return c;
}

ConfigNode to_config(const LightningDitConfig& c) {
  return ConfigNode::map({{"input_h", c.input_h},
                          {"input_w", c.input_w},
                          {"patch_size", c.patch_size},
                          {"in_channels", c.in_channels},
                          {"hidden_size", c.hidden_size},
                          {"depth", c.depth},
                          {"num_heads", c.num_heads},
                          {"mlp_ratio", c.mlp_ratio},
                          {"num_classes", c.num_classes},
                          {"class_dropout_prob", c.class_dropout_prob},
                          {"learn_sigma", c.learn_sigma},
                          {"use_swiglu", c.use_swiglu},
                          {"use_rmsnorm", c.use_rmsnorm},
                          {"use_rope", c.use_rope},
                          {"use_qknorm", c.use_qknorm}});
}

LightningDitConfig parse_lightning_dit_config(const ConfigNode& node) {
  require_keys_known(node, {"input_h", "input_w", "patch_size", "in_channels", "hidden_size",
                            "depth", "num_heads", "mlp_ratio", "num_classes", "class_dropout_prob",
                            "learn_sigma", "use_swiglu", "use_rmsnorm", "use_rope", "use_qknorm"});
  LightningDitConfig c;
  c.input_h = size_in(node, "input_h", 1, kMaxGrid);
  c.input_w = size_in(node, "input_w", 1, kMaxGrid);
  c.patch_size = node.contains("patch_size") ? size_in(node, "patch_size", 1, kMaxGrid) : 1;
  if (c.input_h % c.patch_size != 0 || c.input_w % c.patch_size != 0)
    raise<ConfigError>(node.where(), ": a latent of ", c.input_h, " x ", c.input_w,
                       " does not divide into patches of ", c.patch_size);
  c.in_channels = size_in(node, "in_channels", 1, kMaxWidth);
  c.hidden_size = size_in(node, "hidden_size", 1, kMaxWidth);
  c.depth = size_in(node, "depth", 1, kMaxLayers);
  c.num_heads = size_in(node, "num_heads", 1, kMaxWidth);
  c.mlp_ratio = number_in(node, "mlp_ratio", c.mlp_ratio, 0.0, kMaxMlpRatio);
  c.num_classes = size_in(node, "num_classes", 1, kMaxClasses);
  c.class_dropout_prob = number_in(node, "class_dropout_prob", c.class_dropout_prob, 0.0, 1.0);
  c.learn_sigma = node.get_or("learn_sigma", c.learn_sigma);
  c.use_swiglu = node.get_or("use_swiglu", c.use_swiglu);
  c.use_rmsnorm = node.get_or("use_rmsnorm", c.use_rmsnorm);
  c.use_rope = node.get_or("use_rope", c.use_rope);
  c.use_qknorm = node.get_or("use_qknorm", c.use_qknorm);
  require_transformer(node, "hidden_size", c.hidden_size, c.num_heads, c.use_rope, c.mlp_ratio);
  return c;
}

ConfigNode to_config(const ModelConfig& c) {
  ConfigNode out = ConfigNode::map(
      {{"name", c.name},
       {"image_size", c.image_size},
       {"encoder_size", c.encoder_size},
       {"pixels",
        ConfigNode::map(
            {{"mean", channels_of(c.pixels.mean, std::min<index_t>(3, c.encoder.channels))},
             {"std", channels_of(c.pixels.std, std::min<index_t>(3, c.encoder.channels))}})},
       {"encoder", to_config(c.encoder)}});
  if (c.image_width > 0) out.set("image_width", c.image_width);
  if (c.encoder_width > 0) out.set("encoder_width", c.encoder_width);
  if (c.decoder) out.set("decoder", to_config(*c.decoder));
  if (c.dit) out.set("dit", to_config(*c.dit));
  if (c.lightning_dit) out.set("lightning_dit", to_config(*c.lightning_dit));
  if (c.guide) out.set("guide", to_config(*c.guide));
  if (c.lightning_guide) out.set("lightning_guide", to_config(*c.lightning_guide));
  out.set("path", name_of(c.path));
  if (c.path_formulas != PathFormulas::exact) out.set("path_formulas", name_of(c.path_formulas));
  out.set("time_shift", c.time_shift);
  out.set("prediction", name_of(c.prediction));
  out.set("sampling", to_config(c.sampling));
  ConfigNode::List names;
  for (const std::string& name : c.class_names) names.emplace_back(name);
  out.set("class_names", ConfigNode::list(std::move(names)));
  return out;
}

ModelConfig parse_model_config(const ConfigNode& node) {
  require_keys_known(
      node, {"name", "encoder", "encoder_size", "encoder_width", "pixels", "image_size",
             "image_width", "decoder", "dit", "lightning_dit", "guide", "lightning_guide", "path",
             "path_formulas", "time_shift", "prediction", "sampling", "class_names"});
  ModelConfig c;
  c.name = node.get<std::string>("name");
  c.image_size = size_in(node, "image_size", 1, kMaxModelImageSize);
  if (node.contains("image_width"))
    c.image_width = size_in(node, "image_width", 0, kMaxModelImageSize);
  if (node.contains("encoder_size"))
    c.encoder_size = size_in(node, "encoder_size", 0, kMaxModelImageSize);
  if (node.contains("encoder_width"))
    c.encoder_width = size_in(node, "encoder_width", 0, kMaxModelImageSize);
  if (c.encoder_width > 0 && c.encoder_size == 0)
    node.at("encoder_width").fail_expected("an encoder_size beside it");
  c.encoder = parse_encoder_config(node.at("encoder"));
  c.pixels = parse_pixels(node.at("pixels"), c.encoder.channels);
  if (const ConfigNode* decoder = given(node, "decoder"))
    c.decoder = parse_decoder_config(*decoder);
  if (const ConfigNode* dit = given(node, "dit")) c.dit = parse_dit_config(*dit);
  if (const ConfigNode* dit = given(node, "lightning_dit"))
    c.lightning_dit = parse_lightning_dit_config(*dit);
  if (const ConfigNode* guide = given(node, "guide")) c.guide = parse_dit_config(*guide);
  if (const ConfigNode* guide = given(node, "lightning_guide"))
    c.lightning_guide = parse_lightning_dit_config(*guide);
  c.path = named(node, "path", "linear", parse_path_kind);
  c.path_formulas = named(node, "path_formulas", "exact", parse_path_formulas);
  c.time_shift = number_in(node, "time_shift", c.time_shift, 1.0, 1e6);
  c.prediction = named(node, "prediction", "velocity", parse_prediction);
  if (const ConfigNode* sampling = given(node, "sampling"))
    c.sampling = parse_sampling_defaults(*sampling);
  if (const ConfigNode* names = given(node, "class_names"))
    c.class_names = parse_class_names(*names);
  require_fit(node, c);
  return c;
}

}  // namespace rae
