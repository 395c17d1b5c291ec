#include "rae/spec/model_config.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "io/config_values.hpp"
#include "io/suggestion.hpp"
#include "spec/model_keys.hpp"

namespace rae {
namespace {

using detail::given;
using detail::named;

void require_channels(const ConfigPlace& place, index_t channels) {
  require_size(place, channels, 1, 3);
  if (channels == 2)
    raise<ConfigError>(place.to_string(), ": expected 1 (gray) or 3 (RGB), got ", channels);
}

ConfigNode channels_of(const std::array<double, 3>& values, index_t channels) {
  ConfigNode::List list;
  for (index_t i = 0; i < channels; ++i) list.emplace_back(values[static_cast<std::size_t>(i)]);
  return ConfigNode::list(std::move(list));
}

std::array<double, 3> channels_from(const ConfigNode& node, std::string_view key,
                                    index_t channels) {
  const ConfigNode& list = node.at(key);
  if (!list.is_list() || static_cast<index_t>(list.elements().size()) != channels)
    list.fail_expected(concat("a list of one number for each of ", channels, " channels"));
  std::array<double, 3> out{};
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = list.elements()[i < list.elements().size() ? i : 0].as_number();
  return out;
}

PixelNorm parse_pixels(const ConfigNode& node, index_t channels) {
  require_keys_known(node, {"mean", "std"});
  return {channels_from(node, "mean", channels), channels_from(node, "std", channels)};
}

void require_pixels(const ConfigPlace& place, const PixelNorm& pixels, index_t channels) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(channels); ++i) {
    require_number((place / "mean")[i], pixels.mean[i], -1e6, 1e6);
    require_number((place / "std")[i], pixels.std[i], 1e-6, 1e6);
  }
}

/// Checks the layers whose tokens are averaged.
void require_latent_layers(const ConfigPlace& place, const EncoderConfig& c) {
  std::set<index_t> seen;
  for (std::size_t i = 0; i < c.latent_layers.size(); ++i) {
    require_size(place[i], c.latent_layers[i], 0, c.num_layers - 1);
    if (!seen.insert(c.latent_layers[i]).second)
      raise<ConfigError>(place[i].to_string(), ": the layer ", c.latent_layers[i],
                         " appears twice");
  }
  if (c.add_last_mean && c.latent_layers.empty())
    raise<ConfigError>(place.to_string(), ": add_last_mean needs latent_layers");
}

std::vector<std::string> parse_class_names(const ConfigNode& node) {
  std::vector<std::string> out;
  for (const ConfigNode& element : node.elements()) out.push_back(element.as_string());
  return out;
}

void require_class_names(const ConfigPlace& place, const std::vector<std::string>& names) {
  constexpr std::size_t kMaxBytes = 200;
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty() || names[i].size() > kMaxBytes)
      raise<ConfigError>(place[i].to_string(), ": expected a name of 1 to ", kMaxBytes,
                         " bytes, got ", names[i].size());
    if (!seen.insert(names[i]).second)
      raise<ConfigError>(place[i].to_string(), ": the class '", names[i], "' appears twice");
  }
}

/// Checks the sizes of pictures.
void require_pictures(const ConfigPlace& place, const ModelConfig& c) {
  require_size(place / "image_size", c.image_size, 1, kMaxModelImageSize);
  require_size(place / "image_width", c.image_width, 0, kMaxModelImageSize);
  require_size(place / "encoder_size", c.encoder_size, 0, kMaxModelImageSize);
  require_size(place / "encoder_width", c.encoder_width, 0, kMaxModelImageSize);
  if (c.encoder_width > 0 && c.encoder_size == 0)
    raise<ConfigError>((place / "encoder_width").to_string(),
                       ": needs an encoder_size as well, got ", c.encoder_width);
}

/// Throws ConfigError unless a network takes the latents that the encoder makes.
void require_latents(const std::string& where, std::string_view network, const Shape& takes,
                     const Shape& latent) {
  if (!(takes == latent))
    raise<ConfigError>(where, ": ", network, ": takes ", takes[0], " x ", takes[1], " x ", takes[2],
                       ", the encoder makes ", latent[0], " x ", latent[1], " x ", latent[2]);
}

/// Checks the encoder's grid on its pictures.
void require_grid(const std::string& where, const ModelConfig& c) {
  const Shape input = c.encoder_input_shape();
  for (const index_t side : {input[1], input[2]})
    if (side % c.encoder.patch_size() != 0)
      raise<ConfigError>(where, ": pictures of side ", side,
                         " do not divide into the encoder's patches of ", c.encoder.patch_size());
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
  if (d.channels != c.encoder.channels())
    raise<ConfigError>(where, ": decoder: ", d.channels, " channels, the encoder has ",
                       c.encoder.channels());
}

/// Checks that the guide has the same latents and classes as the network that it guides.
void require_guide(const std::string& where, const ModelConfig& c) {
  if (!c.dit) raise<ConfigError>(where, ": has a guide, but no dit to be guided");
  require_latents(where, c.guide->guide_name(), c.guide->latent_shape(), c.latent_shape());
  if (c.guide->num_classes() != c.num_classes())
    raise<ConfigError>(where, ": the guide has ", c.guide->num_classes(), " classes, the dit ",
                       c.num_classes());
}

/// Checks that the model has the null class or the guide that its default guidance needs.
void require_guidance(const std::string& where, const ModelConfig& c) {
  const bool guided = c.sampling.guidance.scale != 1.0f;
  const bool autoguided = c.sampling.autoguidance && c.sampling.autoguidance->scale != 1.0f;
  if (guided && !c.has_null_class())
    raise<ConfigError>(where,
                       ": sampling.guidance needs the null class, which a dit with "
                       "class_dropout_prob 0 does not have");
  if (autoguided && !c.guide)
    raise<ConfigError>(where,
                       ": sampling.autoguidance needs a guide, which this model does not have");
  if (guided && autoguided)
    raise<ConfigError>(where, ": sampling.guidance and sampling.autoguidance cannot be combined");
  if (!c.sampling.internal_guidance || !c.sampling.internal_guidance->enabled()) return;
  if (!c.dit->has_base_head())
    raise<ConfigError>(where,
                       ": sampling.internal_guidance needs a head on an intermediate layer "
                       "(base_depth), which this model's dit does not have");
  if (autoguided)
    raise<ConfigError>(where,
                       ": sampling.internal_guidance and sampling.autoguidance cannot be combined");
}

/// Checks that all networks have the same shapes of latents and pictures.
void require_fit(const std::string& where, const ModelConfig& c) {
  require_grid(where, c);
  if (c.decoder) require_decoder(where, c);
  if (c.dit) require_latents(where, c.dit->name(), c.dit->latent_shape(), c.latent_shape());
  if (c.guide) require_guide(where, c);
  if (!c.dit) return;
  if (!c.class_names.empty() && static_cast<index_t>(c.class_names.size()) != c.num_classes())
    raise<ConfigError>(where, ": ", c.class_names.size(), " class_names, but the dit has ",
                       c.num_classes(), " classes");
  require_guidance(where, c);
}

/// Refuses unknown keys. A map under an unknown key may be a diffusion network of a kind that is
/// not registered, so its message lists the registered kinds.
void require_model_keys(const ConfigNode& node) {
  std::vector<std::string_view> known(std::begin(detail::kModelKeys), std::end(detail::kModelKeys));
  std::string networks;
  for (const BackboneKind* kind : backbone_kinds()) {
    known.push_back(kind->name());
    known.push_back(kind->guide_name());
    networks += concat(networks.empty() ? "" : ", ", kind->name());
  }
  for (const auto& [key, value] : node.members())
    if (value.is_map() && std::find(known.begin(), known.end(), key) == known.end())
      raise<ConfigError>(value.where(), ": there is no key '", key.substr(0, 64),
                         "', and no diffusion network of this name is registered (known: ",
                         networks, ")", detail::suggestion(key, {known.begin(), known.end()}));
  require_keys_known(node, known);
}

/// The diffusion network under the key `name(kind)` of any kind; absent when there is none. Throws
/// ConfigError for more than one.
template <class Name>
std::optional<Backbone> parse_backbone(const ConfigNode& node, Name name) {
  std::optional<Backbone> out;
  std::string_view first;
  for (const BackboneKind* kind : backbone_kinds()) {
    const ConfigNode* found = given(node, name(*kind));
    if (found == nullptr) continue;
    if (out)
      raise<ConfigError>(node.where(), ": has a ", first, " and a ", name(*kind),
                         "; a model has only one of them");
    out = Backbone::parse(*kind, *found);
    first = name(*kind);
  }
  return out;
}

}  // namespace

Shape ModelConfig::image_shape() const {
  return {encoder.channels(), image_size, image_width > 0 ? image_width : image_size};
}

Shape ModelConfig::encoder_input_shape() const {
  if (encoder_size == 0) return image_shape();
  return {encoder.channels(), encoder_size, encoder_width > 0 ? encoder_width : encoder_size};
}

Shape ModelConfig::latent_shape() const {
  const auto& [channels, patch, width] = encoder.shape();
  if (patch < 1) raise<ConfigError>("latent_shape: the encoder's patch_size is ", patch);
  const Shape input = encoder_input_shape();
  return {width, input[1] / patch, input[2] / patch};
}

std::string_view name_of(EncoderFamily family) noexcept {
  constexpr std::string_view kNames[] = {"dinov2", "siglip2", "mae", "dinov3"};
  return kNames[static_cast<std::size_t>(family)];
}

EncoderFamily parse_encoder_family(std::string_view name) {
  for (const EncoderFamily f :
       {EncoderFamily::dinov2, EncoderFamily::siglip2, EncoderFamily::mae, EncoderFamily::dinov3})
    if (name == name_of(f)) return f;
  raise<ArgumentError>("unknown encoder family '", name,
                       "': expected dinov2, siglip2, mae or dinov3");
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
  if (c.is_dino()) out.set("registers", c.registers);
  if (c.gated_mlp) out.set("gated_mlp", true);
  if (c.has_rope()) out.set("rope_theta", c.rope_theta);
  if (!c.latent_layers.empty()) {
    out.set("latent_layers",
            ConfigNode::list(ConfigNode::List(c.latent_layers.begin(), c.latent_layers.end())));
    out.set("add_last_mean", c.add_last_mean);
  }
  if (c.final_affine) out.set("final_affine", true);
  if (c.final_eps > 0) out.set("final_eps", c.final_eps);
  return out;
}

void validate(const EncoderConfig& c, const ConfigPlace& place) {
  require_size(place / "patch_size", c.patch_size, 1, kMaxGrid);
  require_channels(place / "channels", c.channels);
  require_size(place / "hidden_size", c.hidden_size, 1, kMaxWidth);
  require_size(place / "num_layers", c.num_layers, 1, kMaxLayers);
  require_size(place / "num_heads", c.num_heads, 1, kMaxWidth);
  require_size(place / "intermediate_size", c.intermediate_size, 1, 16 * kMaxWidth);
  require_size(place / "table_h", c.table_h, 1, kMaxGrid);
  require_size(place / "table_w", c.table_w, 1, kMaxGrid);
  require_number(place / "layer_norm_eps", c.layer_norm_eps, 0, 1);
  require_size(place / "registers", c.registers, 0, kMaxGrid);
  require_heads(place, "hidden_size", c.hidden_size, c.num_heads);
  require_number(place / "final_eps", c.final_eps, 0, 1);
  if (c.gated_mlp && !c.has_rope())
    raise<ConfigError>((place / "gated_mlp").to_string(), ": only encoders of DINOv3 have it");
  if (c.has_rope()) {
    require_number(place / "rope_theta", c.rope_theta, 1e-3, 1e9);
    if (c.hidden_size / c.num_heads % 4 != 0)
      raise<ConfigError>(place.to_string(),
                         ": rotary positions need heads whose width is a multiple of 4, got ",
                         c.hidden_size, " / ", c.num_heads);
  }
  require_latent_layers(place / "latent_layers", c);
}

EncoderConfig parse_encoder_config(const ConfigNode& node) {
  require_keys_known(
      node, {"family", "patch_size", "channels", "hidden_size", "num_layers", "num_heads",
             "intermediate_size", "table_h", "table_w", "layer_norm_eps", "registers", "gated_mlp",
             "rope_theta", "latent_layers", "add_last_mean", "final_affine", "final_eps"});
  EncoderConfig c;
  (void)node.at("family");
  c.family = named(node, "family", "", parse_encoder_family);
  c.patch_size = node.get<index_t>("patch_size");
  c.channels = node.get<index_t>("channels");
  c.hidden_size = node.get<index_t>("hidden_size");
  c.num_layers = node.get<index_t>("num_layers");
  c.num_heads = node.get<index_t>("num_heads");
  c.intermediate_size = node.get<index_t>("intermediate_size");
  c.table_h = node.get<index_t>("table_h");
  c.table_w = node.get<index_t>("table_w");
  c.layer_norm_eps =
      node.get_or("layer_norm_eps", c.family == EncoderFamily::mae      ? 1e-12
                                    : c.family == EncoderFamily::dinov3 ? 1e-5
                                                                        : c.layer_norm_eps);
  if (node.contains("registers")) c.registers = node.get<index_t>("registers");
  c.gated_mlp = node.get_or("gated_mlp", c.gated_mlp);
  c.rope_theta = node.get_or("rope_theta", c.rope_theta);
  if (const ConfigNode* layers = given(node, "latent_layers"))
    for (const ConfigNode& layer : layers->elements())
      c.latent_layers.push_back(layer.as_integer());
  c.add_last_mean = node.get_or("add_last_mean", c.add_last_mean);
  c.final_affine = node.get_or("final_affine", c.final_affine);
  c.final_eps = node.get_or("final_eps", c.final_eps);
  validate(c, node.place());
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

void validate(const DecoderConfig& c, const ConfigPlace& place) {
  require_size(place / "grid_h", c.grid_h, 1, kMaxGrid);
  require_size(place / "grid_w", c.grid_w, 1, kMaxGrid);
  require_size(place / "in_dim", c.in_dim, 1, kMaxWidth);
  require_size(place / "hidden_size", c.hidden_size, 1, kMaxWidth);
  require_size(place / "num_layers", c.num_layers, 1, kMaxLayers);
  require_size(place / "num_heads", c.num_heads, 1, kMaxWidth);
  require_size(place / "intermediate_size", c.intermediate_size, 1, 16 * kMaxWidth);
  require_size(place / "patch_size", c.patch_size, 1, kMaxGrid);
  require_channels(place / "channels", c.channels);
  require_number(place / "layer_norm_eps", c.layer_norm_eps, 0, 1);
  require_heads(place, "hidden_size", c.hidden_size, c.num_heads);
}

DecoderConfig parse_decoder_config(const ConfigNode& node) {
  require_keys_known(node, {"grid_h", "grid_w", "in_dim", "hidden_size", "num_layers", "num_heads",
                            "intermediate_size", "patch_size", "channels", "layer_norm_eps"});
  DecoderConfig c;
  c.grid_h = node.get<index_t>("grid_h");
  c.grid_w = node.get<index_t>("grid_w");
  c.in_dim = node.get<index_t>("in_dim");
  c.hidden_size = node.get<index_t>("hidden_size");
  c.num_layers = node.get<index_t>("num_layers");
  c.num_heads = node.get<index_t>("num_heads");
  c.intermediate_size = node.get<index_t>("intermediate_size");
  c.patch_size = node.get<index_t>("patch_size");
  c.channels = node.get<index_t>("channels");
  c.layer_norm_eps = node.get_or("layer_norm_eps", c.layer_norm_eps);
  validate(c, node.place());
  return c;
}

ConfigNode to_config(const ModelConfig& c) {
  ConfigNode out = ConfigNode::map(
      {{"name", c.name},
       {"image_size", c.image_size},
       {"encoder_size", c.encoder_size},
       {"pixels",
        ConfigNode::map(
            {{"mean", channels_of(c.pixels.mean, std::min<index_t>(3, c.encoder.channels()))},
             {"std", channels_of(c.pixels.std, std::min<index_t>(3, c.encoder.channels()))}})},
       {"encoder", c.encoder.to_config()}});
  if (c.image_width > 0) out.set("image_width", c.image_width);
  if (c.encoder_width > 0) out.set("encoder_width", c.encoder_width);
  if (c.decoder) out.set("decoder", to_config(*c.decoder));
  if (c.decoder_output != PixelRange::normalized)
    out.set("decoder_output", name_of(c.decoder_output));
  if (c.dit) out.set(c.dit->name(), c.dit->to_config());
  if (c.guide) out.set(c.guide->guide_name(), c.guide->to_config());
  out.set("path", name_of(c.path));
  if (c.path_formulas != PathFormulas::exact) out.set("path_formulas", name_of(c.path_formulas));
  out.set("time_shift", c.time_shift);
  out.set("prediction", name_of(c.prediction));
  if (c.prediction_floor != kDataPredictionFloor) out.set("prediction_floor", c.prediction_floor);
  out.set("sampling", to_config(c.sampling));
  ConfigNode::List names;
  for (const std::string& name : c.class_names) names.emplace_back(name);
  out.set("class_names", ConfigNode::list(std::move(names)));
  return out;
}

void validate(const ModelConfig& c, const ConfigPlace& place) {
  require_pictures(place, c);
  c.encoder.validate(place / "encoder");
  require_pixels(place / "pixels", c.pixels, c.encoder.channels());
  if (c.decoder) validate(*c.decoder, place / "decoder");
  if (c.dit) c.dit->validate(place / c.dit->name());
  if (c.guide) c.guide->validate(place / c.guide->guide_name());
  require_number(place / "time_shift", c.time_shift, 1.0, 1e6);
  require_number(place / "prediction_floor", c.prediction_floor, 1e-6, 1.0);
  validate(c.sampling, place / "sampling");
  require_class_names(place / "class_names", c.class_names);
  require_fit(place.to_string(), c);
}

ModelConfig parse_model_config(const ConfigNode& node) {
  require_model_keys(node);
  ModelConfig c;
  c.name = node.get<std::string>("name");
  c.image_size = node.get<index_t>("image_size");
  if (node.contains("image_width")) c.image_width = node.get<index_t>("image_width");
  if (node.contains("encoder_size")) c.encoder_size = node.get<index_t>("encoder_size");
  if (node.contains("encoder_width")) c.encoder_width = node.get<index_t>("encoder_width");
  c.encoder = AnyEncoder::parse(node.at("encoder"));
  c.pixels = parse_pixels(node.at("pixels"), c.encoder.channels());
  if (const ConfigNode* decoder = given(node, "decoder"))
    c.decoder = parse_decoder_config(*decoder);
  c.decoder_output = named(node, "decoder_output", "normalized", parse_pixel_range);
  c.dit = parse_backbone(node, [](const BackboneKind& kind) { return kind.name(); });
  c.guide = parse_backbone(node, [](const BackboneKind& kind) { return kind.guide_name(); });
  c.path = named(node, "path", "linear", parse_path_kind);
  c.path_formulas = named(node, "path_formulas", "exact", parse_path_formulas);
  c.time_shift = node.get_or("time_shift", c.time_shift);
  c.prediction = named(node, "prediction", "velocity", parse_prediction);
  c.prediction_floor = node.get_or("prediction_floor", c.prediction_floor);
  if (const ConfigNode* sampling = given(node, "sampling"))
    c.sampling = parse_sampling_defaults(*sampling);
  if (const ConfigNode* names = given(node, "class_names"))
    c.class_names = parse_class_names(*names);
  validate(c, node.place());
  return c;
}

}  // namespace rae
