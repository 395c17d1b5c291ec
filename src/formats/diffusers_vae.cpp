#include "rae/formats/diffusers_vae.hpp"

#include <filesystem>

#include "formats/check_tensors.hpp"
#include "formats/config_sizes.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/nn/outline.hpp"
#include "rae/spec/limits.hpp"

namespace rae {
namespace {

namespace fs = std::filesystem;

/// Throws ConfigError unless a key is missing or has this value.
void require_value(const ConfigNode& node, const char* key, const std::string& value) {
  if (const ConfigNode* found = node.find(key);
      found != nullptr && !(found->is_string() && found->as_string() == value))
    found->fail_expected(value);
}
void require_true(const ConfigNode& node, const char* key) {
  if (!node.get_or(key, true)) node.at(key).fail_expected("true");
}

ConvDecoderConfig decoder_config(const ConfigNode& node) {
  require_value(node, "act_fn", "silu");
  require_true(node, "use_post_quant_conv");
  require_true(node, "mid_block_add_attention");
  if (const ConfigNode* types = node.find("up_block_types"))
    for (const ConfigNode& type : types->elements())
      if (!type.is_string() || type.as_string() != "UpDecoderBlock2D")
        type.fail_expected("UpDecoderBlock2D");
  ConvDecoderConfig c;
  c.latent_channels = detail::size_or(node, "latent_channels", 4, kMaxWidth);
  c.channels = detail::size_or(node, "out_channels", 3, 4);
  c.layers_per_block = detail::size_or(node, "layers_per_block", 1, kMaxLayers);
  c.groups = detail::size_or(node, "norm_num_groups", 32, kMaxWidth);
  c.block_channels.clear();
  const ConfigNode& widths = node.at("block_out_channels");
  constexpr std::size_t kMostResolutions = 10;  // pictures of 512 pixels for one of a latent
  if (widths.elements().empty() || widths.elements().size() > kMostResolutions)
    widths.fail_expected("a list of 1 to 10 numbers of channels");
  for (const ConfigNode& width : widths.elements()) {
    c.block_channels.push_back(width.as_integer(1, kMaxWidth));
    if (c.block_channels.back() % c.groups != 0)
      width.fail_expected(concat("a multiple of norm_num_groups, ", c.groups));
  }
  return c;
}

/// A finite number other than 0, or `fallback` where the key is missing or null.
double factor_or(const ConfigNode& node, const char* key, double fallback, bool zero_allowed) {
  const ConfigNode* found = node.find(key);
  if (found == nullptr || found->is_null()) return fallback;
  const double value = found->as_number();
  if (!(value >= -1e6 && value <= 1e6) || (value == 0 && !zero_allowed))
    found->fail_expected("a finite number other than 0");
  return value;
}

}  // namespace

Tensor<float> DiffusersVaeDecoder::decode(const Tensor<float>& latents) const {
  Tensor<float> unscaled(latents.shape());  // (B, C, h, w)
  for (index_t i = 0; i < unscaled.numel(); ++i)
    unscaled[i] =
        static_cast<float>(static_cast<double>(latents[i]) / scaling_factor + shift_factor);
  Tensor<float> pictures = network(unscaled);  // (B, channels, scale*h, scale*w)
  for (float& value : pictures.span()) value = value * 0.5f + 0.5f;
  return pictures;
}

DiffusersVaeDecoder load_diffusers_vae_decoder(const std::string& folder) {
  const ConfigNode node = ConfigNode::load((fs::path(folder) / "config.json").string());
  if (node.get_or("_class_name", "nothing") != "AutoencoderKL")
    node.fail_expected("a configuration whose _class_name is AutoencoderKL");
  const ConvDecoderConfig config = decoder_config(node);
  const double scaling = factor_or(node, "scaling_factor", 0.18215, false),
               shift = factor_or(node, "shift_factor", 0, true);

  const TensorSource tensors = TensorSource::open(folder);
  const bool older = tensors.contains("decoder.mid_block.attentions.0.query.weight");
  const TensorGroup group{tensors, older ? conv_decoder_names("query", "key", "value", "proj_attn")
                                         : conv_decoder_names()};
  detail::require_group(group, parameter_shapes<ConvDecoder>(config));
  DiffusersVaeDecoder out{ConvDecoder<Tensor<float>>(config), scaling, shift};
  fill_weights(out.network, group, "decoder");
  pack_parameters(out.network);
  return out;
}

}  // namespace rae
