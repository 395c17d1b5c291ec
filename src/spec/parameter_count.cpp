#include "rae/spec/parameter_count.hpp"

namespace rae {
namespace {

constexpr index_t linear_count(index_t in, index_t out) { return in * out + out; }

constexpr index_t vit_block_count(index_t d, index_t hidden, bool layer_scale) {
  return 4 * d + linear_count(d, 3 * d) + linear_count(d, d) + linear_count(d, hidden) +
         linear_count(hidden, d) + (layer_scale ? 2 * d : 0);
}

index_t dit_block_count(index_t width, index_t heads, const DitBlockOptions& o) {
  const index_t norm = o.use_rmsnorm ? width : 0, head = width / heads;
  const auto wide = static_cast<index_t>(static_cast<double>(width) * o.mlp_ratio);
  const index_t hidden =
      o.use_swiglu ? static_cast<index_t>(2.0 / 3.0 * static_cast<double>(wide)) : wide;
  const index_t qk = o.use_qknorm ? 2 * head * (o.use_rmsnorm ? 1 : 2) : 0;
  return 2 * norm + linear_count(width, 3 * width) + qk + linear_count(width, width) +
         linear_count(width, o.use_swiglu ? 2 * hidden : hidden) + linear_count(hidden, width) +
         linear_count(width, 6 * width);
}

constexpr index_t time_embed_count(index_t width) {
  constexpr index_t kFeatures = 2 * TimestepEmbed<Tensor<float>>::kFrequencies;
  return kFeatures / 2 + linear_count(kFeatures, width) + linear_count(width, width);
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
  return (c.grid_h * c.grid_w + 2) * h + linear_count(c.in_dim, h) +
         c.num_layers * vit_block_count(h, c.intermediate_size, false) + 2 * h +
         linear_count(h, c.patch_size * c.patch_size * c.channels);
}

index_t parameter_count(const DitDhConfig& c) {
  const auto [h, d] = c.hidden_size;
  const index_t tokens = c.grid_h * c.grid_w, channels = c.in_channels;
  index_t n =
      (c.use_pos_embed ? tokens * h : 0) + linear_count(channels, d) + linear_count(channels, h);
  if (h != d) n += linear_count(h, d);
  n += time_embed_count(h);
  n += (c.num_classes + (c.class_dropout_prob > 0 ? 1 : 0)) * h;
  for (std::size_t i = 0; i < 2; ++i)
    n += c.depth[i] * dit_block_count(c.hidden_size[i], c.num_heads[i], c.block());
  return n + (c.use_rmsnorm ? d : 0) + linear_count(d, channels) + linear_count(d, 2 * d);
}

index_t parameter_count(const LightningDitConfig& c) {
  const index_t d = c.hidden_size, p = c.patch_size, patch = p * p * c.in_channels;
  index_t n = c.input_h / p * (c.input_w / p) * d + linear_count(patch, d) + time_embed_count(d);
  n += (c.num_classes + (c.class_dropout_prob > 0 ? 1 : 0)) * d +
       c.depth * dit_block_count(d, c.num_heads, c.block());
  return n + (c.use_rmsnorm ? d : 0) + linear_count(d, patch * (c.learn_sigma ? 2 : 1)) +
         linear_count(d, 2 * d);
}

}  // namespace rae
