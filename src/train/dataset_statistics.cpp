#include "train/dataset_statistics.hpp"

#include <algorithm>

#include "rae/core/parallel.hpp"
#include "rae/diffusion/latent_statistics.hpp"
#include "rae/train/batches.hpp"

namespace rae::detail {
namespace {

using OnBatch = Function<bool(index_t done, index_t total)>;

constexpr index_t kStatisticsBatch = 256;  // pictures

void require_running(const OnBatch& on_batch, index_t done, index_t pictures) {
  if (on_batch && !on_batch(done, pictures))
    raise<Cancelled>("statistics: stopped after ", done, " of ", pictures, " pictures");
}

LatentNorm<float> exact_statistics(const ImageDataset& data, const Rae<float>& autoencoder,
                                   const OnBatch& on_batch) {
  LatentStatistics statistics;
  const index_t channels = data.channels(), pixels = data.image_size();
  for (index_t i = 0; i < data.size(); i += kStatisticsBatch) {
    require_running(on_batch, i, data.size());
    const index_t count = std::min(kStatisticsBatch, data.size() - i);
    Tensor<float> images(Shape{count, channels, data.height(), data.width()});  // (B, C, H, W)
    float* out = images.data();
    parallel_for(count, 8, [&](index_t b) {
      data.image(i + b, {out + b * pixels, static_cast<std::size_t>(pixels)});
    });
    statistics.update(autoencoder.encode(images));
  }
  return {statistics.mean(), statistics.variance()};
}

LatentNorm<float> official_statistics(const OwnedPointer<const ImageDataset>& data,
                                      const Rae<float>& autoencoder,
                                      const StatisticsOptions& options, const OnBatch& on_batch) {
  MomentumLatentStatistics statistics(options.momentum);
  Batches batches(data, options.batch_size, options.seed, options.augmentation);
  for (index_t i = 0; i * options.batch_size < data->size(); ++i) {
    require_running(on_batch, i * options.batch_size, data->size());
    statistics.update(autoencoder.encode(batches(i).images));
  }
  return {statistics.mean(), statistics.variance()};
}

}  // namespace

LatentNorm<float> dataset_statistics(const OwnedPointer<const ImageDataset>& data,
                                     const Rae<float>& autoencoder,
                                     const StatisticsOptions& options, const OnBatch& on_batch) {
  return options.rule == StatisticsRule::exact
             ? exact_statistics(*data, autoencoder, on_batch)
             : official_statistics(data, autoencoder, options, on_batch);
}

}  // namespace rae::detail
