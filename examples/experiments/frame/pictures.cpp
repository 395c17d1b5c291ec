#include "frame/pictures.hpp"

#include <algorithm>
#include <cmath>

#include "rae/core/random.hpp"

namespace rae::experiments {
namespace {

class SyntheticPictures : public ImageDataset {
 public:
  SyntheticPictures(index_t size, Split split)
      : size_(size), stream_(split == Split::train ? 0 : 1000) {}

  [[nodiscard]] index_t size() const override { return 64; }
  [[nodiscard]] int channels() const override { return 3; }
  [[nodiscard]] index_t height() const override { return size_; }
  [[nodiscard]] index_t width() const override { return size_; }
  [[nodiscard]] const std::vector<std::string>& class_names() const override { return names_; }

 protected:
  void load(index_t i, std::span<float> out, std::uint64_t) const override {
    const Philox random(7, stream_ + static_cast<std::uint64_t>(i));
    const index_t kind = load_label(i);
    const float side = static_cast<float>(size_), x0 = (0.3f + 0.4f * random.uniform(0)) * side,
                y0 = (0.3f + 0.4f * random.uniform(1)) * side,
                radius = (0.12f + 0.15f * random.uniform(2)) * side;
    for (index_t c = 0; c < 3; ++c)
      for (index_t y = 0; y < size_; ++y)
        for (index_t x = 0; x < size_; ++x) {
          const float dx = static_cast<float>(x) - x0, dy = static_cast<float>(y) - y0;
          const bool inside =
              kind < 2 ? dx * dx + dy * dy < radius * radius : std::abs(dx) < radius / 2;
          const float back = 0.3f * (static_cast<float>(y) / side) + 0.2f * random.uniform(3);
          const bool bright = c == (kind % 2 == 0 ? 0 : 2);
          out[static_cast<std::size_t>((c * size_ + y) * size_ + x)] =
              inside ? (bright ? 0.9f : 0.2f) : back;
        }
  }
  [[nodiscard]] index_t load_label(index_t i) const override { return i % 4; }

 private:
  index_t size_;
  std::uint64_t stream_;
  std::vector<std::string> names_{"red disc", "blue disc", "red bar", "blue bar"};
};

}  // namespace

OwnedPointer<const ImageDataset> open_pictures(const Options& options, Split split, index_t size) {
  if (options.data.empty())
    return OwnedPointer<const ImageDataset>::make<SyntheticPictures>(size, split);
  return open_dataset(options.data, split, {.size = size, .channels = 3});
}

OwnedPointer<const ImageDataset> evenly_spaced(const OwnedPointer<const ImageDataset>& data,
                                               index_t count) {
  if (count >= data->size()) return data;
  std::vector<index_t> chosen;
  for (index_t i = 0; i < count; ++i) chosen.push_back(i * data->size() / count);
  return subset(data, std::move(chosen));
}

void for_batches(const ImageDataset& data,
                 const Function<void(const Tensor<float>& images, index_t first)>& f) {
  constexpr index_t kAtOnce = 128;
  const auto pixels = static_cast<std::size_t>(data.image_size());
  for (index_t first = 0; first < data.size(); first += kAtOnce) {
    const index_t count = std::min(kAtOnce, data.size() - first);
    Tensor<float> images(
        Shape{count, data.channels(), data.height(), data.width()});  // (B, C, H, W)
    for (index_t i = 0; i < count; ++i)
      data.image(first + i, images.span().subspan(static_cast<std::size_t>(i) * pixels, pixels));
    f(images, first);
  }
}

}  // namespace rae::experiments
