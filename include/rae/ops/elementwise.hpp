// Sums and multiples of tensors, with the broadcasts that the models need, for Tensor (inference)
// and for Var (recorded, with a gradient).
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/elementwise.hpp"

namespace rae {

/// x + y of equal shape. Throws ShapeError.
template <Real T>
Tensor<T> add(const Tensor<T>& x, const Tensor<T>& y) {
  require_shape("add", y.shape(), x.shape());
  Tensor<T> out(x.shape());  // (...), as x and y
  axpby<T>(T(1), x, T(1), y, out);
  return out;
}
/// The same, recorded: gradients go to x and y.
template <Real T>
Var<T> add(const Var<T>& x, const Var<T>& y) {
  return detail::make_result<T>(
      add(x.value(), y.value()),
      [x, y](const Tensor<T>& g) {
        x.accumulate(g);
        y.accumulate(g);
      },
      x, y);
}

/// x + row for x (B, ...) and row (1, ...) or (...): the row is added to every entry of the leading
/// dimensions, as a position table (1, T, D) to x (B, T, D). Throws ShapeError unless the number of
/// elements of row divides that of x.
template <Real T>
Tensor<T> add_broadcast(const Tensor<T>& x, const Tensor<T>& row) {
  Tensor<T> out(x.shape());  // (B, ...), as x
  add_row<T>(x, row, out);
  return out;
}
/// The same, recorded: gradients go to x and, summed over the copies, to row.
template <Real T>
Var<T> add_broadcast(const Var<T>& x, const Var<T>& row) {
  return detail::make_result<T>(
      add_broadcast(x.value(), row.value()),
      [x, row](const Tensor<T>& g) {
        x.accumulate(g);
        if (row.requires_grad()) add_column_sums<T>(g, row.mutable_grad());
      },
      x, row);
}

/// x (B, T, D) plus v (B, D), which is added to every token of its image: (B, T, D). Throws
/// ShapeError.
template <Real T>
Tensor<T> add_per_image(const Tensor<T>& x, const Tensor<T>& v) {
  Tensor<T> out(x.shape());  // (B, T, D)
  const index_t b = x.extent(0);
  require_shape("add_per_image", v.shape(), {b, x.extent(2)});
  for (index_t i = 0; i < b; ++i)
    add_row<T>(x.view().slice(0, i, 1), v.view().slice(0, i, 1), out.view().slice(0, i, 1));
  return out;
}
/// The same, recorded: gradients go to x and, summed over the tokens, to v.
template <Real T>
Var<T> add_per_image(const Var<T>& x, const Var<T>& v) {
  return detail::make_result<T>(
      add_per_image(x.value(), v.value()),
      [x, v](const Tensor<T>& g) {
        x.accumulate(g);
        if (!v.requires_grad()) return;
        View<T> dv = v.mutable_grad().view();  // (B, D)
        for (index_t i = 0; i < g.extent(0); ++i)
          add_column_sums<T>(g.view().slice(0, i, 1), dv.slice(0, i, 1));
      },
      x, v);
}

/// alpha * x, for x of any shape.
template <Real T>
Tensor<T> scale(const Tensor<T>& x, T alpha) {
  Tensor<T> out(x.shape());  // (...), as x
  axpby<T>(alpha, x, T(0), x, out);
  return out;
}
/// The same, recorded: the gradient goes to x.
template <Real T>
Var<T> scale(const Var<T>& x, T alpha) {
  return detail::make_result<T>(
      scale(x.value(), alpha), [x, alpha](const Tensor<T>& g) { x.accumulate(scale(g, alpha)); },
      x);
}

}  // namespace rae
