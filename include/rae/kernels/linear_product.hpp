// The products of a linear layer in training, with a fused prologue, side outputs and a fused
// epilogue on rows that are in the caches.
//
// With Y = X W^T + b and the gradient G of Y (Baydin et al. 2018, "Automatic Differentiation in
// Machine Learning", section 3.2): dX = G W, dW = G^T X, db = the column sums of G. So X and G are
// each read twice, once by a product along their rows and once by a product that sums over the
// rows. The second needs them packed, which the first does as a side output.
#pragma once

#include "rae/kernels/gemm.hpp"

namespace rae {

/// The left operand of a product of a linear layer, with its prologue (at most one of `norm` and
/// `gates`), side outputs (`packed`, `column_sums`) and epilogue (`swiglu`). Rows are contiguous.
template <Real T>
struct LinearOperand {
  View<const T> a;                      ///< (M, K); with `gates` (M, K/2)
  const NormInputs<T>* norm = nullptr;  ///< prologue: multiply norm(a); or null
  View<const T> gates{};  ///< prologue, (M, K): multiply the gradient of SwiGLU at these inputs,
                          ///< for its gradient a; or empty
  PackedMatrix<T>* packed = nullptr;  ///< side output: the rows after the prologue, packed as the
                                      ///< type that is multiplied; or null
  View<T> column_sums{};  ///< side output, (K): += the column sums of the rows after the prologue;
                          ///< or empty
  View<T> swiglu{};       ///< epilogue, (M, N/2): SwiGLU of the rows of out; or empty
};

/// out (M, N) = rows * b + bias for b (K, N) of any strides. `operands`: the type that is
/// multiplied, T itself or for float DType::bf16. out and all side outputs have the bits of the
/// separate steps. Results do not depend on the number of threads. Throws ShapeError,
/// ArgumentError.
template <Real T>
void linear_product(const LinearOperand<T>& rows, View<const T> b, View<T> out,
                    View<const T> bias = {}, DType operands = dtype_of<T>());

/// The side outputs of `linear_product` alone. `rows.swiglu` must be empty. Throws ShapeError,
/// ArgumentError.
template <Real T>
void pack_and_sum_rows(const LinearOperand<T>& rows, DType operands = dtype_of<T>());

/// out (N, K) [+]= a^T b for a (M, N) and b (M, K), both packed with PanelColumns::neighbours, as T
/// or as bf16: the gradient of a weight, a sum over rows. The bits are those of `gemm` with the
/// transposed a. Throws ShapeError, and ArgumentError for other types or panel widths.
template <Real T>
void gemm_transposed(const PackedMatrix<T>& a, const PackedMatrix<T>& b, View<T> out,
                     bool accumulate = false);

extern template void linear_product<float>(const LinearOperand<float>&, View<const float>,
                                           View<float>, View<const float>, DType);
extern template void linear_product<double>(const LinearOperand<double>&, View<const double>,
                                            View<double>, View<const double>, DType);
extern template void pack_and_sum_rows<float>(const LinearOperand<float>&, DType);
extern template void pack_and_sum_rows<double>(const LinearOperand<double>&, DType);
extern template void gemm_transposed<float>(const PackedMatrix<float>&, const PackedMatrix<float>&,
                                            View<float>, bool);
extern template void gemm_transposed<double>(const PackedMatrix<double>&,
                                             const PackedMatrix<double>&, View<double>, bool);

}  // namespace rae
