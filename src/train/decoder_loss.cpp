#include "rae/train/decoder_loss.hpp"

#include "rae/models/rae.hpp"
#include "rae/ops/loss.hpp"

namespace rae {

Var<float> affine_pixels(const Var<float>& x, const std::array<double, 3>& factor,
                         const std::array<double, 3>& offset) {
  const index_t channels = x.extent(1);
  Tensor<float> weight(Shape{channels}), bias(Shape{channels});  // (C)
  for (index_t c = 0; c < channels; ++c) {
    weight[c] = static_cast<float>(factor[static_cast<std::size_t>(c)]);
    bias[c] = static_cast<float>(offset[static_cast<std::size_t>(c)]);
  }
  return channel_affine(x, Var<float>(weight), Var<float>(bias));
}

Var<float> signed_pixels(const Var<float>& x) { return affine_pixels(x, {2, 2, 2}, {-1, -1, -1}); }

DecoderLoss::DecoderLoss(const EncoderNetwork<Tensor<float>>& encoder, const PixelNorm& pixels,
                         double perceptual_weight, index_t encoder_size, index_t encoder_width)
    : encoder_(encoder),
      pixels_(pixels),
      perceptual_weight_(perceptual_weight),
      encoder_height_(encoder_size),
      encoder_width_(encoder_width > 0 ? encoder_width : encoder_size) {
  if (perceptual_weight == 0) return;
  recorded_ = encoder.differentiable();
}

void DecoderLoss::add_lpips(Lpips<Var<float>> network, double weight, index_t first_step) {
  lpips_ = std::move(network);
  lpips_weight_ = weight;
  lpips_first_step_ = first_step;
}

Var<float> DecoderLoss::operator()(const Var<float>& recon, const Tensor<float>& images,
                                   index_t step) const {
  Var<float> total = l1_loss(recon, images);
  measurements_ = {{"l1", static_cast<double>(total.value()[0])}};
  if (lpips_ && step >= lpips_first_step_) {
    const Var<float> distance =
        mean((*lpips_)(signed_pixels(Var<float>(images)), signed_pixels(recon)));
    measurements_["lpips"] = static_cast<double>(distance.value()[0]);
    total = add(total, scale(distance, static_cast<float>(lpips_weight_)));
  }
  if (perceptual_weight_ != 0) total = add_features(total, recon, images);
  return total;
}

Var<float> DecoderLoss::add_features(const Var<float>& loss, const Var<float>& recon,
                                     const Tensor<float>& images) const {
  std::array<double, 3> factor{}, offset{};
  for (std::size_t c = 0; c < 3; ++c) {
    factor[c] = 1 / pixels_.std[c];
    offset[c] = -pixels_.mean[c] / pixels_.std[c];
  }
  const bool fits = encoder_height_ == 0 ||
                    (recon.extent(2) == encoder_height_ && recon.extent(3) == encoder_width_);
  const Var<float> seen =
      fits ? recon : resize(recon, Resize::bicubic, encoder_height_, encoder_width_);
  const std::vector<Tensor<float>> targets =
      encoder_.features(encoder_input(images, encoder_height_, encoder_width_, pixels_));
  const std::vector<Var<float>> features =
      recorded_->features(affine_pixels(seen, factor, offset));  // (B, N, D) each
  const auto weight = static_cast<float>(perceptual_weight_ / static_cast<double>(features.size()));
  Var<float> total = loss;
  for (std::size_t i = 0; i < features.size(); ++i)
    total = add(total, scale(mse_loss(features[i], targets[i]), weight));
  return total;
}

}  // namespace rae
