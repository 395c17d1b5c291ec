// LPIPS: a perceptual distance between pictures in the features of VGG16. With L1, it is the
// reconstruction loss of RAE's decoder.
//
// Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (2018),
// section 3.
#pragma once

#include <string>
#include <vector>

#include "rae/models/name_map.hpp"
#include "rae/nn/conv2d.hpp"
#include "rae/ops/activation.hpp"
#include "rae/ops/channels.hpp"
#include "rae/ops/elementwise.hpp"

namespace rae {

/// Sizes of the feature network; the defaults are those of VGG16.
struct LpipsConfig {
  /// Channels of each stage; there is 2 x 2 max-pooling between stages.
  std::vector<index_t> channels{64, 128, 256, 512, 512};
  /// Number of 3 x 3 convolutions with ReLU in each stage; the output of the last one is compared.
  std::vector<index_t> convolutions{2, 2, 3, 3, 3};
};

/// Distance between pictures (B, 3, H, W) in [-1, 1]. The network is frozen: gradients flow only to
/// the pictures.
template <Operand X>
class Lpips {
 public:
  using T = typename X::value_type;

  /// Throws ConfigError for stages without channels or convolutions.
  explicit Lpips(const LpipsConfig& config = {}) : config_(config) {
    if (config.channels.empty() || config.channels.size() != config.convolutions.size())
      raise<ConfigError>("Lpips: expected as many numbers of convolutions as of channels, got ",
                         config.convolutions.size(), " and ", config.channels.size());
    index_t in = 3;
    for (std::size_t s = 0; s < config.channels.size(); ++s) {
      if (config.channels[s] < 1 || config.convolutions[s] < 1)
        raise<ConfigError>("Lpips: stage ", s, " has ", config.channels[s], " channels and ",
                           config.convolutions[s], " convolutions");
      stages.emplace_back();
      for (index_t i = 0; i < config.convolutions[s]; ++i) {
        stages.back().emplace_back(in, config.channels[s], 3);
        in = config.channels[s];
      }
      heads.emplace_back(Shape{config.channels[s]});
    }
    parameters([](const std::string&, Parameter<X>& p) {
      if constexpr (requires { p.value.set_requires_grad(false); })
        p.value.set_requires_grad(false);
    });
    // Statistics of ImageNet for pictures in [-1, 1], with the digits of the official scaling
    // layer.
    const Tensor<T> shift(Shape{3}, {T(-.030), T(-.088), T(-.188)}),
        deviation(Shape{3}, {T(.458), T(.448), T(.450)});  // (3) each
    Tensor<T> factor(Shape{3}), offset(Shape{3});          // (3) each
    for (index_t c = 0; c < 3; ++c) {
      factor[c] = T(1) / deviation[c];
      offset[c] = -shift[c] / deviation[c];
    }
    scale_ = X(factor);
    offset_ = X(offset);
  }

  /// The output of each stage s, (B, C_s, H / 2^s, W / 2^s). Throws ShapeError unless the pictures
  /// are (B, 3, H, W) with sides that leave at least one position in the last stage.
  std::vector<X> features(const X& images) const {
    const Shape s = images.shape();
    const index_t smallest = index_t{1} << (stages.size() - 1);
    if (s.rank() != 4 || s[0] < 1 || s[1] != 3 || s[2] < smallest || s[3] < smallest)
      raise<ShapeError>("Lpips: expected pictures (B, 3, H, W) with sides of at least ", smallest,
                        ", got ", s);
    std::vector<X> out;
    X x = channel_affine(images, scale_, offset_);  // (B, 3, H, W)
    for (std::size_t stage = 0; stage < stages.size(); ++stage) {
      if (stage > 0) x = max_pool2d(x);
      for (const Conv2d<X>& convolution : stages[stage])
        x = leaky_relu(convolution(x), T(0));  // (B, C_s, H / 2^s, W / 2^s)
      out.push_back(x);
    }
    return out;
  }

  /// Distance of each pair of pictures: (B). Throws ShapeError.
  X operator()(const X& x, const X& y) const {
    require_shape("Lpips", y.shape(), x.shape());
    const std::vector<X> a = features(x), b = features(y);
    X sum = distance(0, a[0], b[0]);  // (B)
    for (std::size_t stage = 1; stage < stages.size(); ++stage)
      sum = add(sum, distance(stage, a[stage], b[stage]));
    return sum;
  }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    for (std::size_t s = 0; s < stages.size(); ++s)
      for (std::size_t i = 0; i < stages[s].size(); ++i)
        visit("stages." + std::to_string(s) + "." + std::to_string(i) + ".", stages[s][i], f);
    for (std::size_t s = 0; s < heads.size(); ++s)
      f("heads." + std::to_string(s) + ".weight", heads[s]);
  }

  /// The sizes given to the constructor.
  [[nodiscard]] const LpipsConfig& config() const noexcept { return config_; }

  std::vector<std::vector<Conv2d<X>>> stages;  ///< the convolutions of each stage
  std::vector<Parameter<X>> heads;  // (C_s): 1 x 1 convolutions to one channel, without bias

 private:
  // Weighted distance of features a, b (B, C_s, H, W), each scaled to unit length over its
  // channels, averaged over positions: (B).
  X distance(std::size_t stage, const X& a, const X& b) const {
    return channel_distance(unit_channels(a), unit_channels(b), heads[stage].tensor());
  }

  LpipsConfig config_;
  X scale_, offset_;  // (3)
};

/// Parameter names in the two files of LPIPS: "features.N.weight" of torchvision's VGG16, and
/// "linS.model.1.weight" of the heads.
inline NameMap lpips_names(const LpipsConfig& config = {}) {
  return [config](const std::string& name) -> std::vector<std::string> {
    if (name.rfind("heads.", 0) == 0)
      return {"lin" + name.substr(6, name.find('.', 6) - 6) + ".model.1.weight"};
    const std::size_t dot = name.find('.', 7), end = name.find('.', dot + 1);
    const auto stage = static_cast<std::size_t>(std::stoul(name.substr(7, dot - 7)));
    // torchvision numbers all layers: a ReLU follows each convolution, and pooling each stage.
    index_t index = 2 * static_cast<index_t>(std::stoul(name.substr(dot + 1, end - dot - 1)));
    for (std::size_t s = 0; s < stage; ++s) index += 2 * config.convolutions[s] + 1;
    return {"features." + std::to_string(index) + name.substr(end)};
  };
}

}  // namespace rae
