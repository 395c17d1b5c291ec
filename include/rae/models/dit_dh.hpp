// DiT^DH: a diffusion transformer whose shallow, wide DDT head is conditioned per token on the
// backbone's output.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), section 5; official
// class DiTwDDTHead. A DiT narrower than the token dimension cannot fit the target, whose noise has
// full rank (Theorem 1); a wide head of few layers provides the width at low cost.
#pragma once

#include <vector>

#include "rae/core/shared.hpp"
#include "rae/models/dit_block.hpp"
#include "rae/nn/label_embed.hpp"
#include "rae/nn/timestep_embed.hpp"
#include "rae/ops/tokens.hpp"

namespace rae {

/// Sizes and options of a DiT^DH, with the names of the official configuration.
struct DitDhConfig {
  index_t grid_h = 16, grid_w = 16;       ///< latent grid
  index_t in_channels = 768;              ///< C, token dimension
  index_t hidden_size[2] = {1152, 2048};  ///< backbone, head
  index_t depth[2] = {28, 2};             ///< blocks of backbone and head
  index_t num_heads[2] = {16, 16};
  double mlp_ratio = 4.0;
  index_t num_classes = 1000;
  double class_dropout_prob = 0.1;  ///< above 0: there is a null class
  bool use_swiglu = true, use_rmsnorm = true, use_rope = true, use_qknorm = false,
       use_pos_embed = true;

  /// The options of all blocks.
  [[nodiscard]] DitBlockOptions block() const {
    return {use_swiglu, use_rmsnorm, use_qknorm, mlp_ratio};
  }
};

/// The network: velocity = DiT^DH(x_t, t, y). In shapes, h and d are the widths of backbone and
/// head.
template <Operand X>
class DitDh {
 public:
  using T = typename X::value_type;

  /// Weights are zero. Throws ConfigError for heads that do not divide a width.
  explicit DitDh(const DitDhConfig& config) : config_(config) {
    const auto [h, d] = config.hidden_size;
    const index_t c = config.in_channels, tokens = config.grid_h * config.grid_w;
    if (config.use_pos_embed) pos_embed = Parameter<X>(Shape{1, tokens, h});
    x_embedder = Linear<X>(c, d);
    s_embedder = Linear<X>(c, h);
    if (h != d) s_projector = Linear<X>(h, d);
    t_embedder = TimestepEmbed<X>(h);
    y_embedder = LabelEmbed<X>(config.num_classes, config.class_dropout_prob > 0, h);
    for (index_t i = 0; i < config.depth[0]; ++i)
      blocks.emplace_back(h, config.num_heads[0], config.block());
    for (index_t i = 0; i < config.depth[1]; ++i)
      blocks.emplace_back(d, config.num_heads[1], config.block());
    final_layer = DitFinalLayer<X>(d, c, config.use_rmsnorm);
    if (config.use_rope) {
      backbone_rope_ = shared_rope_table<X>(config.grid_h, config.grid_w, h / config.num_heads[0]);
      head_rope_ = shared_rope_table<X>(config.grid_h, config.grid_w, d / config.num_heads[1]);
    }
  }

  /// Predicted velocity (B, C, h, w) for x (B, C, h, w), flow times t (B) in [0, 1], where 1 is
  /// noise, and labels y (B). Throws ShapeError, ArgumentError.
  X operator()(const X& x, const Tensor<T>& t, std::span<const std::int64_t> y) const {
    return (*this)(x, conditioning(t, y));
  }

  /// The part of the computation that depends only on t (B) and y (B). Throws ShapeError,
  /// ArgumentError.
  Conditioning<X> conditioning(const Tensor<T>& t, std::span<const std::int64_t> y) const {
    require_shape("DitDh: t", t.shape(), {static_cast<index_t>(y.size())});
    Conditioning<X> out{t_embedder(t), {}};          // (B, h)
    const X c = silu(add(out.time, y_embedder(y)));  // (B, h); every block applies SiLU again
    for (index_t i = 0; i < config_.depth[0]; ++i)
      out.modulation.push_back(block(i).modulation(c));  // (B, 6h)
    return out;
  }

  /// Number of elements of one row of the conditioning.
  [[nodiscard]] index_t conditioning_size() const noexcept {
    return (6 * config_.depth[0] + 1) * config_.hidden_size[0];
  }

  /// The velocities (k B, C, h, w) for x (B, C, h, w) under k conditions per image. Row i B + b of
  /// `c` is condition i of image b, and so is the order of the velocities. Throws ShapeError.
  X operator()(const X& x, const Conditioning<X>& c) const {
    check(x.shape(), c);
    const X tokens = grid_to_tokens(x);  // (B, N, C)
    return velocity(tokens, backbone(tokens, c), c);
  }

  /// The backbone's output (k B, N, h) for tokens (B, N, C), before the time embedding is added to
  /// it. Adjacent sampling steps may share it.
  X backbone(const X& tokens, const Conditioning<X>& c) const {
    X s = s_embedder(tokens);                                       // (B, N, h)
    if (!pos_embed.empty()) s = add_broadcast(s, pos_embed.value);  // (B, N, h)
    s = repeat(s, c.time.shape()[0] / s.shape()[0]);                // (k B, N, h)
    for (std::size_t i = 0; i < c.modulation.size(); ++i)
      s = run(static_cast<index_t>(i), s, c.modulation[i]);  // (k B, N, h)
    return s;
  }

  /// The velocities (k B, C, h, w) for tokens (B, N, C) and the backbone's output s (k B, N, h).
  X velocity(const X& tokens, const X& s, const Conditioning<X>& c) const {
    return tokens_to_grid(head(tokens, silu(add_per_image(s, c.time))), config_.grid_h,
                          config_.grid_w);
  }

  /// The head for tokens (B, N, C) and the condition (k B, N, h): (k B, N, C).
  X head(const X& tokens, const X& condition) const {
    const X s = s_projector.empty() ? condition : s_projector(condition);  // (k B, N, d)
    X z = repeat(x_embedder(tokens), s.shape()[0] / tokens.shape()[0]);    // (k B, N, d)
    for (index_t i = config_.depth[0]; i < static_cast<index_t>(blocks.size()); ++i)
      z = run(i, z, s);        // (k B, N, d)
    return final_layer(z, s);  // (k B, N, C)
  }

  /// Calls f(name, parameter) for every parameter, with the names of the official checkpoints.
  template <class F>
  void parameters(F&& f) {
    if (!pos_embed.empty()) f("pos_embed", pos_embed);
    visit("x_embedder.proj.", x_embedder, f);
    visit("s_embedder.proj.", s_embedder, f);
    if (!s_projector.empty()) visit("s_projector.", s_projector, f);
    visit("t_embedder.", t_embedder, f);
    visit("y_embedder.", y_embedder, f);
    visit("final_layer.", final_layer, f);
    for (std::size_t i = 0; i < blocks.size(); ++i)
      visit("blocks." + std::to_string(i) + ".", blocks[i], f);
  }

  /// The configuration given to the constructor.
  [[nodiscard]] const DitDhConfig& config() const noexcept { return config_; }

  /// Recompute the activations of each block in the backward pass instead of storing them.
  void set_checkpointing(bool on) noexcept { checkpointing_ = on; }

  Parameter<X> pos_embed;                         // (1, N, h) or empty
  Linear<X> x_embedder, s_embedder, s_projector;  // (d, C), (h, C), (d, h) or empty
  TimestepEmbed<X> t_embedder;
  LabelEmbed<X> y_embedder;
  std::vector<DitBlock<X>> blocks;  ///< of the backbone, then of the head
  DitFinalLayer<X> final_layer;

 private:
  const DitBlock<X>& block(index_t i) const { return blocks[static_cast<std::size_t>(i)]; }

  // Block i for x (B, N, D). For a block of the backbone, c is its modulation (B, 6D); for a block
  // of the head, c is the condition (B, N, D), from which the block computes its modulation.
  X run(index_t i, const X& x, const X& c) const {
    const auto forward = [&block = block(i),
                          rope = i < config_.depth[0] ? backbone_rope_.get() : head_rope_.get(),
                          head = i >= config_.depth[0]](const X& a, const X& b) {
      return head ? block(a, b, rope) : block.modulated(a, b, rope);
    };
    if constexpr (std::same_as<X, Var<T>>) {
      if (checkpointing_) return checkpoint(forward, x, c);
    }
    return forward(x, c);
  }

  void check(const Shape& x, const Conditioning<X>& c) const {
    if (x.rank() != 4) raise<ShapeError>("DitDh: expected x (B, C, h, w), got ", x);
    require_shape("DitDh: x", x, {x[0], config_.in_channels, config_.grid_h, config_.grid_w});
    const index_t conditions = c.time.shape()[0];
    if (x[0] < 1 || conditions < x[0] || conditions % x[0] != 0)
      raise<ShapeError>("DitDh: ", x[0], " images but ", conditions, " labels");
  }

  DitDhConfig config_;
  Shared<const RopeTable<T>> backbone_rope_, head_rope_;
  bool checkpointing_ = false;
};

}  // namespace rae
