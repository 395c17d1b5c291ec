#include "train/training_neighbours.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "train/picture_selection.hpp"

namespace rae::detail {
namespace {

constexpr index_t kBaseBlock = 10000;  // training pictures among which neighbours are sought at a
                                       // time
constexpr index_t kReadableSide = 96;  // pixels of an enlarged picture

/// Sample i of (N, C, H, W).
Image sample_at(const Tensor<float>& samples, index_t i) {
  const Shape& all = samples.shape();
  const auto size = static_cast<std::size_t>(samples.numel() / all[0]);
  return Image::from_tensor(
      Tensor<float>(Shape{all[1], all[2], all[3]},
                    samples.span().subspan(static_cast<std::size_t>(i) * size, size)));
}

/// Picture number `index` of the training set.
Image training_picture(const ImageDataset& train, std::int64_t index) {
  return Image::from_batch(Selection(train).pictures(index, 1)).front();
}

/// Each pixel becomes factor x factor pixels.
Image enlarged(const Image& image, index_t factor) {
  const index_t width = image.width(), channels = image.channels();
  Image out(width * factor, image.height() * factor, image.channels());
  std::uint8_t* to = out.pixels().data();
  for (index_t y = 0; y < out.height(); ++y)
    for (index_t x = 0; x < out.width(); ++x, to += channels)
      std::copy_n(image.pixels().data() + (y / factor * width + x / factor) * channels, channels,
                  to);
  return out;
}

}  // namespace

Neighbours nearest_training(const ImageDataset& train, const Tensor<float>& queries, index_t k,
                            const Function<void(index_t done)>& tell) {
  const Selection base(train);
  const index_t n = base.count, count = queries.extent(0), size = train.image_size();
  using Found = std::vector<std::pair<float, std::int64_t>>;
  std::vector<Found> found(static_cast<std::size_t>(count));
  for (index_t begin = 0; begin < n; begin += kBaseBlock) {
    tell(begin);
    const index_t block = std::min(kBaseBlock, n - begin);
    const Tensor<float> pictures =
        base.pictures(begin, block).reshaped({block, size});  // (block, C*H*W)
    const Neighbours near = nearest_neighbours(queries.reshaped({count, size}), pictures,
                                               std::min(k, block), Distance::euclidean);
    for (index_t i = 0; i < near.indices.numel(); ++i)
      found[static_cast<std::size_t>(i / near.indices.extent(1))].emplace_back(
          near.distances[i], begin + near.indices[i]);
  }
  Neighbours out{Tensor<std::int64_t>(Shape{count, k}), Tensor<float>(Shape{count, k})};
  for (index_t q = 0; q < count; ++q) {
    Found& all = found[static_cast<std::size_t>(q)];
    std::sort(all.begin(), all.end());
    for (index_t j = 0; j < k; ++j) {
      out.distances[q * k + j] = all[static_cast<std::size_t>(j)].first;
      out.indices[q * k + j] = all[static_cast<std::size_t>(j)].second;
    }
  }
  return out;
}

std::vector<double> nearest_distances(const Neighbours& near, index_t count) {
  const index_t k = near.distances.extent(1);
  std::vector<double> out;
  for (index_t i = 0; i < count; ++i) out.push_back(static_cast<double>(near.distances[i * k]));
  return out;
}

std::vector<Image> neighbour_rows(const ImageDataset& train, const Tensor<float>& samples,
                                  const Neighbours& near, index_t rows) {
  const index_t k = near.indices.extent(1);
  std::vector<Image> out;
  for (index_t i = 0; i < std::min(rows, samples.extent(0)); ++i) {
    out.push_back(sample_at(samples, i));
    for (index_t j = 0; j < k; ++j) out.push_back(training_picture(train, near.indices[i * k + j]));
  }
  return out;
}

std::vector<Image> neighbour_pairs(const ImageDataset& train, const Tensor<float>& samples,
                                   const Neighbours& near, index_t count) {
  const index_t k = near.indices.extent(1),
                factor = std::max<index_t>(
                    1, kReadableSide / std::max(samples.extent(2), samples.extent(3)));
  std::vector<Image> out;
  for (index_t i = 0; i < std::min(count, samples.extent(0)); ++i) {
    const std::array pair{enlarged(sample_at(samples, i), factor),
                          enlarged(training_picture(train, near.indices[i * k]), factor)};
    out.push_back(Image::grid(pair, 2));
  }
  return out;
}

}  // namespace rae::detail
