#include "rae/formats/huggingface_encoder.hpp"

#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "formats/check_tensors.hpp"
#include "formats/config_sizes.hpp"
#include "rae/spec/model_config.hpp"

namespace rae {
namespace {

constexpr index_t kMaxImage = 1 << 14;

/// Defaults of one class of configurations.
struct Defaults {
  EncoderFamily family;
  index_t image_size, patch_size, registers;
  double layer_norm_eps;
  const char* hidden_act;
  index_t hidden_size = 768, num_heads = 12, intermediate_size = 3072;
};

Defaults defaults_of(const ConfigNode& node, const std::string& type) {
  if (type == "dinov2_with_registers") return {EncoderFamily::dinov2, 224, 16, 4, 1e-6, "gelu"};
  if (type == "dinov2") return {EncoderFamily::dinov2, 224, 14, 0, 1e-6, "gelu"};
  if (type == "siglip" || type == "siglip_vision_model")
    return {EncoderFamily::siglip2, 224, 16, 0, 1e-6, "gelu_pytorch_tanh"};
  if (type == "vit_mae") return {EncoderFamily::mae, 224, 16, 0, 1e-12, "gelu"};
  if (type == "siglip2" || type == "siglip2_vision_model")
    raise<ConfigError>(node.at("model_type").where(), ": '", type,
                       "' is SigLIP 2 for any resolution (NaFlex), which is not supported; ",
                       "use a model of fixed resolution, such as google/siglip2-base-patch16-256");
  if (type == "dinov3_vit")
    return {EncoderFamily::dinov3,
            224,
            16,
            0,
            1e-5,
            node.get_or("use_gated_mlp", false) ? "silu" : "gelu",
            384,
            6,
            1536};
  if (type.starts_with("dinov3"))
    raise<ConfigError>(node.at("model_type").where(), ": '", type,
                       "' is not a ViT; the encoders of DINOv3 that are supported are those of "
                       "model_type dinov3_vit");
  node.at("model_type")
      .fail_expected(
          "dinov3_vit, dinov2_with_registers, dinov2, siglip, siglip_vision_model or vit_mae");
}

double number_or(const ConfigNode& node, std::string_view key, double fallback, double lowest,
                 double highest) {
  const ConfigNode* found = node.find(key);
  if (found == nullptr || found->is_null()) return fallback;
  const double value = found->as_number();
  if (!(value >= lowest && value <= highest))
    found->fail_expected(concat("a number from ", lowest, " to ", highest));
  return value;
}

/// Throws ConfigError unless an option is absent or has the only supported value.
template <class T>
void require_option(const ConfigNode& node, std::string_view key, const T& value,
                    std::string_view shown) {
  const ConfigNode* found = node.find(key);
  if (found != nullptr && !found->is_null() && found->as<T>() != value)
    found->fail_expected(concat(shown, "; others are not supported"));
}

std::array<double, 3> three_numbers(const ConfigNode& node, std::string_view key, double lowest) {
  const ConfigNode& list = node.at(key);
  if (!list.is_list() || list.elements().size() != 3) list.fail_expected("a list of three numbers");
  std::array<double, 3> out{};
  for (std::size_t i = 0; i < 3; ++i) {
    out[i] = list.elements()[i].as_number();
    if (!(out[i] >= lowest && out[i] <= 1e6))
      list.elements()[i].fail_expected(concat("a number from ", lowest, " to 1e6"));
  }
  return out;
}

/// Throws FormatError unless the file has all tensors with the right shapes, and none that shows
/// that the configuration is that of another model.
void require_tensors(const PretrainedEncoder& encoder) {
  const TensorSource& tensors = encoder.file.tensors;
  detail::require_group(encoder.file, parameter_shapes<Encoder>(encoder.config));
  const auto beyond =
      encoder.file.names(concat("layers.", encoder.config.num_layers, ".norm1.weight")).front();
  if (detail::has_tensor(tensors, beyond))
    raise<FormatError>(tensors.origin(), ": has a tensor ", beyond, ", but config.json says ",
                       encoder.config.num_layers, " layers");
  if (const auto registers = encoder.file.names("register_tokens").front();
      encoder.config.is_dino() && encoder.config.registers == 0 &&
      detail::has_tensor(tensors, registers))
    raise<FormatError>(tensors.origin(), ": has a tensor ", registers,
                       ", but config.json is that of a model without registers");
}

}  // namespace

EncoderConfig parse_pretrained_config(const ConfigNode& whole) {
  if (const ConfigNode* name = whole.is_map() ? whole.find("_class_name") : nullptr;
      name != nullptr && !whole.contains("model_type"))
    raise<ConfigError>(name->where(), ": ", name->as_string().substr(0, 100),
                       " is a class of diffusers; expected the config.json of an encoder of "
                       "transformers, with a model_type");
  const std::string type = whole.get<std::string>("model_type");
  const Defaults defaults = defaults_of(whole, type);
  static const ConfigNode empty = ConfigNode::map();
  const ConfigNode* vision = type == "siglip" ? whole.find("vision_config") : nullptr;
  const ConfigNode& node = type != "siglip"                          ? whole
                           : vision != nullptr && !vision->is_null() ? *vision
                                                                     : empty;

  EncoderConfig c;
  c.family = defaults.family;
  c.patch_size = detail::size_or(node, "patch_size", defaults.patch_size, kMaxGrid);
  c.channels = detail::size_or(node, "num_channels", 3, 3);
  if (c.channels == 2) node.at("num_channels").fail_expected("1 (gray) or 3 (RGB)");
  c.hidden_size = detail::size_or(node, "hidden_size", defaults.hidden_size, kMaxWidth);
  c.num_layers = detail::size_or(node, "num_hidden_layers", 12, kMaxLayers);
  c.num_heads = detail::size_or(node, "num_attention_heads", defaults.num_heads, kMaxWidth);
  if (c.hidden_size % c.num_heads != 0)
    raise<ConfigError>(node.where(), ": hidden_size ", c.hidden_size, " does not divide into ",
                       c.num_heads, " heads");
  if (c.family == EncoderFamily::dinov2) {
    c.intermediate_size = static_cast<index_t>(static_cast<double>(c.hidden_size) *
                                               number_or(node, "mlp_ratio", 4, 1.0 / 16, 16));
    if (c.intermediate_size < 1)
      raise<ConfigError>(node.where(), ": mlp_ratio leaves no hidden unit");
    c.registers = defaults.registers;
    if (const ConfigNode* registers = node.find("num_register_tokens");
        defaults.registers > 0 && registers != nullptr)
      c.registers = registers->as_integer(1, kMaxGrid);
    require_option(node, "use_swiglu_ffn", false, "false (SwiGLU belongs to the giant model)");
  } else {
    c.registers = 0;
    c.intermediate_size =
        detail::size_or(node, "intermediate_size", defaults.intermediate_size, 16 * kMaxWidth);
  }
  if (c.family == EncoderFamily::dinov3) {
    if (const ConfigNode* registers = node.find("num_register_tokens"); registers != nullptr)
      c.registers = registers->as_integer(0, kMaxGrid);
    c.gated_mlp = node.get_or("use_gated_mlp", false);
    c.rope_theta = number_or(node, "rope_theta", 100, 1e-3, 1e9);
    if (c.hidden_size / c.num_heads % 4 != 0)
      raise<ConfigError>(node.where(), ": hidden_size ", c.hidden_size, " and ", c.num_heads,
                         " heads give heads of ", c.hidden_size / c.num_heads,
                         " elements; rotary positions need a multiple of 4");
  } else if (c.family != EncoderFamily::siglip2) {
    require_option(node, "qkv_bias", true, "true");
  }
  require_option<std::string>(node, "hidden_act", defaults.hidden_act,
                              concat("'", defaults.hidden_act, "'"));
  c.layer_norm_eps = number_or(node, "layer_norm_eps", defaults.layer_norm_eps, 0, 1);
  const index_t image = detail::size_or(node, "image_size", defaults.image_size, kMaxImage);
  c.table_h = c.table_w = image / c.patch_size;
  if (c.table_h < 1 || c.table_h > kMaxGrid)
    raise<ConfigError>(node.where(), ": image_size ", image, " and patch_size ", c.patch_size,
                       " give a table of positions with a side of ", c.table_h, "; expected 1 to ",
                       kMaxGrid);
  return c;
}

namespace {

/// Zeros for the biases that a config.json of DINOv3 says the model does not have: by default those
/// of the keys. A tensor that the file has nevertheless is not used, as in the class of
/// transformers.
TensorSource with_absent_biases(const TensorSource& tensors, const ConfigNode& node,
                                const EncoderConfig& c, const std::string& prefix) {
  std::map<std::string, Tensor<float>> zeros;
  std::set<std::string> replaced;
  const auto add = [&](std::string_view key, bool fallback,
                       const std::vector<std::pair<std::string, index_t>>& layers) {
    if (node.get_or(std::string(key), fallback)) return;
    for (index_t i = 0; i < c.num_layers; ++i)
      for (const auto& [name, width] : layers) {
        const std::string full = concat(prefix, "layer.", i, ".", name, ".bias");
        zeros.emplace(full, Tensor<float>::zeros(Shape{width}));
        replaced.insert(full);
      }
  };
  const index_t d = c.hidden_size, f = c.intermediate_size;
  add("query_bias", true, {{"attention.q_proj", d}});
  add("key_bias", false, {{"attention.k_proj", d}});
  add("value_bias", true, {{"attention.v_proj", d}});
  add("proj_bias", true, {{"attention.o_proj", d}});
  if (c.gated_mlp)
    add("mlp_bias", true, {{"mlp.gate_proj", f}, {"mlp.up_proj", f}, {"mlp.down_proj", d}});
  else
    add("mlp_bias", true, {{"mlp.up_proj", f}, {"mlp.down_proj", d}});
  return zeros.empty() ? tensors : tensors.without(replaced).with(zeros);
}

}  // namespace

PixelNorm parse_preprocessor_config(const ConfigNode& node) {
  require_option(node, "do_rescale", true, "true");
  if (const double scale = number_or(node, "rescale_factor", 1 / 255.0, 0, 1);
      std::abs(scale * 255 - 1) > 1e-6)
    node.at("rescale_factor").fail_expected("1/255");
  if (!node.get_or("do_normalize", true)) return {{0, 0, 0}, {1, 1, 1}};
  return {three_numbers(node, "image_mean", -1e6), three_numbers(node, "image_std", 1e-6)};
}

PretrainedEncoder open_encoder_folder(const std::string& folder) {
  namespace fs = std::filesystem;
  const ConfigNode node = ConfigNode::load((fs::path(folder) / "config.json").string());
  const EncoderConfig config = parse_pretrained_config(node);
  PixelNorm pixels;
  if (config.family == EncoderFamily::siglip2) pixels = {{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}};
  std::error_code none;
  if (const fs::path path = fs::path(folder) / "preprocessor_config.json"; fs::exists(path, none))
    pixels = parse_preprocessor_config(ConfigNode::load(path.string()));
  TensorSource tensors = TensorSource::open(folder).weights();
  const std::string prefix = detail::encoder_prefix(tensors, config.family);
  if (config.family == EncoderFamily::dinov3)
    tensors = with_absent_biases(tensors, node, config, prefix);
  PretrainedEncoder out{
      config, pixels, {std::move(tensors), encoder_names(config.family, prefix, config.gated_mlp)}};
  require_tensors(out);
  return out;
}

}  // namespace rae
