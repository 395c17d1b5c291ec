// How far a reconstruction is from its picture: L1, LPIPS, and the frozen encoder's own features.
//
// Diffusion Transformers with Representation Autoencoders, section 3 (L_rec); official
// train_stage1.py. Where the weights of LPIPS are not at hand, or pictures are not of three
// channels, the features of the frozen encoder take its place.
#pragma once

#include <map>
#include <optional>

#include "rae/core/owner.hpp"
#include "rae/models/encoder_network.hpp"
#include "rae/models/lpips.hpp"
#include "rae/models/pixel_norm.hpp"

namespace rae {

/// When a loss joins in: the first step of an epoch, or a step.
struct LossStart {
  index_t step = 0;   ///< number of steps without it, beside those of the epochs
  index_t epoch = 0;  ///< number of epochs without it

  /// The first step with it. An epoch is a whole number of steps: those that fit into the data set.
  [[nodiscard]] index_t first_step(index_t steps_per_epoch) const noexcept {
    return step + epoch * steps_per_epoch;
  }
};

/// LPIPS in the decoder's loss.
struct LpipsOptions {
  std::vector<std::string> weights;  ///< files, see `open_lpips`
  double weight = 1.0;  ///< of the distance in [-1, 1], beside 1 for L1 of pixels in [0, 1]
  LossStart start{};    ///< from when on
};

/// L_rec of section 3. Keeps a reference to the encoder.
class DecoderLoss {
 public:
  /// `perceptual_weight`: of the squared error of the encoder's features; 0 leaves the encoder out.
  /// `encoder_size` and `encoder_width`: height and width to which pictures are resized for the
  /// encoder. A size of 0 leaves them as they are, a width of 0 makes them square.
  DecoderLoss(const EncoderNetwork<Tensor<float>>& encoder, const PixelNorm& pixels,
              double perceptual_weight, index_t encoder_size = 0, index_t encoder_width = 0);

  /// Adds `weight` times LPIPS from step `first_step` on.
  void add_lpips(Lpips<Var<float>> network, double weight, index_t first_step = 0);

  /// mean |recon - images| + weight * mean LPIPS(2 images - 1, 2 recon - 1) + perceptual_weight *
  /// mean over layers of mean (features of recon - features of images)^2, a scalar, for pictures
  /// (B, C, H, W) in [0, 1]. Throws ShapeError.
  [[nodiscard]] Var<float> operator()(const Var<float>& recon, const Tensor<float>& images,
                                      index_t step = 0) const;

  /// L1 and LPIPS of the last call, for logs.
  [[nodiscard]] const std::map<std::string, double>& measurements() const noexcept {
    return measurements_;
  }

 private:
  [[nodiscard]] Var<float> add_features(const Var<float>& loss, const Var<float>& recon,
                                        const Tensor<float>& images) const;

  const EncoderNetwork<Tensor<float>>& encoder_;
  // The same weights, without gradients, where a tape must pass through.
  OwnedPointer<EncoderNetwork<Var<float>>> recorded_;
  PixelNorm pixels_;
  double perceptual_weight_, lpips_weight_ = 0;
  index_t encoder_height_, encoder_width_, lpips_first_step_ = 0;
  std::optional<Lpips<Var<float>>> lpips_;
  mutable std::map<std::string, double> measurements_;
};

/// A loss and its gradient with respect to its argument.
struct LossGradient {
  double value = 0;
  Tensor<float> gradient;  ///< (*), the shape of the argument
};

/// `loss(x)`, a scalar, and its gradient at x, apart from any tape of the caller.
template <class Loss>
[[nodiscard]] LossGradient loss_gradient(const Tensor<float>& x, Loss&& loss) {
  const Var<float> leaf(x, true);  // (*)
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  const Var<float> value = loss(leaf);  // ()
  tape.backward(value);
  return {static_cast<double>(value.value()[0]), leaf.grad()};
}

/// x * factor + offset by channel, for pictures (B, C, H, W) and numbers of each of at most three
/// channels.
[[nodiscard]] Var<float> affine_pixels(const Var<float>& x, const std::array<double, 3>& factor,
                                       const std::array<double, 3>& offset);

/// Pictures in [0, 1] as LPIPS and the discriminator want them, in [-1, 1].
[[nodiscard]] Var<float> signed_pixels(const Var<float>& x);

}  // namespace rae
