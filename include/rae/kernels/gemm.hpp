// Matrix product with a fused epilogue, on strided views: transposition is a view, not a flag.
#pragma once

#include "rae/core/tensor.hpp"
#include "rae/kernels/activation.hpp"

namespace rae {

/// What happens to a product before it is stored: out = activation(a*b + bias) or out += a*b + bias.
template <Real T>
struct BasicEpilogue {
  View<const T> bias{};                      ///< (N), or empty
  Activation activation = Activation::none;  ///< applied after the bias
  bool accumulate = false;                   ///< add to `out` (before the activation) instead of replacing it
};
using Epilogue = BasicEpilogue<float>;

/// The right operand of a product, rearranged once into the order in which the kernel reads it.
///
/// Panels of `panel_width` columns; inside a panel the K rows follow each other, zero-padded to the full width:
/// [ceil(N / width)][K][width].
template <Real T>
class PackedMatrix {
 public:
  PackedMatrix() = default;

  /// Packs b (K, N), any strides. A weight W (N, K) of a linear layer is packed as `W.view().transposed()`.
  explicit PackedMatrix(View<const T> b);

  [[nodiscard]] bool empty() const noexcept { return panels_.empty(); }
  [[nodiscard]] index_t k() const noexcept { return k_; }
  [[nodiscard]] index_t n() const noexcept { return n_; }
  [[nodiscard]] const T* data() const noexcept { return panels_.data(); }

 private:
  Tensor<T> panels_;  // (panels, K, width)
  index_t k_ = 0, n_ = 0;
};

/// out (M, N) = epilogue(a (M, K) * b (K, N)). `out` needs unit column stride and must not overlap a or b; a and b may have
/// any strides. Results do not depend on the number of threads. Throws ShapeError.
template <Real T>
void gemm(View<const T> a, View<const T> b, View<T> out, const BasicEpilogue<T>& epilogue = {});

/// The same with a right operand that was packed before.
template <Real T>
void gemm(View<const T> a, const PackedMatrix<T>& b, View<T> out, const BasicEpilogue<T>& epilogue = {});

/// Lets tensors and views of float be passed without naming the type.
inline void gemm(View<const float> a, View<const float> b, View<float> out, const Epilogue& epilogue = {}) {
  gemm<float>(a, b, out, epilogue);
}

extern template class PackedMatrix<float>;
extern template class PackedMatrix<double>;
extern template void gemm<float>(View<const float>, View<const float>, View<float>, const Epilogue&);
extern template void gemm<double>(View<const double>, View<const double>, View<double>, const BasicEpilogue<double>&);
extern template void gemm<float>(View<const float>, const PackedMatrix<float>&, View<float>, const Epilogue&);
extern template void gemm<double>(View<const double>, const PackedMatrix<double>&, View<double>, const BasicEpilogue<double>&);

}  // namespace rae
