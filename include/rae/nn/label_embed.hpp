// Embedding of the class label, with a null class for classifier-free guidance. Peebles and Xie
// 2023, section 3.2; Ho and Salimans 2022, "Classifier-Free Diffusion Guidance".
#pragma once

#include <cstdint>
#include <span>

#include "rae/nn/parameter.hpp"
#include "rae/ops/embedding.hpp"

namespace rae {

/// Table with one row per class and, with label dropout, a last row for the null class.
template <Operand X>
struct LabelEmbed {
  Parameter<X> table;  // (classes [+ 1], D)

  LabelEmbed() = default;
  /// `null_class` adds its row; `dim` is D.
  LabelEmbed(index_t classes, bool null_class, index_t dim)
      : table(Shape{classes + (null_class ? 1 : 0), dim}) {}

  /// Labels y (B) -> (B, D). Throws ArgumentError for a label outside of the table.
  X operator()(std::span<const std::int64_t> y) const { return embedding(table.value, y); }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    f("embedding_table.weight", table);
  }
};

}  // namespace rae
