// A small data set that can be learned: class k is a bar at column k, with a little noise.
#pragma once

#include <string>
#include <vector>

#include "rae/core/random.hpp"
#include "rae/io/dataset.hpp"

namespace rae::test {

class ToyDataset : public ImageDataset {
 public:
  /// Pictures of `side` x `width`, or of `side` x `side` if `width` is 0.
  explicit ToyDataset(index_t size = 40, index_t side = 8, index_t classes = 4, int channels = 1,
                      index_t width = 0)
      : size_(size), side_(side), width_(width > 0 ? width : side), channels_(channels) {
    for (index_t k = 0; k < classes; ++k) names_.push_back("bar " + std::to_string(k));
  }

  index_t size() const override { return size_; }
  int channels() const override { return channels_; }
  index_t height() const override { return side_; }
  index_t width() const override { return width_; }
  const std::vector<std::string>& class_names() const override { return names_; }

 protected:
  void load(index_t i, std::span<float> out, std::uint64_t) const override {
    const Philox random(5, static_cast<std::uint64_t>(i));
    const index_t column = load_label(i) * width_ / static_cast<index_t>(names_.size());
    for (std::size_t p = 0; p < out.size(); ++p)
      out[p] =
          0.1f * random.uniform(p) + (static_cast<index_t>(p) % width_ == column ? 0.8f : 0.0f);
  }
  index_t load_label(index_t i) const override { return i % static_cast<index_t>(names_.size()); }

 private:
  index_t size_, side_, width_;
  int channels_;
  std::vector<std::string> names_;
};

}  // namespace rae::test
