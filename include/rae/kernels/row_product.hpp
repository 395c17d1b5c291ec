// The products of a linear layer in training: a product of many rows, with what else is made of
// these rows while they are in the caches.
//
// With Y = X W^T + b and the gradient G of Y (Baydin et al. 2018, "Automatic Differentiation in
// Machine Learning", section 3.2): dX = G W, dW = G^T X, db = the sums of G's columns. So X and G
// are both read twice, once row by row and once along the rows. What sums along the rows is a
// packed form, which the product that reads row by row makes by the way.
#pragma once

#include "rae/kernels/gemm.hpp"

namespace rae {

/// The left operand of a product, with what is done before, beside and behind it. Rows are
/// contiguous.
template <Real T>
struct RowProduct {
  View<const T> a;                      ///< (M, K); with `gates` (M, K/2)
  const NormInputs<T>* norm = nullptr;  ///< the rows of a are multiplied under this norm, or null
  View<const T> gates{};  ///< (M, K): the rows multiplied are the gradient of SwiGLU at these for
                          ///< its gradient a; or empty
  PackedMatrix<T>* packed =
      nullptr;  ///< becomes the rows that were multiplied, packed as what is multiplied; or null
  View<T> column_sums{};  ///< (K): to it the sums of the columns of the rows that were multiplied
                          ///< are added; or empty
  View<T> swiglu{};       ///< (M, N/2): SwiGLU of the rows of out; or empty
};

/// out (M, N) = rows * b + bias for b (K, N) of any strides. `operands`: what is multiplied, T's
/// own type or for float DType::bf16; out, and all that is made beside, have the bits of the single
/// steps one after the other. Results do not depend on the number of threads. Throws ShapeError,
/// ArgumentError.
template <Real T>
void row_product(const RowProduct<T>& rows, View<const T> b, View<T> out, View<const T> bias = {},
                 DType operands = dtype_of<T>());

/// Only what is made beside a product. `rows.swiglu` must be empty. Throws ShapeError,
/// ArgumentError.
template <Real T>
void read_rows(const RowProduct<T>& rows, DType operands = dtype_of<T>());

/// out (N, K) [+]= a^T b for a (M, N) and b (M, K), both packed in neighbouring columns as T or
/// both as bf16: the sum over rows of the gradient of a weight. Bits are those of the plain product
/// of the transposed a. Throws ShapeError, ArgumentError.
template <Real T>
void gemm_transposed(const PackedMatrix<T>& a, const PackedMatrix<T>& b, View<T> out,
                     bool accumulate = false);

extern template void row_product<float>(const RowProduct<float>&, View<const float>, View<float>,
                                        View<const float>, DType);
extern template void row_product<double>(const RowProduct<double>&, View<const double>,
                                         View<double>, View<const double>, DType);
extern template void read_rows<float>(const RowProduct<float>&, DType);
extern template void read_rows<double>(const RowProduct<double>&, DType);
extern template void gemm_transposed<float>(const PackedMatrix<float>&, const PackedMatrix<float>&,
                                            View<float>, bool);
extern template void gemm_transposed<double>(const PackedMatrix<double>&,
                                             const PackedMatrix<double>&, View<double>, bool);

}  // namespace rae
