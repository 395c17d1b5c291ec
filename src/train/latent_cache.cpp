#include "train/latent_cache.hpp"

#include <algorithm>

#include "rae/core/owner.hpp"
#include "rae/core/parallel.hpp"

namespace rae::detail {
namespace {

std::size_t slot_of(const BatchSample& sample) {
  return 2 * static_cast<std::size_t>(sample.picture) + (sample.mirrored ? 1 : 0);
}

/// Pixels (B, C, H, W) of samples of epoch 0.
Tensor<float> images_of(const ImageDataset& data, const std::vector<BatchSample>& samples) {
  const auto count = static_cast<index_t>(samples.size());
  Tensor<float> images(Shape{count, data.channels(), data.height(), data.width()});  // (B, C, H, W)
  float* out = images.data();
  const index_t pixels = data.image_size(), width = data.width();
  parallel_for(count, 8, [&](index_t b) {
    const BatchSample& sample = samples[static_cast<std::size_t>(b)];
    float* image = out + b * pixels;
    data.image(sample.picture, {image, static_cast<std::size_t>(pixels)});
    if (sample.mirrored)
      for (float* row = image; row < image + pixels; row += width) std::reverse(row, row + width);
  });
  return images;
}

}  // namespace

LatentCache::LatentCache(OwnedPointer<const ImageDataset> data, const Rae<float>& autoencoder,
                         index_t batch_size, std::uint64_t seed, const Augmentation& augmentation,
                         index_t most_bytes)
    : data_(data),
      autoencoder_(autoencoder),
      batches_(data, batch_size, seed, augmentation),
      varies_(data->varies_by_epoch() || augmentation.shift > 0 ||
              augmentation.random_resized_crop || augmentation.color_jitter ||
              augmentation.cutout > 0),
      most_bytes_(most_bytes),
      latents_(varies_ ? 0 : 2 * static_cast<std::size_t>(data->size())) {}

LatentBatch LatentCache::operator()(index_t i, index_t begin, index_t end) {
  if (varies_) {
    Batch batch = batches_(i, begin, end);
    return {autoencoder_.encode(batch.images), std::move(batch.labels), batch.first};
  }
  const std::vector<BatchSample> samples = batches_.samples(i, begin, end);
  LatentBatch out{{}, {}, samples.front().number};
  std::vector<BatchSample> missing;
  std::vector<index_t> row_of(samples.size(), -1);  // in `encoded`; -1: it is kept
  for (std::size_t b = 0; b < samples.size(); ++b) {
    out.labels.push_back(data_->label(samples[b].picture));
    if (!latents_[slot_of(samples[b])].empty()) continue;
    row_of[b] = static_cast<index_t>(missing.size());
    missing.push_back(samples[b]);
  }
  Tensor<float> encoded;  // (M, C, h, w)
  if (!missing.empty()) {
    encoded = autoencoder_.encode(images_of(*data_, missing));
    latent_ = encoded.shape();
  }
  const Shape latents{static_cast<index_t>(samples.size()), latent_[1], latent_[2], latent_[3]};
  out.latents = Tensor<float>(latents);  // (B, C, h, w)
  const index_t size = latents.numel() / latents[0];
  for (std::size_t b = 0; b < samples.size(); ++b) {
    std::vector<float>& kept = latents_[slot_of(samples[b])];
    const float* from =
        row_of[b] < 0 ? kept.data() : std::as_const(encoded).data() + row_of[b] * size;
    std::copy_n(from, size, out.latents.data() + static_cast<index_t>(b) * size);
    const auto bytes = static_cast<index_t>(sizeof(float)) * size;
    if (!kept.empty() || bytes_ + bytes > most_bytes_) continue;
    kept.assign(from, from + size);
    bytes_ += bytes;
  }
  return out;
}

}  // namespace rae::detail
