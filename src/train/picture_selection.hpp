// Pictures of a data set that an evaluation looks at.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "rae/core/parallel.hpp"
#include "rae/core/random.hpp"
#include "rae/core/tensor.hpp"
#include "rae/io/image_dataset.hpp"

namespace rae::detail {

/// Pictures of a set: all in their order, or some of them by chance, so that sets in the order of
/// their classes are represented.
struct Selection {
  const ImageDataset& data;
  index_t count;                // how many of them
  std::vector<index_t> chosen;  // empty: all

  /// All pictures.
  explicit Selection(const ImageDataset& set) : data(set), count(set.size()) {}
  /// `wanted` pictures, or all if there are fewer.
  Selection(const ImageDataset& set, index_t wanted)
      : data(set), count(std::min(wanted, set.size())) {
    if (count == set.size()) return;
    chosen.resize(static_cast<std::size_t>(set.size()));
    std::iota(chosen.begin(), chosen.end(), index_t{0});
    const Philox random(0);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count);
         ++i)  // Fisher and Yates, as far as needed
      std::swap(chosen[i], chosen[i + random.below(i, chosen.size() - i)]);
    chosen.resize(static_cast<std::size_t>(count));
  }

  /// Number in the data set of picture i.
  [[nodiscard]] index_t index(index_t i) const {
    return chosen.empty() ? i : chosen[static_cast<std::size_t>(i)];
  }

  /// Pictures (n, C, H, W) from number `first` on.
  [[nodiscard]] Tensor<float> pictures(index_t first, index_t n) const {
    Tensor<float> out(Shape{n, data.channels(), data.height(), data.width()});
    const auto size = static_cast<std::size_t>(data.image_size());
    float* target = out.data();
    parallel_for(n, 8, [&](index_t i) {
      data.image(index(first + i), {target + static_cast<std::size_t>(i) * size, size});
    });
    return out;
  }

  /// Their labels.
  [[nodiscard]] std::vector<std::int64_t> labels(index_t first, index_t n) const {
    std::vector<std::int64_t> out;
    for (index_t i = first; i < first + n; ++i) out.push_back(data.label(index(i)));
    return out;
  }
};

}  // namespace rae::detail
