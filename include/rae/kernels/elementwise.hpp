// Sums, products and broadcasts of contiguous arrays, and the column sums that are their gradients.
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// out = alpha*x + beta*y, element by element; `out` may be x or y. Throws ShapeError.
template <Real T>
void axpby(T alpha, View<const T> x, T beta, View<const T> y, View<T> out);

/// out = x * y, element by element. Throws ShapeError.
template <Real T>
void multiply(View<const T> x, View<const T> y, View<T> out);

/// out (G, D) = x (G, D) + row (D): a bias, or with D spanning tokens and channels a position
/// table. Throws ShapeError.
template <Real T>
void add_row(View<const T> x, View<const T> row, View<T> out);

/// out (D) += sum over rows of x (R, D), in an order that does not depend on the thread count.
/// Throws ShapeError.
template <Real T>
void add_column_sums(View<const T> x, View<T> out);

extern template void axpby<float>(float, View<const float>, float, View<const float>, View<float>);
extern template void axpby<double>(double, View<const double>, double, View<const double>,
                                   View<double>);
extern template void multiply<float>(View<const float>, View<const float>, View<float>);
extern template void multiply<double>(View<const double>, View<const double>, View<double>);
extern template void add_row<float>(View<const float>, View<const float>, View<float>);
extern template void add_row<double>(View<const double>, View<const double>, View<double>);
extern template void add_column_sums<float>(View<const float>, View<float>);
extern template void add_column_sums<double>(View<const double>, View<double>);

}  // namespace rae
