#include "train/held_out.hpp"

#include <algorithm>

#include "rae/core/parallel.hpp"

namespace rae::detail {
namespace {

// Above the numbers of all samples of a training, and below the streams of other draws.
constexpr std::uint64_t kHeldOutStream = std::uint64_t{1} << 56;

/// Pictures `begin` to `end` of `count` at equal distances.
Batch spread_part(const ImageDataset& data, index_t begin, index_t end, index_t count,
                  std::uint64_t stream) {
  const index_t pixels = data.image_size();
  Batch out{Tensor<float>(Shape{end - begin, data.channels(), data.height(), data.width()}),
            std::vector<std::int64_t>(static_cast<std::size_t>(end - begin)),
            stream + static_cast<std::uint64_t>(begin)};
  float* images = out.images.data();
  parallel_for(end - begin, 8, [&](index_t b) {
    const index_t i = (begin + b) * data.size() / count;
    data.image(i, {images + b * pixels, static_cast<std::size_t>(pixels)});
    out.labels[static_cast<std::size_t>(b)] = data.label(i);
  });
  return out;
}

}  // namespace

Batch spread_batch(const ImageDataset& data, index_t count, std::uint64_t stream) {
  return spread_part(data, 0, count, count, stream);
}

HeldOut::HeldOut(OwnedPointer<const ImageDataset> data, index_t batch_size)
    : data_(std::move(data)), batch_size_(std::max<index_t>(1, batch_size)) {
  if (data_) count_ = std::min(data_->size(), kHeldOutPictures);
}

double HeldOut::mean(const Function<Var<float>(const Batch&)>& loss) const {
  const NoGrad<float> unrecorded;
  double sum = 0;
  for (index_t i = 0; i < count_; i += batch_size_) {
    const index_t end = std::min(count_, i + batch_size_);
    sum +=
        static_cast<double>(loss(spread_part(*data_, i, end, count_, kHeldOutStream)).value()[0]) *
        static_cast<double>(end - i);
  }
  return sum / static_cast<double>(count_);
}

}  // namespace rae::detail
