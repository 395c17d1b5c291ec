// LayerNorm and RMSNorm with adaLN modulation fused, forward and backward.
//
// out = n * (1 + scale) + shift with n = normalise(x) * weight + bias: the "modulate" of DiT
// (Peebles and Xie 2023, section 3.2).
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// LayerNorm subtracts the mean and divides by the standard deviation; RMSNorm divides by the root
/// mean square.
enum class NormKind { layer, rms };

/// Rows of conditioning vectors (G, D), read with a row stride: a slice of an adaLN output. Group g
/// serves the R / G consecutive rows g*R/G ... of the normalised matrix, so one row per image, per
/// token or for everything all fit.
template <class T>
struct Rows {
  T* data = nullptr;
  index_t groups = 0;
  index_t stride = 0;  ///< elements between consecutive groups
  [[nodiscard]] bool empty() const noexcept { return data == nullptr; }
};

/// Inputs of a norm besides x; each may be empty.
template <class T>
struct NormInputs {
  NormKind kind = NormKind::layer;
  double eps = 1e-6;
  View<const T> weight{};          ///< (D)
  View<const T> bias{};            ///< (D)
  Rows<const T> shift{}, scale{};  ///< both or neither
};

/// Gradients of a norm; those that are empty are not computed. All but dx are accumulated into.
template <class T>
struct NormGradients {
  View<T> dx{};  ///< (R, D), overwritten
  View<const T>
      add{};          ///< (R, D), added to dx: the gradient of x from its other uses; may be empty
  View<T> dweight{};  ///< (D)
  View<T> dbias{};    ///< (D)
  Rows<T> dshift{}, dscale{};
};

/// out (R, D) = modulated norm of x (R, D), both contiguous. Throws ShapeError.
template <Real T>
void norm(View<const T> x, const NormInputs<T>& inputs, View<T> out);

/// Gradients at x for dout (R, D); statistics are recomputed from x. Throws ShapeError.
template <Real T>
void norm_backward(View<const T> x, const NormInputs<T>& inputs, View<const T> dout,
                   const NormGradients<T>& gradients);

extern template void norm<float>(View<const float>, const NormInputs<float>&, View<float>);
extern template void norm<double>(View<const double>, const NormInputs<double>&, View<double>);
extern template void norm_backward<float>(View<const float>, const NormInputs<float>&,
                                          View<const float>, const NormGradients<float>&);
extern template void norm_backward<double>(View<const double>, const NormInputs<double>&,
                                           View<const double>, const NormGradients<double>&);

}  // namespace rae
