// A diffusion network that the library does not know: an MLP on each token, registered by the
// program that uses it. All of its code is in this file.
#pragma once

#include "rae/spec/limits.hpp"
#include "rae/spec/register_backbone.hpp"
#include "rae/spec/weight_types.hpp"

namespace rae::test {

/// Shape of a token MLP.
struct TokenMlpConfig {
  index_t grid_h = 2, grid_w = 2;  ///< latent grid
  index_t channels = 16;           ///< C, token dimension
  index_t hidden_size = 24;
  index_t num_classes = 3;
  double class_dropout_prob = 0.1;
};

/// velocity = MLP(token + time + label), without attention.
template <Operand X>
class TokenMlp {
 public:
  using T = typename X::value_type;

  explicit TokenMlp(const TokenMlpConfig& c)
      : config_(c),
        in(c.channels, c.hidden_size),
        hidden(c.hidden_size, c.hidden_size),
        out(c.hidden_size, c.channels),
        t_embedder(c.hidden_size),
        y_embedder(c.num_classes, c.class_dropout_prob > 0, c.hidden_size) {}

  Conditioning<X> conditioning(const Tensor<T>& t, std::span<const std::int64_t> y) const {
    require_shape("TokenMlp: t", t.shape(), {static_cast<index_t>(y.size())});
    return {{}, {add(t_embedder(t), y_embedder(y))}};  // (B, D)
  }

  [[nodiscard]] index_t conditioning_size() const noexcept { return config_.hidden_size; }

  X operator()(const X& x, const Conditioning<X>& c) const {
    const X tokens = in(grid_to_tokens(x));                                    // (B, N, D)
    const X many = repeat(tokens, c.modulation[0].shape()[0] / x.shape()[0]);  // (k B, N, D)
    const X z = hidden(silu(add_per_image(many, c.modulation[0])), Activation::silu);
    return tokens_to_grid(out(z), config_.grid_h, config_.grid_w);  // (k B, C, h, w)
  }

  template <class F>
  void parameters(F&& f) {
    visit("in.", in, f);
    visit("blocks.0.hidden.", hidden, f);
    visit("out.", out, f);
    visit("t_embedder.", t_embedder, f);
    visit("y_embedder.", y_embedder, f);
  }

 private:
  TokenMlpConfig config_;
  Linear<X> in, hidden, out;
  TimestepEmbed<X> t_embedder;
  LabelEmbed<X> y_embedder;
};

struct TokenMlpKind {
  using Config = TokenMlpConfig;
  template <class X>
  using Network = TokenMlp<X>;
  static constexpr std::string_view name = "token_mlp", title = "token MLP";

  static Config parse(const ConfigNode& node) {
    require_keys_known(
        node, {"grid_h", "grid_w", "channels", "hidden_size", "num_classes", "class_dropout_prob"});
    return {.grid_h = node.get<index_t>("grid_h"),
            .grid_w = node.get<index_t>("grid_w"),
            .channels = node.get<index_t>("channels"),
            .hidden_size = node.get<index_t>("hidden_size"),
            .num_classes = node.get<index_t>("num_classes"),
            .class_dropout_prob = node.get<double>("class_dropout_prob")};
  }
  static ConfigNode to_config(const Config& c) {
    return ConfigNode::map({{"grid_h", c.grid_h},
                            {"grid_w", c.grid_w},
                            {"channels", c.channels},
                            {"hidden_size", c.hidden_size},
                            {"num_classes", c.num_classes},
                            {"class_dropout_prob", c.class_dropout_prob}});
  }
  static void validate(const Config& c, const ConfigPlace& place) {
    require_size(place / "grid_h", c.grid_h, 1, kMaxGrid);
    require_size(place / "grid_w", c.grid_w, 1, kMaxGrid);
    require_size(place / "channels", c.channels, 1, kMaxWidth);
    require_size(place / "hidden_size", c.hidden_size, 1, kMaxWidth);
    require_size(place / "num_classes", c.num_classes, 1, kMaxClasses);
    require_number(place / "class_dropout_prob", c.class_dropout_prob, 0, 1);
  }
  static Shape latent_shape(const Config& c) { return {c.channels, c.grid_h, c.grid_w}; }
  static index_t width(const Config& c) { return c.hidden_size; }
  static DType weight_type(const Config&, DType wanted, std::string_view parameter) {
    return block_weight_type(wanted, "blocks.", parameter, 0);
  }
};

}  // namespace rae::test
