// Convolutional classifiers that evaluate generated pictures. They share no code or weights with
// the models that they evaluate.
//
// `plain`: pairs of 3 x 3 convolutions with pooling between them (Simonyan and Zisserman 2015,
// "Very Deep Convolutional Networks", section 2.1). `residual`: stages of a convolution with
// pooling and a residual convolution (He et al. 2016, "Deep Residual Learning for Image
// Recognition", equation 1), each followed by group normalisation (Wu and He 2018), which needs no
// statistics of a batch.
#pragma once

#include <numeric>
#include <vector>

#include "rae/core/math.hpp"
#include "rae/nn/conv2d.hpp"
#include "rae/nn/group_norm.hpp"
#include "rae/nn/initialize.hpp"
#include "rae/nn/linear.hpp"
#include "rae/ops/activation.hpp"
#include "rae/ops/channels.hpp"
#include "rae/ops/elementwise.hpp"
#include "rae/ops/tokens.hpp"

namespace rae {

/// The layers of a classifier.
enum class ClassifierNetwork { plain, residual };

/// Sizes of a classifier.
struct ClassifierConfig {
  index_t channels = 1, height = 28, width = 28;  ///< of the pictures; sides of at least 4
  index_t classes = 10;                           ///< logits
  /// plain: channels of the first pair of convolutions; each later pair has twice as many as the
  /// pair before it, up to 8 times. residual: channels of the first convolution; each stage has
  /// twice as many as the convolution before it, up to 8 times.
  index_t first_channels = 32;
  index_t features = 128;  ///< width of the layer before the logits; residual: the channels of the
                           ///< last stage, whatever is given here
  ClassifierNetwork network = ClassifierNetwork::plain;

  /// Stride of the first convolution: 1 for pictures with a shorter side below 96, so that the
  /// stages see at least 48 pixels of a larger side. Always 1 for a plain network.
  [[nodiscard]] index_t first_stride() const noexcept {
    index_t stride = 1;
    while (network == ClassifierNetwork::residual && math::min(height, width) >= 96 * stride)
      stride *= 2;
    return stride;
  }
  /// Number of stages, each of which halves the sides: until the shorter is at most 8 (plain) or 7
  /// (residual), at least one.
  [[nodiscard]] index_t stages() const noexcept {
    const index_t largest = network == ClassifierNetwork::plain ? 8 : 7;
    index_t n = 1, side = math::min(height, width) / first_stride() / 2;
    while (side > largest) {
      side /= 2;
      ++n;
    }
    return n;
  }
  /// Channels of stage `stage`, counted from 0.
  [[nodiscard]] index_t channels_of(index_t stage) const noexcept {
    return first_channels << math::min<index_t>(
               network == ClassifierNetwork::plain ? stage : stage + 1, 3);
  }
};

/// Pictures (B, C, H, W) in [0, 1] -> logits (B, classes).
template <Operand X>
class Classifier {
 public:
  using T = typename X::value_type;

  /// Throws ConfigError for sizes out of range.
  explicit Classifier(const ClassifierConfig& c) : config_(c) {
    if (math::min(c.height, c.width) < 4 || c.channels < 1 || c.classes < 1 ||
        c.first_channels < 1 || c.features < 1)
      raise<ConfigError>(
          "Classifier: expected pictures of at least 4 x 4 and at least one channel, class and "
          "feature, got ",
          c.channels, " x ", c.height, " x ", c.width, ", ", c.classes, " classes, ",
          c.first_channels, " channels, ", c.features, " features");
    index_t in = c.channels;
    if (residual()) {
      const index_t stride = c.first_stride();
      add_layer(in, c.first_channels, stride > 1 ? 2 * stride - 1 : 3, stride);
      in = c.first_channels;
    }
    for (index_t stage = 0; stage < c.stages(); ++stage) {
      add_layer(in, c.channels_of(stage), 3, 1);
      in = c.channels_of(stage);
      add_layer(in, in, 3, 1);
    }
    if (residual()) {
      config_.features = in;
      // From [0, 1] to about mean 0 and deviation 1.
      scale_ = X(Tensor<T>(Shape{c.channels}, T(4)));
      offset_ = X(Tensor<T>(Shape{c.channels}, T(-2)));
    } else {
      hidden = Linear<X>(in * (c.height >> c.stages()) * (c.width >> c.stages()), c.features);
    }
    head = Linear<X>(config_.features, c.classes);
  }

  /// The input of the last layer: (B, features). Throws ShapeError for pictures of another size.
  X features(const X& images) const {
    const Shape s = images.shape();
    require_shape("Classifier", s,
                  {s.rank() > 0 ? s[0] : 0, config_.channels, config_.height, config_.width});
    if (residual()) return residual_features(images);
    X x = images;  // (B, C, H, W)
    for (std::size_t i = 0; i < convolutions.size(); i += 2) {
      x = activate(convolutions[i](x), Activation::gelu_tanh);  // (B, C_s, H_s, W_s)
      x = activate(max_pool2d(convolutions[i + 1](x)),
                   Activation::gelu_tanh);  // (B, C_s, H_s/2, W_s/2)
    }
    return hidden(reshape(x, {s[0], x.shape().numel() / s[0]}),
                  Activation::gelu_tanh);  // (B, features)
  }

  /// Logits (B, classes) of features (B, features).
  X classify(const X& features) const { return head(features); }

  /// Logits (B, classes) of pictures. Throws ShapeError.
  X operator()(const X& images) const { return classify(features(images)); }

  /// The sizes given to the constructor, with the number of features.
  [[nodiscard]] const ClassifierConfig& config() const noexcept { return config_; }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    for (std::size_t i = 0; i < convolutions.size(); ++i)
      visit("convolutions." + std::to_string(i) + ".", convolutions[i], f);
    for (std::size_t i = 0; i < norms.size(); ++i)
      visit("norms." + std::to_string(i) + ".", norms[i], f);
    if (!hidden.empty()) visit("hidden.", hidden, f);
    visit("head.", head, f);
  }

  std::vector<Conv2d<X>> convolutions;  ///< two per stage; residual: after one before all stages
  std::vector<GroupNorm<X>> norms;      ///< residual: one per convolution
  Linear<X> hidden;                     // (features, C_s*h*w); residual: empty
  Linear<X> head;                       // (classes, features)

 private:
  [[nodiscard]] bool residual() const noexcept {
    return config_.network == ClassifierNetwork::residual;
  }
  void add_layer(index_t in, index_t out, index_t k, index_t stride) {
    convolutions.emplace_back(in, out, k, stride, !residual());
    if (residual()) norms.emplace_back(std::gcd(out, index_t{8}), out);
  }
  X residual_features(const X& images) const {
    const auto normalized = [&](std::size_t i, const X& x) {
      return activate(norms[i](x), Activation::gelu_tanh);  // as x
    };
    X x = channel_affine(images, scale_, offset_);  // (B, C, H, W)
    x = normalized(0, convolutions[0](x));          // (B, C_0, H_0, W_0)
    for (std::size_t i = 1; i < convolutions.size(); i += 2) {
      x = normalized(i, max_pool2d(convolutions[i](x)));      // (B, C_s, H_s/2, W_s/2)
      x = add(x, normalized(i + 1, convolutions[i + 1](x)));  // the same
    }
    const Shape s = x.shape();
    return reshape(max_pool2d(x, {s[2], s[3]}), {s[0], s[1]});  // (B, features)
  }

  ClassifierConfig config_;
  X scale_, offset_;  // (C) each; residual
};

/// Initial weights: normal with deviation sqrt(2 / fan in) (He et al. 2015), 1 for norms, zero
/// biases.
template <Operand X>
void initialize(Classifier<X>& model, std::uint64_t seed) {
  std::uint64_t stream = 0;
  model.parameters([&](const std::string& name, auto& p) {
    ++stream;
    const Shape s = p.shape();
    if (s.rank() > 1)
      init_normal(p, math::sqrt(2.0 / static_cast<double>(s.numel() / s[0])), seed, stream);
    else if (detail::last_name(name) == "weight")
      init_constant(p, 1.0);
  });
}

}  // namespace rae
