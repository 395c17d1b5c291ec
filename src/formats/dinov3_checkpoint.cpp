// Checkpoints of DINOv3 as facebookresearch/dinov3 publishes them, which RAEv2 loads.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "formats/check_tensors.hpp"
#include "rae/formats/huggingface_encoder.hpp"
#include "rae/spec/model_config.hpp"

namespace rae {
namespace {

constexpr double kTheta = 100;  // of all models of the release

/// Names of the parameters in the file.
NameMap dinov3_checkpoint_names(bool gated) {
  return [gated](const std::string& name) -> std::vector<std::string> {
    if (name.starts_with("patch_embed.")) return {"patch_embed.proj." + name.substr(12)};
    if (name == "register_tokens") return {"storage_tokens"};
    constexpr std::string_view kLayers = "layers.";
    if (!name.starts_with(kLayers)) return {name};
    const std::size_t dot = name.find('.', kLayers.size());
    const std::string block = "blocks." + name.substr(kLayers.size(), dot + 1 - kLayers.size()),
                      rest = name.substr(dot + 1);
    if (rest == "layer_scale1") return {block + "ls1.gamma"};
    if (rest == "layer_scale2") return {block + "ls2.gamma"};
    if (gated && rest.starts_with("mlp.fc1"))
      return {block + "mlp.w1" + rest.substr(7), block + "mlp.w2" + rest.substr(7)};
    if (gated && rest.starts_with("mlp.fc2")) return {block + "mlp.w3" + rest.substr(7)};
    return {block + rest};
  };
}

/// The shape of a tensor. Throws FormatError when it is missing or has another rank.
Shape shape_of(const TensorSource& tensors, const std::string& name, index_t rank) {
  if (!detail::has_tensor(tensors, name))
    raise<FormatError>(tensors.origin(), ": has no tensor ", name,
                       "; expected a checkpoint of DINOv3 (facebookresearch/dinov3)");
  const Shape shape = tensors.info(name).shape;
  if (static_cast<index_t>(shape.rank()) != rank || shape.numel() == 0)
    raise<FormatError>(tensors.origin(), ": tensor ", name, " has shape ", shape,
                       ", expected one of rank ", rank);
  return shape;
}

/// The base of the periods theta^(2j/half) of the rotary positions, with half = 2 * count.
double theta_of(const TensorSource& tensors, const Tensor<float>& periods) {
  const index_t count = periods.numel();
  const auto period = [&](double theta, index_t j) {
    return std::pow(theta, static_cast<double>(j) / static_cast<double>(count));
  };
  double theta = kTheta;
  const auto last = static_cast<double>(periods[count - 1]);
  if (count > 1 && last > 0 && std::abs(last / period(kTheta, count - 1) - 1) > 1e-2)
    theta = std::pow(last, static_cast<double>(count) / static_cast<double>(count - 1));
  for (index_t j = 0; j < count; ++j)
    if (!(std::abs(static_cast<double>(periods[j]) / period(theta, j) - 1) <= 1e-2))
      raise<FormatError>(tensors.origin(), ": rope_embed.periods[", j, "] is ", periods[j],
                         ", which is no power of a base; expected ", period(theta, j));
  return theta;
}

/// The bias of query, key and value (3D) with the mask, which is 0 for the keys.
Tensor<float> masked_bias(const TensorSource& tensors, const std::string& layer) {
  Tensor<float> bias = tensors.read<float>(layer + ".bias");  // (3D)
  const index_t n = bias.numel();
  float* values = bias.data();
  if (!tensors.contains(layer + ".bias_mask")) {
    std::fill_n(values + n / 3, n / 3, 0.0f);
    return bias;
  }
  const Tensor<float> mask = tensors.read<float>(layer + ".bias_mask", bias.shape());  // (3D)
  for (index_t i = 0; i < n; ++i) values[i] = mask[i] == 0.0f ? 0.0f : values[i] * mask[i];
  return bias;
}

}  // namespace

PretrainedEncoder open_dinov3_checkpoint(const std::string& path) {
  TensorSource tensors = TensorSource::open(path).weights();
  const Shape patch = shape_of(tensors, "patch_embed.proj.weight", 4),
              periods = shape_of(tensors, "rope_embed.periods", 1);
  EncoderConfig c;
  c.family = EncoderFamily::dinov3;
  c.layer_norm_eps = 1e-5;
  c.hidden_size = patch[0];
  c.channels = patch[1];
  c.patch_size = patch[2];
  c.num_heads = c.hidden_size / (4 * periods[0]);
  if (c.num_heads < 1 || c.num_heads * 4 * periods[0] != c.hidden_size)
    raise<FormatError>(tensors.origin(), ": ", periods[0], " periods of the rotary positions do ",
                       "not divide the width ", c.hidden_size);
  c.registers =
      detail::has_tensor(tensors, "storage_tokens") ? shape_of(tensors, "storage_tokens", 3)[1] : 0;
  c.num_layers = 0;
  while (detail::has_tensor(tensors, concat("blocks.", c.num_layers, ".norm1.weight")))
    ++c.num_layers;
  c.gated_mlp = detail::has_tensor(tensors, "blocks.0.mlp.w1.weight");
  c.intermediate_size =
      shape_of(tensors, c.gated_mlp ? "blocks.0.mlp.w1.weight" : "blocks.0.mlp.fc1.weight", 2)[0];
  c.rope_theta = theta_of(tensors, tensors.read<float>("rope_embed.periods"));
  c.table_h = c.table_w = std::max<index_t>(1, 256 / c.patch_size);
  validate(c, ConfigPlace(tensors.origin()));
  std::map<std::string, Tensor<float>> biases;
  std::set<std::string> replaced;
  for (index_t i = 0; i < c.num_layers; ++i) {
    const std::string layer = concat("blocks.", i, ".attn.qkv");
    (void)shape_of(tensors, layer + ".bias", 1);
    replaced.insert(layer + ".bias");
    biases.emplace(layer + ".bias", masked_bias(tensors, layer));
  }
  PretrainedEncoder out{
      c, {}, {tensors.without(replaced).with(biases), dinov3_checkpoint_names(c.gated_mlp)}};
  detail::require_group(out.file, parameter_shapes<Encoder>(c));
  return out;
}

}  // namespace rae
