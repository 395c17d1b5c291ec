#include "train/latent_cache.hpp"

#include <algorithm>

#include "rae/core/owner.hpp"
#include "rae/core/parallel.hpp"

namespace rae::detail {
namespace {

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

KeptLatents room_for_mirrored(KeptLatents kept, bool flip) {
  kept.mirrored = kept.mirrored || flip;
  return kept;
}

}  // namespace

bool latents_repeat(const ImageDataset& data, const Augmentation& augmentation) {
  return !data.varies_by_epoch() && augmentation.only_mirrors();
}

index_t repeated_latents(const ImageDataset& data, bool mirrored) {
  return (mirrored ? 2 : 1) * data.size();
}

LatentCache::LatentCache(OwnedPointer<const ImageDataset> data, const Rae<float>& autoencoder,
                         index_t batch_size, std::uint64_t seed, const Augmentation& augmentation,
                         index_t most_bytes, KeptLatents kept)
    : data_(data),
      autoencoder_(autoencoder),
      batches_(data, batch_size, seed, augmentation),
      repeat_(latents_repeat(*data, augmentation)),
      most_bytes_(most_bytes),
      kept_(room_for_mirrored(std::move(kept), augmentation.flip)),
      latents_(repeat_ && kept_.file.empty() && most_bytes > 0
                   ? static_cast<std::size_t>(repeated_latents(*data, kept_.mirrored))
                   : 0) {}

LatentBatch LatentCache::operator()(index_t i, index_t begin, index_t end) {
  if (!repeat_) {
    Batch batch = batches_(i, begin, end);
    return {autoencoder_.encode(batch.images), std::move(batch.labels), batch.first};
  }
  const std::vector<BatchSample> samples = batches_.samples(i, begin, end);
  LatentBatch out{{}, {}, samples.front().number};
  for (const BatchSample& sample : samples) out.labels.push_back(data_->label(sample.picture));
  out.latents = autoencoder_.settings().latent_norm.normalize(take(samples, false));
  return out;
}

Tensor<float> LatentCache::exact(index_t first, index_t n) {
  std::vector<BatchSample> samples(static_cast<std::size_t>(n));
  for (std::size_t b = 0; b < samples.size(); ++b)
    samples[b].picture = first + static_cast<index_t>(b);
  if (!repeat_) return autoencoder_.encode_unnormalized(images_of(*data_, samples));
  return take(samples, true);
}

std::size_t LatentCache::slot_of(const BatchSample& sample) const {
  const auto picture = static_cast<std::size_t>(sample.picture);
  return kept_.mirrored ? 2 * picture + (sample.mirrored ? 1 : 0) : picture;
}

/// Latents (B, C, h, w) before normalisation.
Tensor<float> LatentCache::take(const std::vector<BatchSample>& samples, bool exact) {
  const Shape latent =
      autoencoder_.latent_shape({data_->channels(), data_->height(), data_->width()});  // (C, h, w)
  if (!kept_.file.empty() && !store_)
    store_.emplace(kept_.file, kept_.identity, repeated_latents(*data_, kept_.mirrored), latent,
                   kept_.stored_as);
  const auto count = static_cast<index_t>(samples.size()), size = latent.numel();
  Tensor<float> out(Shape{count, latent[0], latent[1], latent[2]});  // (B, C, h, w)
  float* target = out.data();
  const auto row = [&](index_t b) {
    return std::span(target + b * size, static_cast<std::size_t>(size));
  };
  const bool search = !exact || kept_.stored_as == DType::f32;
  std::vector<char> found(samples.size(), 0);
  if (search)
    parallel_for(count, 8, [&](index_t b) {
      const auto at = static_cast<std::size_t>(b);
      found[at] = find(slot_of(samples[at]), row(b)) ? 1 : 0;
    });
  std::vector<BatchSample> missing;
  for (std::size_t b = 0; b < samples.size(); ++b)
    if (found[b] == 0) missing.push_back(samples[b]);
  if (missing.empty()) return out;
  const Tensor<float> encoded =
      autoencoder_.encode_unnormalized(images_of(*data_, missing));  // (M, C, h, w)
  const float* from = encoded.data();
  for (index_t b = 0; b < count; ++b) {
    const auto at = static_cast<std::size_t>(b);
    if (found[at] != 0) continue;
    std::copy_n(from, size, row(b).data());
    from += size;
    if (!exact) round(row(b));
    keep(slot_of(samples[at]), row(b));
  }
  return out;
}

bool LatentCache::find(std::size_t slot, std::span<float> out) const {
  if (store_) return store_->get(static_cast<index_t>(slot), out);
  if (latents_.empty()) return false;
  const std::vector<float>& kept = latents_[slot];
  std::copy(kept.begin(), kept.end(), out.begin());
  return !kept.empty();
}

void LatentCache::keep(std::size_t slot, std::span<const float> latent) {
  if (store_) return store_->put(static_cast<index_t>(slot), latent);
  const auto bytes = static_cast<index_t>(latent.size_bytes());
  if (latents_.empty() || !latents_[slot].empty() || bytes_ + bytes > most_bytes_) return;
  latents_[slot].assign(latent.begin(), latent.end());
  round(latents_[slot]);
  bytes_ += bytes;
}

/// Rounds to the type in which latents are kept, also where there is no room for them, so that the
/// results do not depend on it.
void LatentCache::round(std::span<float> latent) const {
  if (kept_.stored_as != DType::bf16) return;
  for (float& value : latent) value = static_cast<float>(bf16(value));
}

}  // namespace rae::detail
