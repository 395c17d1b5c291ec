#include "train/dataset_statistics.hpp"

#include "rae/diffusion/latent_statistics.hpp"
#include "rae/train/batches.hpp"
#include "train/latent_cache.hpp"
#include "train/shared_statistics.hpp"
#include "train/shared_work.hpp"

namespace rae::detail {
namespace {

using OnBatch = Function<bool(index_t done, index_t total)>;

constexpr index_t kStatisticsBatch = 256;  // pictures

void require_running(const OnBatch& on_batch, index_t done, index_t pictures) {
  if (on_batch && !on_batch(done, pictures))
    raise<Cancelled>("statistics: stopped after ", done, " of ", pictures, " pictures");
}

LatentNorm<float> exact_statistics(const OwnedPointer<const ImageDataset>& data,
                                   const Rae<float>& autoencoder, const OnBatch& on_batch,
                                   Communicator& ranks, const KeptLatents& kept) {
  LatentCache latents(data, autoencoder, kStatisticsBatch, 0, {}, 0,
                      ranks.size() == 1 ? kept : KeptLatents{});
  const LatentStatistics statistics =
      shared_statistics(ranks, data->size(), kStatisticsBatch, [&](index_t first, index_t count) {
        require_running(on_batch, first, data->size());
        return latents.exact(first, count);
      });
  return {statistics.mean(), statistics.variance()};
}

/// Each batch of the official script has its own mean and variance, which rank 0 averages in order.
LatentNorm<float> official_statistics(const OwnedPointer<const ImageDataset>& data,
                                      const Rae<float>& autoencoder,
                                      const StatisticsOptions& options, const OnBatch& on_batch,
                                      Communicator& ranks) {
  MomentumLatentStatistics statistics(options.momentum);
  Batches batches(data, options.batch_size, options.seed, options.augmentation);
  share_in_order(
      ranks, (data->size() + options.batch_size - 1) / options.batch_size,
      [&](index_t i) {
        require_running(on_batch, i * options.batch_size, data->size());
        LatentStatistics of_batch;
        of_batch.update(autoencoder.encode(batches(i).images));
        Piece piece;
        piece.put_tensor(of_batch.mean());
        piece.put_tensor(of_batch.variance());
        return piece;
      },
      [&](index_t, Piece& piece) {
        const auto mean = piece.get_tensor<float>(), variance = piece.get_tensor<float>();
        statistics.update(mean, variance);
      });
  Piece result;
  if (ranks.is_root()) {
    result.put_tensor(statistics.mean());
    result.put_tensor(statistics.variance());
  }
  result.broadcast(ranks);
  auto mean = result.get_tensor<float>(), variance = result.get_tensor<float>();  // (C, h, w)
  return {std::move(mean), std::move(variance)};
}

}  // namespace

LatentNorm<float> dataset_statistics(const OwnedPointer<const ImageDataset>& data,
                                     const Rae<float>& autoencoder,
                                     const StatisticsOptions& options, const OnBatch& on_batch,
                                     Communicator* ranks, const KeptLatents& kept) {
  SerialCommunicator alone;
  Communicator& all = ranks != nullptr ? *ranks : alone;
  return options.rule == StatisticsRule::exact
             ? exact_statistics(data, autoencoder, on_batch, all, kept)
             : official_statistics(data, autoencoder, options, on_batch, all);
}

}  // namespace rae::detail
