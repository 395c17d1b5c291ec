// Inception-v3 as the usual evaluators of generated pictures run it: the network of 2015 with
// TensorFlow's resizing and pooling, for the Fréchet distance (FID) and the Inception score.
//
// Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture for computer
// vision" (2016), table 1; layers, names and differences from torchvision as in torch-fidelity's
// weights pt_inception-2015-12-05.
#pragma once

#include <map>
#include <string>

#include "rae/core/function.hpp"
#include "rae/core/tensor.hpp"
#include "rae/kernels/window.hpp"

namespace rae {

/// Shape of the network; the defaults are those of the published weights.
struct InceptionConfig {
  index_t width_divisor = 1;  ///< divides the channels of every layer: 1, 2, 4, 8 or 16
  index_t classes = 1008;     ///< logits, not divided
};

/// The network for inference, its batch norms folded into the convolutions. A value: copies share
/// the weights; all members can be called from several threads.
class Inception {
 public:
  /// Reads the weight of a name, such as "Mixed_5b.branch1x1.conv.weight" or "fc.weight", and
  /// shape.
  using ReadWeight = Function<Tensor<float>(const std::string& name, const Shape& shape)>;

  /// Side of the pictures that the network sees.
  static constexpr index_t kSize = 299;

  /// Reads all weights. Throws ConfigError for a width that does not divide, NumericError for
  /// negative variances and weights that are not finite, and what `read` throws.
  explicit Inception(const ReadWeight& read, const InceptionConfig& config = {});

  /// What the first layer sees: (B, 3, 299, 299) in about [-1, 1], for pictures (B, 3, H, W) with
  /// samples from 0 to 255. Bilinear with the corner of the first pixel at 0, as TensorFlow 1
  /// resized. Throws ShapeError.
  [[nodiscard]] static Tensor<float> input(const Tensor<float>& images);

  /// Means of the last block's channels, "pool3": (B, 2048 / width_divisor), for pictures as
  /// `input` takes them. Throws ShapeError.
  [[nodiscard]] Tensor<float> features(const Tensor<float>& images) const;

  /// Logits (B, classes) of features, without the bias, as the Inception score takes them. Throws
  /// ShapeError.
  [[nodiscard]] Tensor<float> logits(const Tensor<float>& features) const;

  /// Width of the features.
  [[nodiscard]] index_t width() const noexcept { return head_.extent(1); }

  /// A convolution with the batch norm behind it.
  struct Convolution {
    Window window;         ///< kernel, stride and border
    Tensor<float> weight;  ///< (O, C, kh, kw)
    Tensor<float> bias;    ///< (O)
  };

 private:
  std::map<std::string, Convolution> convolutions_;  // by name
  Tensor<float> head_;                               // (classes, width)
};

}  // namespace rae
