// The classes that pictures and tables show, so that they can be read also when there are
// thousands. Grids as those of section 5 of Diffusion Transformers with Representation
// Autoencoders, with a row for each class.
#pragma once

#include <algorithm>
#include <string>

#include "rae/core/shape.hpp"
#include "rae/error.hpp"

namespace rae::detail {

/// At most this many classes are shown.
inline constexpr index_t kMostShownClasses = 20;

/// Rows for so many classes.
[[nodiscard]] inline index_t shown_rows(index_t classes) {
  return std::min(classes, kMostShownClasses);
}

/// The class of a row, at equal distances.
[[nodiscard]] inline index_t shown_class(index_t row, index_t rows, index_t classes) {
  return row * classes / rows;
}

/// "20 of 1000 classes"; empty when all are shown.
[[nodiscard]] inline std::string shown_note(index_t rows, index_t classes) {
  return rows < classes ? concat(rows, " of ", classes, " classes") : "";
}

}  // namespace rae::detail
