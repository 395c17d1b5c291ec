#include "rae/train/batches.hpp"

#include <algorithm>
#include <numeric>

#include "rae/core/owner.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/random.hpp"

namespace rae {

namespace {

// Streams of the seed: the order of an epoch, the draws of a sample, and those of another view of
// it.
constexpr std::uint64_t kOrderStream = std::uint64_t{1} << 62;
constexpr std::uint64_t kSampleStream = std::uint64_t{1} << 61;
constexpr std::uint64_t kViewStreams = std::uint64_t{1} << 50;  // more than samples

/// Element `i` of a row of n pixels that continues as its mirror image on both sides.
index_t reflected(index_t i, index_t n) {
  const index_t period = std::max<index_t>(1, 2 * (n - 1)), at = (i % period + period) % period;
  return std::min(at, period - at) % n;
}

bool mirrors(const Augmentation& how, const Philox& random) {
  return how.flip && random.below(2, 2) == 1;
}

/// Moves a picture of (C, H, W) by (dx, dy) and perhaps mirrors it.
void vary(std::vector<float>& scratch, std::span<float> image, index_t channels, index_t height,
          index_t width, const Augmentation& how, bool mirrored, const Philox& random) {
  const auto span = static_cast<std::uint64_t>(2 * how.shift + 1);
  const index_t dx = static_cast<index_t>(random.below(0, span)) - how.shift,
                dy = static_cast<index_t>(random.below(1, span)) - how.shift;
  if (dx == 0 && dy == 0 && !mirrored) return;
  scratch.assign(image.begin(), image.end());
  for (index_t row = 0; row < channels * height; ++row) {
    const index_t c = row / height;
    index_t y = row % height - dy;
    if (how.reflect) y = reflected(y, height);
    float* out = image.data() + row * width;
    for (index_t x = 0; x < width; ++x) {
      index_t from = (mirrored ? width - 1 - x : x) - dx;
      if (how.reflect) from = reflected(from, width);
      const bool inside = y >= 0 && y < height && from >= 0 && from < width;
      out[x] = inside ? scratch[static_cast<std::size_t>((c * height + y) * width + from)] : 0.0f;
    }
  }
}

}  // namespace

Batches::Batches(OwnedPointer<const ImageDataset> data, index_t batch_size, std::uint64_t seed,
                 const Augmentation& augmentation, unsigned view)
    : data_(std::move(data)),
      batch_size_(batch_size),
      seed_(seed),
      stream_(kSampleStream + view * kViewStreams),
      augmentation_(augmentation) {
  if (!data_ || data_->size() < 1) raise<ArgumentError>("Batches: the data set is empty");
  if (batch_size < 1)
    raise<ArgumentError>("Batches: expected a batch size of at least 1, got ", batch_size);
  require_augmentation(augmentation);
}

void Batches::shuffle(std::uint64_t epoch) {
  if (epoch == epoch_) return;
  order_.resize(static_cast<std::size_t>(data_->size()));
  std::iota(order_.begin(), order_.end(), index_t{0});
  const Philox random(seed_, kOrderStream + epoch);
  for (std::size_t i = order_.size() - 1; i > 0; --i)
    std::swap(order_[i], order_[random.below(i, i + 1)]);  // Fisher and Yates
  epoch_ = epoch;
}

std::vector<BatchSample> Batches::samples(index_t i, index_t begin, index_t end) {
  const auto size = static_cast<std::uint64_t>(data_->size());
  std::vector<BatchSample> out(static_cast<std::size_t>(end - begin));
  for (std::size_t b = 0; b < out.size(); ++b) {
    BatchSample& sample = out[b];
    sample.number = static_cast<std::uint64_t>(i * batch_size_ + begin) + b;
    shuffle(sample.number / size);
    sample.picture = order_[sample.number % size];
    sample.mirrored = mirrors(augmentation_, Philox(seed_, stream_ + sample.number));
  }
  return out;
}

Batch Batches::operator()(index_t i, index_t begin, index_t end) {
  const ImageDataset& data = *data_;
  const auto size = static_cast<std::uint64_t>(data.size());
  const std::vector<BatchSample> chosen = samples(i, begin, end);
  Batch batch;
  const index_t count = end - begin;
  batch.first = chosen.front().number;
  batch.images = Tensor<float>(Shape{count, data.channels(), data.height(), data.width()});
  for (const BatchSample& sample : chosen) batch.labels.push_back(data.label(sample.picture));
  float* images = batch.images.data();
  const auto pixels = static_cast<std::size_t>(data.image_size());
  parallel_ranges(count, 8, [&](index_t from, index_t to) {
    std::vector<float> scratch;
    for (index_t b = from; b < to; ++b) {
      const auto [picture, mirrored, sample] = chosen[static_cast<std::size_t>(b)];
      const std::span<float> image(images + static_cast<std::size_t>(b) * pixels, pixels);
      const Philox random(seed_, stream_ + sample);
      if (const auto& crop = augmentation_.random_resized_crop)
        data.part(picture, image, sample / size, [&](index_t width, index_t height) {
          return random_crop_box(*crop, width, height, random);
        });
      else
        data.image(picture, image, sample / size);
      if (augmentation_.color_jitter)
        jitter_colors(image, data.channels(), *augmentation_.color_jitter, random);
      if (augmentation_.shift > 0 || augmentation_.flip)
        vary(scratch, image, data.channels(), data.height(), data.width(), augmentation_, mirrored,
             random);
      if (const auto& ops = augmentation_.rand_augment)
        rand_augment(image, data.channels(), data.height(), data.width(), *ops, random);
      if (const auto& erasing = augmentation_.random_erasing)
        erase_randomly(image, data.height(), data.width(), *erasing, random);
      if (augmentation_.cutout > 0)
        cut_out(image, data.height(), data.width(), augmentation_.cutout, random);
    }
  });
  return batch;
}

}  // namespace rae
