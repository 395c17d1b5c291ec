// LightningDiT: the plain diffusion transformer, which is RAE's baseline and the basis of DiT^DH.
//
// Peebles and Xie 2023; Yao et al. 2025. It differs from the backbone of DiT^DH in the condition
// (time + label, without SiLU) and in its output layer, which follows the blocks.
#pragma once

#include <vector>

#include "rae/core/shared.hpp"
#include "rae/models/dit_block.hpp"
#include "rae/nn/label_embed.hpp"
#include "rae/nn/timestep_embed.hpp"
#include "rae/ops/tokens.hpp"

namespace rae {

/// Sizes and options of a LightningDiT, with the names of the official configuration.
struct LightningDitConfig {
  index_t input_h = 16, input_w = 16;  ///< latent grid
  index_t patch_size = 1, in_channels = 768;
  index_t hidden_size = 1152, depth = 28, num_heads = 16;
  double mlp_ratio = 4.0;
  index_t num_classes = 1000;
  double class_dropout_prob = 0.1;  ///< above 0: there is a null class
  bool learn_sigma = false;         ///< twice the output channels; the first half is the prediction
  bool use_swiglu = true, use_rmsnorm = true, use_rope = true, use_qknorm = false;

  /// The options of all blocks.
  [[nodiscard]] DitBlockOptions block() const {
    return {use_swiglu, use_rmsnorm, use_qknorm, mlp_ratio};
  }
};

/// The network: velocity = LightningDiT(x_t, t, y).
template <Operand X>
class LightningDit {
 public:
  using T = typename X::value_type;

  /// Weights are zero. Throws ConfigError for patches that do not divide the latent, or heads that
  /// do not divide the width.
  explicit LightningDit(const LightningDitConfig& config) : config_(config) {
    const index_t p = config.patch_size, d = config.hidden_size;
    if (p < 1 || config.input_h % p != 0 || config.input_w % p != 0)
      raise<ConfigError>("LightningDit: a ", config.input_h, " x ", config.input_w,
                         " latent does not divide into patches of ", p);
    grid_h_ = config.input_h / p;
    grid_w_ = config.input_w / p;
    pos_embed = Parameter<X>(Shape{1, grid_h_ * grid_w_, d});
    x_embedder = Linear<X>(config.in_channels * p * p, d);
    t_embedder = TimestepEmbed<X>(d);
    y_embedder = LabelEmbed<X>(config.num_classes, config.class_dropout_prob > 0, d);
    for (index_t i = 0; i < config.depth; ++i)
      blocks.emplace_back(d, config.num_heads, config.block());
    final_layer = DitFinalLayer<X>(d, p * p * config.in_channels * (config.learn_sigma ? 2 : 1),
                                   config.use_rmsnorm);
    if (config.use_rope) rope_ = shared_rope_table<X>(grid_h_, grid_w_, d / config.num_heads);
  }

  /// Predicted velocity (B, C, h, w) for x (B, C, h, w), flow times t (B) in [0, 1], where 1 is
  /// noise, and labels y (B). Throws ShapeError, ArgumentError.
  X operator()(const X& x, const Tensor<T>& t, std::span<const std::int64_t> y) const {
    return (*this)(x, conditioning(t, y));
  }

  /// The part of the computation that depends only on t (B) and y (B). Throws ShapeError,
  /// ArgumentError.
  Conditioning<X> conditioning(const Tensor<T>& t, std::span<const std::int64_t> y) const {
    require_shape("LightningDit: t", t.shape(), {static_cast<index_t>(y.size())});
    const X c = add(t_embedder(t), y_embedder(y));  // (B, D)
    Conditioning<X> out;
    for (const DitBlock<X>& block : blocks)
      out.modulation.push_back(block.modulation(c));      // (B, 6D)
    out.modulation.push_back(final_layer.modulation(c));  // (B, 2D)
    return out;
  }

  /// Number of elements of one row of the conditioning.
  [[nodiscard]] index_t conditioning_size() const noexcept {
    return (6 * config_.depth + 2) * config_.hidden_size;
  }

  /// The velocities (k B, C, h, w) for x (B, C, h, w) under k conditions per image. Row i B + b of
  /// `c` is condition i of image b, and so is the order of the velocities. Throws ShapeError.
  X operator()(const X& x, const Conditioning<X>& c) const {
    const Shape s = x.shape();
    if (s.rank() != 4) raise<ShapeError>("LightningDit: expected x (B, C, h, w), got ", s);
    require_shape("LightningDit: x", s,
                  {s[0], config_.in_channels, config_.input_h, config_.input_w});
    const index_t conditions = c.modulation.back().shape()[0];
    if (s[0] < 1 || conditions < s[0] || conditions % s[0] != 0)
      raise<ShapeError>("LightningDit: ", s[0], " images but ", conditions, " labels");
    X z = add_broadcast(x_embedder(patchify(x, config_.patch_size)), pos_embed.value);  // (B, N, D)
    z = repeat(z, conditions / s[0]);  // (k B, N, D)
    for (std::size_t i = 0; i < blocks.size(); ++i)
      z = run(blocks[i], z, c.modulation[i]);  // (k B, N, D)
    const X out = unpatchify(final_layer.modulated(z, c.modulation.back()), grid_h_, grid_w_,
                             config_.patch_size);  // (k B, C or 2C, h, w)
    return config_.learn_sigma ? first_channels(out, config_.in_channels) : out;
  }

  /// Calls f(name, parameter) for every parameter, with the names of the official checkpoints.
  template <class F>
  void parameters(F&& f) {
    f("pos_embed", pos_embed);
    visit("x_embedder.proj.", x_embedder, f);
    visit("t_embedder.", t_embedder, f);
    visit("y_embedder.", y_embedder, f);
    for (std::size_t i = 0; i < blocks.size(); ++i)
      visit("blocks." + std::to_string(i) + ".", blocks[i], f);
    visit("final_layer.", final_layer, f);
  }

  /// The configuration given to the constructor.
  [[nodiscard]] const LightningDitConfig& config() const noexcept { return config_; }

  /// Recompute the activations of each block in the backward pass instead of storing them.
  void set_checkpointing(bool on) noexcept { checkpointing_ = on; }

  Parameter<X> pos_embed;  // (1, N, D)
  Linear<X> x_embedder;    // (D, C*p*p)
  TimestepEmbed<X> t_embedder;
  LabelEmbed<X> y_embedder;
  std::vector<DitBlock<X>> blocks;
  DitFinalLayer<X> final_layer;

 private:
  // A block for x (B, N, D) and its modulation m (B, 6D): (B, N, D).
  X run(const DitBlock<X>& block, const X& x, const X& m) const {
    const auto forward = [&block, rope = rope_.get()](const X& a, const X& b) {
      return block.modulated(a, b, rope);
    };
    if constexpr (std::same_as<X, Var<T>>) {
      if (checkpointing_) return checkpoint(forward, x, m);
    }
    return forward(x, m);
  }

  // The first `count` channels of x (B, C, h, w), selected as the first tokens of (B, C, h*w).
  static X first_channels(const X& x, index_t count) {
    const Shape s = x.shape();
    return reshape(keep_tokens(reshape(x, {s[0], s[1], s[2] * s[3]}), count),
                   {s[0], count, s[2], s[3]});
  }

  LightningDitConfig config_;
  index_t grid_h_ = 0, grid_w_ = 0;
  Shared<const RopeTable<T>> rope_;
  bool checkpointing_ = false;
};

}  // namespace rae
