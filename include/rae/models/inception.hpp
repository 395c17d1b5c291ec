// Inception-v3 as it is commonly used to evaluate generated pictures: the network of 2015 with the
// resizing and pooling of TensorFlow, for the Fréchet distance (FID) and the Inception score.
//
// Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture for computer
// vision" (2016), table 1; layers, parameter names and differences from torchvision as in
// the weights pt_inception-2015-12-05 of torch-fidelity.
#pragma once

#include <map>
#include <string>

#include "rae/core/function.hpp"
#include "rae/core/tensor.hpp"
#include "rae/kernels/conv.hpp"

namespace rae {

/// Sizes of the network; the defaults are those of the published weights.
struct InceptionConfig {
  index_t width_divisor = 1;  ///< divides the channels of every layer: 1, 2, 4, 8 or 16
  index_t classes = 1008;     ///< number of logits; not divided
};

/// The network for inference, with batch norms folded into the convolutions. A value: copies share
/// the weights. All members can be called from several threads.
class Inception {
 public:
  /// Returns the weight of the given name and shape. Names are, for example,
  /// "Mixed_5b.branch1x1.conv.weight" and "fc.weight".
  using ReadWeight = Function<Tensor<float>(const std::string& name, const Shape& shape)>;

  /// Side of the pictures at the first layer.
  static constexpr index_t kSize = 299;

  /// Reads all weights. Throws ConfigError for another width divisor, NumericError for negative
  /// variances and for weights that are not finite, and the errors of `read`.
  explicit Inception(const ReadWeight& read, const InceptionConfig& config = {});

  /// The input (B, 3, 299, 299) of the first layer, in [-1, 1), for pictures (B, 3, H, W) with
  /// values from 0 to 255. The resizing is bilinear; row i of the output is at row i * H / 299 of
  /// the picture, as in TensorFlow 1 (align_corners and half_pixel_centers off). Throws ShapeError.
  [[nodiscard]] static Tensor<float> input(const Tensor<float>& images);

  /// Means over the positions of the last block's output, "pool3": (B, 2048 / width_divisor), for
  /// pictures (B, 3, H, W) with values from 0 to 255. Throws ShapeError.
  [[nodiscard]] Tensor<float> features(const Tensor<float>& images) const;

  /// Logits (B, classes) of features (B, width), without the bias, as for the Inception score.
  /// Throws ShapeError.
  [[nodiscard]] Tensor<float> logits(const Tensor<float>& features) const;

  /// Width of the features.
  [[nodiscard]] index_t width() const noexcept { return head_.extent(1); }

  /// A convolution, with the batch norm after it folded in.
  struct Convolution {
    Window window;         ///< kernel, stride and padding
    Tensor<float> weight;  ///< (O, C, kh, kw)
    Tensor<float> bias;    ///< (O)
  };

 private:
  std::map<std::string, Convolution> convolutions_;  // by name
  Tensor<float> head_;                               // (classes, width)
};

}  // namespace rae
