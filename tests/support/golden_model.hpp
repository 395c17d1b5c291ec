// Models built from golden configurations and weights.
#pragma once

#include <algorithm>

#include "rae/models/decoder.hpp"
#include "rae/models/dit_dh.hpp"
#include "support/golden.hpp"

namespace rae::test {

/// The DiT^DH configuration of a golden case, read from the map that contains "hidden_size".
inline DitDhConfig dit_dh_config(const ConfigNode& node) {
  DitDhConfig c;
  c.grid_h = c.grid_w = node.get<index_t>("input_size");
  c.in_channels = node.get<index_t>("in_channels");
  const auto width = node.get<std::vector<index_t>>("hidden_size"),
             depth = node.get<std::vector<index_t>>("depth");
  // As in the official class, one number of heads may be given for backbone and head.
  const bool one = !node.at("num_heads").is_list();
  const auto heads = one ? std::vector<index_t>(2, node.get<index_t>("num_heads"))
                         : node.get<std::vector<index_t>>("num_heads");
  std::copy_n(width.begin(), 2, c.hidden_size);
  std::copy_n(depth.begin(), 2, c.depth);
  std::copy_n(heads.begin(), 2, c.num_heads);
  c.mlp_ratio = node.get<double>("mlp_ratio");
  c.num_classes = node.get<index_t>("num_classes");
  c.class_dropout_prob = node.get<double>("class_dropout_prob");
  c.use_swiglu = node.get<bool>("use_swiglu");
  c.use_rmsnorm = node.get<bool>("use_rmsnorm");
  c.use_rope = node.get<bool>("use_rope");
  c.use_qknorm = node.get<bool>("use_qknorm");
  c.use_pos_embed = node.get<bool>("use_pos_embed");
  return c;
}

/// The ViT decoder configuration of a golden case, read from the whole file.
inline DecoderConfig decoder_config(const ConfigNode& node) {
  const ConfigNode& c = node.at("config");
  DecoderConfig d;
  d.in_dim = c.get<index_t>("hidden_size");
  d.hidden_size = c.get<index_t>("decoder_hidden_size");
  d.num_layers = c.get<index_t>("decoder_num_hidden_layers");
  d.num_heads = c.get<index_t>("decoder_num_attention_heads");
  d.intermediate_size = c.get<index_t>("decoder_intermediate_size");
  d.patch_size = c.get<index_t>("patch_size");
  d.grid_h = d.grid_w = c.get<index_t>("image_size") / d.patch_size;
  d.layer_norm_eps = c.get<double>("layer_norm_eps");
  return d;
}

/// Fills every parameter from the golden tensor of the same name. That tensor may have additional
/// extents of 1 (weights of convolutions).
template <class Model>
void load(Model& model, const Golden& weights) {
  model.parameters(
      [&](const std::string& name, auto& p) { p.set(weights(name).reshaped(p.shape())); });
}

/// Compares the first block of a golden case on its input x (B, N, D) and conditioning c: both
/// branches before their gates, and the whole block. Returns the block's output.
inline Tensor<float> expect_first_block(const Golden& io, const DitBlock<Tensor<float>>& block,
                                        const Tensor<float>& x, const Tensor<float>& c,
                                        const RopeTable<float>* rope, double tolerance) {
  const auto [shift1, scale1, gate1, shift2, scale2, gate2] =
      chunk<6>(block.adaln(silu(c)));                                              // (B, D) each
  Tensor<float> qkv = block.qkv(norm_modulate(block.norm1(), x, shift1, scale1));  // (B, N, 3D)
  if (!block.q_norm.empty())
    qkv = qk_norm(block.q_norm(), block.k_norm(), qkv, x.extent(2) / block.heads);
  const Tensor<float> a = block.proj(attention(qkv, block.heads, rope));  // (B, N, D)
  EXPECT_TRUE(close(a, io("block0_attn_out"), tolerance));
  EXPECT_TRUE(close(block.mlp(norm_modulate(block.norm2(), gated_add(x, gate1, a), shift2, scale2)),
                    io("block0_mlp_out"), tolerance));
  const Tensor<float> out = block(x, c, rope);  // (B, N, D)
  EXPECT_TRUE(close(out, io("block0_out"), tolerance));
  return out;
}

}  // namespace rae::test
