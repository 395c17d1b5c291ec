// Embedding of the class label, with a null class for classifier-free guidance. Peebles and Xie
// 2023, section 3.2; Ho and Salimans 2022, "Classifier-Free Diffusion Guidance".
#pragma once

#include <cstdint>
#include <span>

#include "rae/nn/parameter.hpp"
#include "rae/ops/embedding.hpp"

namespace rae {

/// y (B) -> (B, D); with label dropout there is one more row, the null class, behind the others.
template <Operand X>
struct LabelEmbed {
  Parameter<X> table;  // (classes [+ 1], D)

  LabelEmbed() = default;
  LabelEmbed(index_t classes, bool null_class, index_t dim)
      : table(Shape{classes + (null_class ? 1 : 0), dim}) {}

  X operator()(std::span<const std::int64_t> y) const { return embedding(table.value, y); }

  template <class F>
  void parameters(F&& f) {
    f("embedding_table.weight", table);
  }
};

}  // namespace rae
