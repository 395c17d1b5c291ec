// The backbone of the diffusion networks of RAEv2: a transformer without adaLN and without a table
// of positions, which sees time and class as tokens that follow those of the patches.
//
// RAEv2 (arXiv 2605.18324), section 3; official classes DiTwDDTHead, DiTwDDTHeadIG, LightningDiT
// and LightningDiTIG. REPA: Yu et al. 2025, "Representation Alignment for Generation".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rae/models/backbone.hpp"
#include "rae/models/dit_block.hpp"
#include "rae/nn/label_embed.hpp"
#include "rae/nn/timestep_embed.hpp"
#include "rae/ops/tokens.hpp"

namespace rae {

/// Sizes of a backbone with condition tokens, with the names of the official configuration.
struct TokenBackboneConfig {
  index_t input_h = 16, input_w = 16;  ///< latent grid
  index_t patch_size = 1, in_channels = 768;
  index_t hidden_size = 1152, depth = 28, num_heads = 16;
  double mlp_ratio = 4.0;
  index_t num_classes = 1000;       ///< without the null class, which the table always has
  double class_dropout_prob = 0.1;  ///< share of training labels replaced by the null class
  index_t time_tokens = 4;          ///< tokens of the time
  index_t class_tokens = 8;         ///< tokens of the class
  index_t base_depth = 0;           ///< blocks before the base head; 0: there is none
  index_t align_depth = 0;          ///< blocks before the projection of REPA; 0: there is none
  index_t align_width = 0;          ///< width of the features that REPA compares

  /// Number of patches along either side of the grid.
  [[nodiscard]] index_t rows() const noexcept { return input_h / patch_size; }
  /// See `rows`.
  [[nodiscard]] index_t columns() const noexcept { return input_w / patch_size; }
  /// The options of blocks of this width, with adaLN or without.
  [[nodiscard]] DitBlockOptions block(index_t width, bool adaln) const {
    return {.use_qknorm = true,
            .mlp_ratio = mlp_ratio,
            .use_adaln = adaln,
            .mlp_hidden = static_cast<index_t>(2.0 / 3.0 * static_cast<double>(width) * mlp_ratio)};
  }
};

/// The embeddings of patches, time and class, and the blocks. In shapes, h is the width, N the
/// number of patches, n the number of condition tokens.
template <Operand X>
class TokenBackbone {
 public:
  using T = typename X::value_type;

  /// The patch tokens after the last block and after those of the further heads.
  struct Features {
    X last;       // (k B, N, h)
    X base{};     // (k B, N, h); empty unless wanted
    X aligned{};  // (k B, N, z), projected; empty unless wanted
  };

  /// Weights are zero. Throws ConfigError for patches that do not divide the latent, and heads that
  /// do not divide the width.
  explicit TokenBackbone(const TokenBackboneConfig& c) : config_(c) {
    const index_t h = c.hidden_size, p = c.patch_size;
    if (p < 1 || c.input_h % p != 0 || c.input_w % p != 0)
      raise<ConfigError>("TokenBackbone: a ", c.input_h, " x ", c.input_w,
                         " latent does not divide into patches of ", p);
    embedder = Linear<X>(c.in_channels * p * p, h);
    t_embedder = TimestepEmbed<X>(h);
    time_tokens = Parameter<X>(Shape{c.time_tokens, h});
    y_embedder = LabelEmbed<X>(c.num_classes, true, h);
    class_tokens = Parameter<X>(Shape{c.class_tokens, h});
    for (index_t i = 0; i < c.depth; ++i) blocks.emplace_back(h, c.num_heads, c.block(h, false));
    if (c.align_depth > 0) projector = Linear<X>(h, c.align_width);
    rope_ = shared_rope_table<X>(c.rows(), c.columns(), h / c.num_heads);
    if constexpr (!std::same_as<X, Outline>)
      rope_ = Shared<const RopeTable<T>>::make(
          with_unrotated_tokens(*rope_, 0, c.time_tokens + c.class_tokens));
  }

  /// The time embedding (B, h) and the condition tokens (B, n*h) for times t (B) and labels y (B).
  /// Throws ShapeError, ArgumentError.
  Conditioning<X> conditioning(const Tensor<T>& t, std::span<const std::int64_t> y) const {
    const auto b = static_cast<index_t>(y.size());
    require_shape("TokenBackbone: t", t.shape(), {b});
    Conditioning<X> out{t_embedder(t), {}};  // (B, h)
    out.tokens = join_columns(shifted(time_tokens, out.time),
                              shifted(class_tokens, y_embedder(y)));  // (B, n*h)
    return out;
  }

  /// Tokens (k B, N, h) after the blocks for x (B, C, H, W) and k conditions per image. Throws
  /// ShapeError, ArgumentError for a head that the network does not have.
  Features operator()(const X& x, const Conditioning<X>& c, const WantedOutputs& wanted) const {
    check(x.shape(), c);
    if (wanted.base && config_.base_depth == 0)
      raise<ArgumentError>("this network has no base head, which internal guidance needs");
    if (wanted.aligned && config_.align_depth == 0)
      raise<ArgumentError>("this network has no projection for REPA");
    const index_t patches = config_.rows() * config_.columns(), h = config_.hidden_size,
                  conditions = c.time.shape()[0];
    const X embedded = repeat(embedder(patchify(x, config_.patch_size)),
                              conditions / x.shape()[0]);  // (k B, N, h)
    const index_t tokens = patches + config_.time_tokens + config_.class_tokens;
    X z = reshape(join_columns(reshape(embedded, {conditions, patches * h}), c.tokens),
                  {conditions, tokens, h});  // (k B, N+n, h)
    Features out;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      z = run(blocks[i], z);  // (k B, N+n, h)
      const auto done = static_cast<index_t>(i) + 1;
      if (wanted.base && done == config_.base_depth) out.base = keep_tokens(z, patches);
      if (wanted.aligned && done == config_.align_depth)
        out.aligned = projector(keep_tokens(z, patches));
    }
    out.last = keep_tokens(z, patches);
    return out;
  }

  /// Latents (k B, C, H, W) of output tokens (k B, N, p*p*C).
  X latents(const X& tokens) const {
    return unpatchify(tokens, config_.rows(), config_.columns(), config_.patch_size);
  }

  /// Calls f(name, parameter) for the embeddings of time and class, with the official names.
  template <class F>
  void condition_parameters(F&& f) {
    visit("t_embedder.", t_embedder, f);
    f("t_embedder.learnable_tokens", time_tokens);
    visit("ctx_embedder.", y_embedder, f);
    f("ctx_embedder.learnable_tokens", class_tokens);
  }
  /// Calls f(name, parameter) for the blocks and the projection of REPA, with the official names.
  template <class F>
  void block_parameters(F&& f) {
    for (std::size_t i = 0; i < blocks.size(); ++i)
      visit("blocks." + std::to_string(i) + ".", blocks[i], f);
    if (!projector.empty()) visit("repa_projector.", projector, f);
  }

  /// The configuration given to the constructor.
  [[nodiscard]] const TokenBackboneConfig& config() const noexcept { return config_; }
  /// Number of elements of the condition tokens of one image.
  [[nodiscard]] index_t tokens_size() const noexcept {
    return (config_.time_tokens + config_.class_tokens) * config_.hidden_size;
  }
  /// Recompute the activations of each block in the backward pass instead of storing them.
  void set_checkpointing(bool on) noexcept { checkpointing_ = on; }
  /// True when they are recomputed.
  [[nodiscard]] bool checkpointing() const noexcept { return checkpointing_; }

  Linear<X> embedder;                      // (h, C*p*p)
  TimestepEmbed<X> t_embedder;             ///< of the time
  LabelEmbed<X> y_embedder;                ///< of the class
  Parameter<X> time_tokens, class_tokens;  // (n_t, h), (n_c, h)
  std::vector<DitBlock<X>> blocks;
  Linear<X> projector;  // (z, h) or empty

 private:
  // The learned tokens (n, h) plus one vector per image (B, h): (B, n*h).
  static X shifted(const Parameter<X>& learned, const X& vector) {
    const Shape s = learned.shape();
    const index_t b = vector.shape()[0];
    const X copies = repeat(reshape(learned.value, {1, s[0], s[1]}), b);  // (B, n, h)
    return reshape(add_per_image(copies, vector), {b, s[0] * s[1]});
  }

  // A block for x (B, T, h): (B, T, h).
  X run(const DitBlock<X>& block, const X& x) const {
    const auto forward = [&block, rope = rope_.get()](const X& a) { return block.plain(a, rope); };
    if constexpr (std::same_as<X, Var<T>>) {
      if (checkpointing_) return checkpoint(forward, x);
    }
    return forward(x);
  }

  void check(const Shape& x, const Conditioning<X>& c) const {
    if (x.rank() != 4) raise<ShapeError>("TokenBackbone: expected x (B, C, h, w), got ", x);
    require_shape("TokenBackbone: x", x,
                  {x[0], config_.in_channels, config_.input_h, config_.input_w});
    const index_t conditions = c.time.shape()[0];
    if (x[0] < 1 || conditions < x[0] || conditions % x[0] != 0)
      raise<ShapeError>("TokenBackbone: ", x[0], " images but ", conditions, " labels");
  }

  TokenBackboneConfig config_;
  Shared<const RopeTable<T>> rope_;
  bool checkpointing_ = false;
};

}  // namespace rae
