// The layers are defined once, in `network`, a template over a pass. The pass `Reading` runs on
// numbers of channels and reads the weights; the pass `Running` runs on pictures.
//
// Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision", table 1.
#include "rae/models/inception.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <map>
#include <utility>
#include <vector>

#include "rae/core/parallel.hpp"
#include "rae/kernels/gemm.hpp"

namespace rae {
namespace {

constexpr double kBatchNormEps = 0.001;
constexpr Window k1x1{}, k3x3{3, 3}, k3x3Halving{3, 3, 2}, k3x3Padded{3, 3, 1, 1, 1},
    k5x5Padded{5, 5, 1, 2, 2};
constexpr Window k1x7{1, 7, 1, 0, 3}, k7x1{7, 1, 1, 3, 0}, k1x3{1, 3, 1, 0, 1}, k3x1{3, 1, 1, 1, 0};

/// One convolution of a chain: the last part of its name, its output channels and its window.
struct Link {
  const char* name;
  index_t channels;
  Window window;
};

/// A sequence of convolutions.
template <class Pass>
typename Pass::Value chain(Pass& pass, const std::string& block, typename Pass::Value x,
                           std::initializer_list<Link> links) {
  for (const Link& link : links)
    x = pass.convolve(block + "." + link.name, x, link.channels, link.window);
  return x;
}

/// A fork in the last two blocks: the channels of a 1 x 3 and a 3 x 1 convolution, concatenated.
template <class Pass>
typename Pass::Value fork(Pass& pass, const std::string& name, const typename Pass::Value& x) {
  return pass.join(
      {pass.convolve(name + "a", x, 384, k1x3), pass.convolve(name + "b", x, 384, k3x1)});
}

/// A block on 35 x 35 positions, with `pooled` channels in its pooling branch.
template <class Pass>
typename Pass::Value block_35(Pass& pass, const std::string& name, const typename Pass::Value& x,
                              index_t pooled) {
  return pass.join(
      {chain(pass, name, x, {{"branch1x1", 64, k1x1}}),
       chain(pass, name, x, {{"branch5x5_1", 48, k1x1}, {"branch5x5_2", 64, k5x5Padded}}),
       chain(pass, name, x,
             {{"branch3x3dbl_1", 64, k1x1},
              {"branch3x3dbl_2", 96, k3x3Padded},
              {"branch3x3dbl_3", 96, k3x3Padded}}),
       chain(pass, name, pass.mean(x, k3x3Padded), {{"branch_pool", pooled, k1x1}})});
}

/// A block on 17 x 17 positions, with `inner` channels inside its 7 x 7 branches.
template <class Pass>
typename Pass::Value block_17(Pass& pass, const std::string& name, const typename Pass::Value& x,
                              index_t inner) {
  return pass.join({chain(pass, name, x, {{"branch1x1", 192, k1x1}}),
                    chain(pass, name, x,
                          {{"branch7x7_1", inner, k1x1},
                           {"branch7x7_2", inner, k1x7},
                           {"branch7x7_3", 192, k7x1}}),
                    chain(pass, name, x,
                          {{"branch7x7dbl_1", inner, k1x1},
                           {"branch7x7dbl_2", inner, k7x1},
                           {"branch7x7dbl_3", inner, k1x7},
                           {"branch7x7dbl_4", inner, k7x1},
                           {"branch7x7dbl_5", 192, k1x7}}),
                    chain(pass, name, pass.mean(x, k3x3Padded), {{"branch_pool", 192, k1x1}})});
}

/// A block on 8 x 8 positions. `pooled` is x after mean pooling in the first of these blocks and
/// after max pooling in the second. The difference was an oversight in 2015, but the published
/// weights were trained with it.
template <class Pass>
typename Pass::Value block_8(Pass& pass, const std::string& name, const typename Pass::Value& x,
                             const typename Pass::Value& pooled) {
  return pass.join(
      {chain(pass, name, x, {{"branch1x1", 320, k1x1}}),
       fork(pass, name + ".branch3x3_2", chain(pass, name, x, {{"branch3x3_1", 384, k1x1}})),
       fork(pass, name + ".branch3x3dbl_3",
            chain(pass, name, x,
                  {{"branch3x3dbl_1", 448, k1x1}, {"branch3x3dbl_2", 384, k3x3Padded}})),
       chain(pass, name, pooled, {{"branch_pool", 192, k1x1}})});
}

/// All layers up to the last block: (B, 3, 299, 299) -> (B, 2048, 8, 8).
template <class Pass>
typename Pass::Value network(Pass& pass, typename Pass::Value x) {
  x = pass.convolve("Conv2d_1a_3x3", x, 32, k3x3Halving);  // 149 x 149
  x = pass.convolve("Conv2d_2a_3x3", x, 32, k3x3);
  x = pass.convolve("Conv2d_2b_3x3", x, 64, k3x3Padded);
  x = pass.largest(x, k3x3Halving);  // 73 x 73
  x = pass.convolve("Conv2d_3b_1x1", x, 80, k1x1);
  x = pass.convolve("Conv2d_4a_3x3", x, 192, k3x3);
  x = pass.largest(x, k3x3Halving);  // 35 x 35
  x = block_35(pass, "Mixed_5b", x, 32);
  x = block_35(pass, "Mixed_5c", x, 64);
  x = block_35(pass, "Mixed_5d", x, 64);
  x = pass.join({chain(pass, "Mixed_6a", x, {{"branch3x3", 384, k3x3Halving}}),
                 chain(pass, "Mixed_6a", x,
                       {{"branch3x3dbl_1", 64, k1x1},
                        {"branch3x3dbl_2", 96, k3x3Padded},
                        {"branch3x3dbl_3", 96, k3x3Halving}}),
                 pass.largest(x, k3x3Halving)});  // 17 x 17
  x = block_17(pass, "Mixed_6b", x, 128);
  x = block_17(pass, "Mixed_6c", x, 160);
  x = block_17(pass, "Mixed_6d", x, 160);
  x = block_17(pass, "Mixed_6e", x, 192);
  x = pass.join(
      {chain(pass, "Mixed_7a", x, {{"branch3x3_1", 192, k1x1}, {"branch3x3_2", 320, k3x3Halving}}),
       chain(pass, "Mixed_7a", x,
             {{"branch7x7x3_1", 192, k1x1},
              {"branch7x7x3_2", 192, k1x7},
              {"branch7x7x3_3", 192, k7x1},
              {"branch7x7x3_4", 192, k3x3Halving}}),
       pass.largest(x, k3x3Halving)});  // 8 x 8
  x = block_8(pass, "Mixed_7b", x, pass.mean(x, k3x3Padded));
  return block_8(pass, "Mixed_7c", x, pass.largest(x, k3x3Padded));
}

/// The pass that reads the weights; a value is a number of channels.
struct Reading {
  using Value = index_t;
  const Inception::ReadWeight& read;
  std::map<std::string, Inception::Convolution>& convolutions;
  index_t divisor;

  Value convolve(const std::string& name, Value in, index_t channels, const Window& window) {
    const index_t out = channels / divisor, taps = in * window.height * window.width;
    Tensor<float> weight = read(name + ".conv.weight", {out, in, window.height, window.width}),
                  bias(Shape{out});  // (O, C, kh, kw), (O)
    const std::string norm = name + ".bn.";
    const Tensor<float> gamma = read(norm + "weight", {out}), beta = read(norm + "bias", {out}),
                        mean = read(norm + "running_mean", {out}),
                        var = read(norm + "running_var", {out});  // (O) each
    for (index_t o = 0; o < out; ++o) {
      if (var[o] < 0)
        raise<NumericError>("Inception: ", norm, "running_var holds the negative variance ",
                            var[o]);
      const double scale =
          static_cast<double>(gamma[o]) / std::sqrt(static_cast<double>(var[o]) + kBatchNormEps);
      for (index_t i = 0; i < taps; ++i)
        weight[o * taps + i] =
            static_cast<float>(scale * static_cast<double>(weight[o * taps + i]));
      bias[o] =
          static_cast<float>(static_cast<double>(beta[o]) - scale * static_cast<double>(mean[o]));
    }
    if (!all_finite(std::as_const(weight).span()) || !all_finite(std::as_const(bias).span()))
      raise<NumericError>("Inception: the weights of ", name, " contain NaN or infinity");
    convolutions[name] = {window, std::move(weight), std::move(bias)};
    return out;
  }
  static Value largest(Value x, const Window&) { return x; }
  static Value mean(Value x, const Window&) { return x; }
  static Value join(std::initializer_list<Value> parts) {
    Value sum = 0;
    for (const Value part : parts) sum += part;
    return sum;
  }
};

/// The pass that computes the layers; a value is a tensor (B, C, H, W).
struct Running {
  using Value = Tensor<float>;
  const std::map<std::string, Inception::Convolution>& convolutions;

  [[nodiscard]] Value convolve(const std::string& name, const Value& x, index_t,
                               const Window& window) const {
    const Inception::Convolution& layer = convolutions.at(name);
    Value out = make(x, layer.weight.extent(0), window);  // (B, O, H', W')
    conv2d<float>(x.view(), layer.weight.view(), layer.bias.view(), window, out.view());
    float* values = out.data();
    parallel_for(out.numel(), index_t{1} << 14,
                 [=](index_t i) { values[i] = std::max(values[i], 0.0f); });
    return out;
  }
  [[nodiscard]] static Value largest(const Value& x, const Window& window) {
    Value out = make(x, x.extent(1), window);  // (B, C, H', W')
    max_pool2d<float>(x.view(), window, out.view());
    return out;
  }
  [[nodiscard]] static Value mean(const Value& x, const Window& window) {
    Value out = make(x, x.extent(1), window);  // (B, C, H', W')
    avg_pool2d<float>(x.view(), window, out.view());
    return out;
  }
  [[nodiscard]] static Value join(std::initializer_list<Value> parts) {
    Shape shape = parts.begin()->shape();
    index_t channels = 0;
    for (const Value& part : parts) channels += part.extent(1);
    Value out(shape.with(1, channels));  // (B, sum of C, H, W)
    float* target = out.data();
    for (index_t b = 0; b < shape[0]; ++b)
      for (const Value& part : parts) {
        const index_t size = part.numel() / shape[0];
        target = std::copy_n(part.data() + b * size, size, target);
      }
    return out;
  }
  /// An output of uninitialised elements: (B, channels, H', W').
  [[nodiscard]] static Value make(const Value& x, index_t channels, const Window& window) {
    return Value(
        Shape{x.extent(0), channels, window.out_h(x.extent(2)), window.out_w(x.extent(3))});
  }
};

/// Bilinear interpolation along one axis: for each of the 299 outputs, the indices of two pixels
/// and the weight of the second. Positions are f32, as in TensorFlow.
struct Taps {
  std::vector<index_t> low, high;
  std::vector<float> share;

  explicit Taps(index_t size) {
    const auto scale =
        static_cast<float>(static_cast<double>(size) / static_cast<double>(Inception::kSize));
    for (index_t i = 0; i < Inception::kSize; ++i) {
      const float at = static_cast<float>(i) * scale;
      low.push_back(std::min(static_cast<index_t>(at), size - 1));
      high.push_back(std::min(low.back() + 1, size - 1));
      share.push_back(at - static_cast<float>(low.back()));
    }
  }
};

}  // namespace

Inception::Inception(const ReadWeight& read, const InceptionConfig& config) {
  const index_t divisor = config.width_divisor;
  if (divisor < 1 || 16 % divisor != 0 || config.classes < 1)
    raise<ConfigError>(
        "Inception: expected a width divisor of 1, 2, 4, 8 or 16 and at least one class, got ",
        divisor, " and ", config.classes);
  Reading pass{read, convolutions_, divisor};
  const index_t width = network(pass, 3);
  head_ = read("fc.weight", {config.classes, width});
  if (!all_finite(std::as_const(head_).span()))
    raise<NumericError>("Inception: fc.weight contains NaN or infinity");
}

Tensor<float> Inception::input(const Tensor<float>& images) {
  if (images.empty() || images.rank() != 4 || images.extent(1) != 3 || images.numel() == 0)
    raise<ShapeError>("Inception: expected pictures (B, 3, H, W), got ",
                      images.empty() ? std::string("nothing") : images.shape().to_string());
  const index_t rows = images.extent(2), columns = images.extent(3);
  const Taps y(rows), x(columns);
  Tensor<float> out(Shape{images.extent(0), 3, kSize, kSize});  // (B, 3, 299, 299)
  float* target = out.data();
  const float* source = images.data();
  parallel_for(images.extent(0) * 3 * kSize, 8, [&](index_t i) {
    const auto row = static_cast<std::size_t>(i % kSize);
    const float *top = source + (i / kSize * rows + y.low[row]) * columns,
                *bottom = source + (i / kSize * rows + y.high[row]) * columns;
    for (std::size_t j = 0; j < x.share.size(); ++j) {
      const float upper = top[x.low[j]] + (top[x.high[j]] - top[x.low[j]]) * x.share[j];
      const float lower = bottom[x.low[j]] + (bottom[x.high[j]] - bottom[x.low[j]]) * x.share[j];
      target[i * kSize + static_cast<index_t>(j)] =
          (upper + (lower - upper) * y.share[row] - 128.0f) / 128.0f;
    }
  });
  return out;
}

Tensor<float> Inception::features(const Tensor<float>& images) const {
  const Running pass{convolutions_};
  const Tensor<float> last = network(pass, input(images));  // (B, width, 8, 8)
  const index_t plane = last.extent(2) * last.extent(3);
  Tensor<float> out(Shape{last.extent(0), last.extent(1)});  // (B, width)
  for (index_t i = 0; i < out.numel(); ++i) {
    double sum = 0;
    for (index_t p = 0; p < plane; ++p) sum += static_cast<double>(last.data()[i * plane + p]);
    out[i] = static_cast<float>(sum / static_cast<double>(plane));
  }
  return out;
}

Tensor<float> Inception::logits(const Tensor<float>& features) const {
  if (features.empty() || features.rank() != 2 || features.extent(1) != width())
    raise<ShapeError>("Inception: expected features (B, ", width(), "), got ",
                      features.empty() ? std::string("nothing") : features.shape().to_string());
  Tensor<float> out(Shape{features.extent(0), head_.extent(0)});  // (B, classes)
  gemm<float>(features.view(), head_.view().transposed(), out.view());
  return out;
}

}  // namespace rae
