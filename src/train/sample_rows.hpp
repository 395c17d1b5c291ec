// The samples that the picture of an evaluation shows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "rae/io/image.hpp"
#include "train/shown_classes.hpp"

namespace rae::detail {

constexpr index_t kSamplesOfAClass = 8;  // at most

/// Samples for a picture with one row for each of up to 20 classes.
class SampleRows {
 public:
  explicit SampleRows(index_t classes)
      : classes_(classes), rows_(static_cast<std::size_t>(shown_rows(classes))) {}

  /// Keeps a sample if it is one of the first of a class that is shown.
  void add(const Image& image, std::int64_t label) {
    const auto rows = static_cast<index_t>(rows_.size()),
               row = (label * rows + classes_ - 1) / classes_;
    if (row >= rows || shown_class(row, rows, classes_) != label) return;
    auto& of_class = rows_[static_cast<std::size_t>(row)];
    if (static_cast<index_t>(of_class.size()) < kSamplesOfAClass) of_class.push_back(image);
  }

  /// Samples of each class, as many as the class with the fewest has, at least one.
  [[nodiscard]] index_t columns() const {
    index_t out = kSamplesOfAClass;
    for (const auto& row : rows_)
      if (!row.empty()) out = std::min(out, static_cast<index_t>(row.size()));
    return out;
  }
  /// The samples row by row, without classes that have none.
  [[nodiscard]] std::vector<Image> pictures() const {
    std::vector<Image> out;
    for (const auto& row : rows_)
      if (!row.empty()) out.insert(out.end(), row.begin(), row.begin() + columns());
    return out;
  }

 private:
  index_t classes_;
  std::vector<std::vector<Image>> rows_;
};

}  // namespace rae::detail
