// The discriminator of RAE's decoder training: small heads on the features of a frozen DINO
// ViT-S/8.
//
// Sauer et al., "StyleGAN-T" (2023), section 3.2; Caron et al., "Emerging Properties in
// Self-Supervised Vision Transformers" (2021).
#pragma once

#include <array>
#include <numbers>
#include <string>
#include <vector>

#include "rae/core/math.hpp"
#include "rae/models/vit_block.hpp"
#include "rae/nn/initialize.hpp"
#include "rae/ops/activation.hpp"
#include "rae/ops/channels.hpp"
#include "rae/ops/conv.hpp"
#include "rae/ops/resize.hpp"
#include "rae/ops/spectral_norm.hpp"
#include "rae/ops/tokens.hpp"

namespace rae {

/// Sizes of a discriminator; the defaults are the official ones.
struct DinoDiscConfig {
  index_t image_size = 224;  ///< side to which pictures are resized; divisible by the patch size
  index_t patch_size = 8, hidden_size = 384, num_layers = 12, num_heads = 6,
          intermediate_size = 1536;
  /// Layers, counted from 0, each with a head on its output; one more head is on the last layer's.
  std::vector<index_t> key_layers{2, 5, 8, 11};
  index_t kernel_size = 9;  ///< tokens of the wide convolution of the heads; odd
};

/// Convolution over tokens with circular padding and a weight of spectral norm one, as
/// torch.nn.utils.spectral_norm(torch.nn.Conv1d(.., k, padding_mode="circular")).
template <Operand X>
struct SpectralConv1d {
  using T = typename X::value_type;
  index_t kernel = 1;         ///< k
  Parameter<X> weight, bias;  // (O, C, k), (O)
  Tensor<T> u, v;             // (O), (C*k); singular vectors, estimated by `power_iteration`

  SpectralConv1d() = default;
  SpectralConv1d(index_t in, index_t out, index_t k)
      : kernel(k),
        weight(Shape{out, in, k}),
        bias(Shape{out}),
        u(Shape{out}, T(1) / math::sqrt(static_cast<T>(out))),
        v(Shape{in * k}, T(1) / math::sqrt(static_cast<T>(in * k))) {}

  /// (B, C, L) -> (B, O, L). Throws ShapeError.
  X operator()(const X& x) const {
    return transpose(
        linear(circular_windows(x, kernel), spectral_normalize(weight.value, u, v), bias.value));
  }

  /// One step of the power iteration: v = W^T u, then u = W v, each scaled to length one. W is the
  /// weight as a matrix (O, C*k).
  void power_iteration() {
    const Tensor<T>& w = weight.tensor();  // (O, C, k)
    const index_t rows = u.numel(), columns = v.numel();
    Tensor<T> next_v(v.shape()), next_u(u.shape());  // (C*k), (O)
    for (index_t c = 0; c < columns; ++c) {
      double sum = 0;
      for (index_t r = 0; r < rows; ++r)
        sum += static_cast<double>(w[r * columns + c]) * static_cast<double>(std::as_const(u)[r]);
      next_v[c] = static_cast<T>(sum);
    }
    v = unit(std::move(next_v));
    for (index_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (index_t c = 0; c < columns; ++c)
        sum += static_cast<double>(w[r * columns + c]) * static_cast<double>(std::as_const(v)[c]);
      next_u[r] = static_cast<T>(sum);
    }
    u = unit(std::move(next_u));
  }

  /// Calls f(name, parameter) for every parameter, with the official names.
  template <class F>
  void parameters(F&& f) {
    f("bias", bias);
    f("weight_orig", weight);
  }

 private:
  static Tensor<T> unit(Tensor<T> x) {
    double sum = 0;
    for (const T value : std::as_const(x).span())
      sum += static_cast<double>(value) * static_cast<double>(value);
    const double length = math::max(math::sqrt(sum), 1e-12);
    for (index_t i = 0; i < x.numel(); ++i)
      x[i] = static_cast<T>(static_cast<double>(x[i]) / length);
    return x;
  }
};

/// One head: a convolution of width 1, a residual convolution of width k, and a convolution to
/// logits. Each channel is normalised over the tokens of a picture.
template <Operand X>
struct DinoDiscHead {
  using T = typename X::value_type;

  /// Convolution; norm over the tokens of each picture and channel, with weight and bias; leaky
  /// ReLU.
  struct Block {
    SpectralConv1d<X> conv;
    Parameter<X> weight, bias;  // (C)

    X operator()(const X& x) const {  // (B, C, L)
      const X normalized =
          normalize(NormParameters<X>{NormKind::layer, 1e-6, {}, {}}, conv(x));         // (B, C, L)
      return leaky_relu(channel_affine(normalized, weight.value, bias.value), T(0.2));  // (B, C, L)
    }
    template <class F>
    void parameters(F&& f) {
      visit("0.", conv, f);
      f("1.weight", weight);
      f("1.bias", bias);
    }
  };
  Block first, wide;       ///< of widths 1 and k
  SpectralConv1d<X> last;  ///< to one channel

  DinoDiscHead(index_t channels, index_t k)
      : first{{channels, channels, 1},
              Parameter<X>(Shape{channels}),
              Parameter<X>(Shape{channels})},
        wide{{channels, channels, k}, Parameter<X>(Shape{channels}), Parameter<X>(Shape{channels})},
        last(channels, 1, 1) {}

  /// Tokens (B, C, L) -> logits (B, L). Throws ShapeError.
  X operator()(const X& tokens) const {
    const X x = first(tokens);                                                    // (B, C, L)
    const X y = scale(add(wide(x), x), static_cast<T>(1 / std::numbers::sqrt2));  // (B, C, L)
    return reshape(last(y), {tokens.shape()[0], tokens.shape()[2]});              // (B, L)
  }

  /// Calls f(name, convolution) for the three convolutions, with the official names.
  template <class F>
  void convolutions(F&& f) {
    f("0.0.", first.conv);
    f("1.fn.0.", wide.conv);
    f("2.", last);
  }
  /// Calls f(name, parameter) for every parameter, with the official names.
  template <class F>
  void parameters(F&& f) {
    visit("0.", first, f);
    visit("1.fn.", wide, f);
    visit("2.", last, f);
  }
};

/// The frozen transformer, with the parameter names of DINO's checkpoint, whose last norm is not
/// used. The official code sets the bias of the keys to zero; this has no effect on a softmax, so
/// the stored bias is used here.
template <Operand X>
struct DinoBackbone {
  Linear<X> patch_embed;              // (D, 3*P*P)
  Parameter<X> cls_token, pos_embed;  // (1, 1, D), (1, 1+N, D)
  std::vector<VitBlock<X>> blocks;

  /// Calls f(name, parameter) for every parameter, with the official names.
  template <class F>
  void parameters(F&& f) {
    f("cls_token", cls_token);
    f("pos_embed", pos_embed);
    visit("patch_embed.proj.", patch_embed, f);
    for (std::size_t i = 0; i < blocks.size(); ++i)
      visit("blocks." + std::to_string(i) + ".", blocks[i], f);
  }
};

/// Pictures (B, 3, H, W) in [-1, 1] -> logits (B, heads * tokens). Its parameters are those of the
/// heads. The backbone is frozen, but gradients flow through it to the pictures.
template <Operand X>
class DinoDiscriminator {
 public:
  using T = typename X::value_type;

  /// Throws ConfigError for a configuration out of range.
  explicit DinoDiscriminator(const DinoDiscConfig& c = {}) : config_(c) {
    if (c.patch_size < 1 || c.image_size < c.patch_size || c.image_size % c.patch_size != 0)
      raise<ConfigError>("DinoDiscriminator: pictures of side ", c.image_size,
                         " do not divide into patches of ", c.patch_size);
    const index_t side = c.image_size / c.patch_size;
    if (c.num_layers < 1 || c.hidden_size < 1 || c.kernel_size < 1 || c.kernel_size % 2 == 0 ||
        c.kernel_size / 2 > side * side)
      raise<ConfigError>(
          "DinoDiscriminator: expected at least one layer and an odd kernel that fits, got ",
          c.num_layers, " layers of width ", c.hidden_size, " and a kernel of ", c.kernel_size);
    backbone.patch_embed = Linear<X>(3 * c.patch_size * c.patch_size, c.hidden_size);
    backbone.cls_token = Parameter<X>(Shape{1, 1, c.hidden_size});
    backbone.pos_embed = Parameter<X>(Shape{1, 1 + side * side, c.hidden_size});
    for (index_t i = 0; i < c.num_layers; ++i)
      backbone.blocks.emplace_back(c.hidden_size, c.intermediate_size, c.num_heads, 1e-6,
                                   Activation::gelu_tanh, false);
    backbone.parameters([](const std::string&, Parameter<X>& p) {
      if constexpr (requires { p.value.set_requires_grad(false); })
        p.value.set_requires_grad(false);
    });
    for (const index_t layer : c.key_layers)
      if (layer < 0 || layer >= c.num_layers)
        raise<ConfigError>("DinoDiscriminator: no layer ", layer, " among ", c.num_layers);
    for (std::size_t i = 0; i <= c.key_layers.size(); ++i)
      heads.emplace_back(c.hidden_size, c.kernel_size);

    constexpr std::array<double, 3> mean{0.485, 0.456, 0.406},
        deviation{0.229, 0.224, 0.225};            // of ImageNet
    Tensor<T> factor(Shape{3}), offset(Shape{3});  // (3) each
    for (index_t i = 0; i < 3; ++i) {
      const auto channel = static_cast<std::size_t>(i);
      factor[i] = static_cast<T>(0.5 / deviation[channel]);
      offset[i] = static_cast<T>((0.5 - mean[channel]) / deviation[channel]);
    }
    scale_ = X(factor);
    offset_ = X(offset);
  }

  /// The inputs of the heads, (B, D, N) each: the patch tokens after the last layer, then after
  /// each of the key layers. Throws ShapeError unless the pictures are (B, 3, H, W).
  std::vector<X> activations(const X& images) const {
    const Shape s = images.shape();
    if (s.rank() != 4 || s[1] != 3 || s.numel() == 0)
      raise<ShapeError>("DinoDiscriminator: expected pictures (B, 3, H, W), got ", s);
    const index_t side = config_.image_size;
    const bool fits = s[2] == side && s[3] == side;
    const X pictures = channel_affine(fits ? images : resize(images, Resize::bilinear, side, side),
                                      scale_, offset_);                  // (B, 3, side, side)
    X x = backbone.patch_embed(patchify(pictures, config_.patch_size));  // (B, N, D)
    x = add_broadcast(prepend_tokens(backbone.cls_token.value, x),
                      backbone.pos_embed.value);  // (B, 1+N, D)
    std::vector<X> outputs, out;  // (B, 1+N, D) of each layer; (B, D, N) of each head
    for (const VitBlock<X>& block : backbone.blocks) outputs.push_back(x = block(x));
    out.push_back(transpose(drop_tokens(outputs.back(), 1)));
    for (const index_t layer : config_.key_layers)
      out.push_back(transpose(drop_tokens(outputs[static_cast<std::size_t>(layer)], 1)));
    return out;
  }

  /// Logits (B, heads * N), those of all heads concatenated. Throws ShapeError.
  X operator()(const X& images) const {
    const std::vector<X> tokens = activations(images);  // (B, D, N) each
    X logits = heads[0](tokens[0]);                     // (B, N)
    for (std::size_t i = 1; i < heads.size(); ++i)
      logits = join_columns(logits, heads[i](tokens[i]));  // (B, (i + 1) * N)
    return logits;
  }

  /// One step of the power iteration of all weights, which PyTorch makes before each call in
  /// training mode.
  void power_iteration() {
    for (DinoDiscHead<X>& head : heads)
      head.convolutions(
          [](const std::string&, SpectralConv1d<X>& conv) { conv.power_iteration(); });
  }

  /// Calls f(name, parameter) for the trainable parameters, with the official names.
  template <class F>
  void parameters(F&& f) {
    for (std::size_t i = 0; i < heads.size(); ++i)
      visit("heads." + std::to_string(i) + ".", heads[i], f);
  }

  /// Calls f(name, tensor) for the vectors u and v of the power iterations, with the official
  /// names. They must be stored in checkpoints.
  template <class F>
  void buffers(F&& f) {
    for (std::size_t i = 0; i < heads.size(); ++i)
      heads[i].convolutions([&](const std::string& name, SpectralConv1d<X>& conv) {
        f("heads." + std::to_string(i) + "." + name + "weight_u", conv.u);
        f("heads." + std::to_string(i) + "." + name + "weight_v", conv.v);
      });
  }

  /// The sizes given to the constructor.
  [[nodiscard]] const DinoDiscConfig& config() const noexcept { return config_; }

  DinoBackbone<X> backbone;
  std::vector<DinoDiscHead<X>> heads;

 private:
  DinoDiscConfig config_;
  X scale_, offset_;  // (3)
};

/// Initial weights of the heads: convolutions uniform in +-1 / sqrt(C k) as in torch.nn.Conv1d,
/// norms with weight 1, and one power iteration from a normal u. The backbone is not changed.
template <Operand X>
void initialize(DinoDiscriminator<X>& model, std::uint64_t seed) {
  using T = typename X::value_type;
  std::uint64_t stream = 0;
  for (DinoDiscHead<X>& head : model.heads) {
    head.first.weight.set(Tensor<T>(head.first.weight.shape(), T(1)));
    head.wide.weight.set(Tensor<T>(head.wide.weight.shape(), T(1)));
    head.convolutions([&](const std::string&, SpectralConv1d<X>& conv) {
      const double bound = 1 / math::sqrt(static_cast<double>(conv.v.numel()));
      init_uniform(conv.weight, bound, seed, stream++);
      init_uniform(conv.bias, bound, seed, stream++);
      const Philox random(seed, stream++);
      for (index_t i = 0; i < conv.u.numel(); ++i)
        conv.u[i] = static_cast<T>(random.normal(static_cast<std::uint64_t>(i)));
      conv.power_iteration();
    });
  }
}

}  // namespace rae
