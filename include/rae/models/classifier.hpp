// A plain convolutional classifier that evaluates generated pictures. It shares no code or weights
// with the models that it evaluates.
//
// Pairs of 3 x 3 convolutions with pooling between them (Simonyan and Zisserman 2015, "Very Deep
// Convolutional Networks", section 2.1).
#pragma once

#include <vector>

#include "rae/core/math.hpp"
#include "rae/nn/conv2d.hpp"
#include "rae/nn/initialize.hpp"
#include "rae/nn/linear.hpp"
#include "rae/ops/tokens.hpp"

namespace rae {

/// Sizes of a classifier.
struct ClassifierConfig {
  index_t channels = 1, height = 28, width = 28;  ///< of the pictures; sides of at least 4
  index_t classes = 10;                           ///< logits
  /// Channels of the first pair of convolutions; each later pair has twice as many as the pair
  /// before it, up to 8 times.
  index_t first_channels = 32;
  index_t features = 128;  ///< width of the layer before the logits

  /// Number of stages, each of which halves the sides: until the shorter is at most 8, at least
  /// one.
  [[nodiscard]] index_t stages() const noexcept {
    index_t n = 1, side = math::min(height, width) / 2;
    while (side > 8) {
      side /= 2;
      ++n;
    }
    return n;
  }
  /// Channels of stage `stage`, counted from 0.
  [[nodiscard]] index_t channels_of(index_t stage) const noexcept {
    return first_channels << math::min<index_t>(stage, 3);
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
    for (index_t stage = 0; stage < c.stages(); ++stage) {
      convolutions.emplace_back(in, c.channels_of(stage), 3);
      in = c.channels_of(stage);
      convolutions.emplace_back(in, in, 3);
    }
    hidden = Linear<X>(in * (c.height >> c.stages()) * (c.width >> c.stages()), c.features);
    head = Linear<X>(c.features, c.classes);
  }

  /// The input of the last layer: (B, features). Throws ShapeError for pictures of another size.
  X features(const X& images) const {
    const Shape s = images.shape();
    require_shape("Classifier", s,
                  {s.rank() > 0 ? s[0] : 0, config_.channels, config_.height, config_.width});
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

  /// The sizes given to the constructor.
  [[nodiscard]] const ClassifierConfig& config() const noexcept { return config_; }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    for (std::size_t i = 0; i < convolutions.size(); ++i)
      visit("convolutions." + std::to_string(i) + ".", convolutions[i], f);
    visit("hidden.", hidden, f);
    visit("head.", head, f);
  }

  std::vector<Conv2d<X>> convolutions;  ///< two per stage
  Linear<X> hidden, head;               // (features, C_s*h*w), (classes, features)

 private:
  ClassifierConfig config_;
};

/// Initial weights: normal with deviation sqrt(2 / fan in) (He et al. 2015), zero biases.
template <Operand X>
void initialize(Classifier<X>& model, std::uint64_t seed) {
  std::uint64_t stream = 0;
  model.parameters([&](const std::string&, auto& p) {
    ++stream;
    const Shape s = p.shape();
    if (s.rank() > 1)
      init_normal(p, math::sqrt(2.0 / static_cast<double>(s.numel() / s[0])), seed, stream);
  });
}

}  // namespace rae
