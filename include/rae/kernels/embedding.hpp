// Rows of a table by index, and the scatter that is its gradient.
#pragma once

#include <span>

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// out (N, D) = rows `ids` of table (V, D). Throws ArgumentError for an id outside [0, V) before
/// anything is written, ShapeError.
template <Real T>
void embedding(View<const T> table, std::span<const std::int64_t> ids, View<T> out);

/// dtable (V, D) += rows of dout (N, D), in the order of `ids`. Throws like `embedding`.
template <Real T>
void embedding_backward(View<const T> dout, std::span<const std::int64_t> ids, View<T> dtable);

extern template void embedding<float>(View<const float>, std::span<const std::int64_t>,
                                      View<float>);
extern template void embedding<double>(View<const double>, std::span<const std::int64_t>,
                                       View<double>);
extern template void embedding_backward<float>(View<const float>, std::span<const std::int64_t>,
                                               View<float>);
extern template void embedding_backward<double>(View<const double>, std::span<const std::int64_t>,
                                                View<double>);

}  // namespace rae
