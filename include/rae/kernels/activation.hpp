// Pointwise nonlinearities of the ViT and DiT feed-forward layers, forward and backward.
//
// GELU: Hendrycks and Gimpel 2016; SwiGLU: Shazeer, "GLU Variants Improve Transformer" (2020).
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// Nonlinearity applied to each element: x, x*Phi(x), its tanh approximation, or x*sigmoid(x).
/// `swiglu` combines the two halves of a row, silu(x[:F]) * x[F:]: products and linear layers
/// accept it, `activate` does not.
enum class Activation { none, gelu, gelu_tanh, silu, swiglu };

/// `Epilogue{.activation = Gelu}` reads better than the qualified enumerators.
inline constexpr Activation Gelu = Activation::gelu;
inline constexpr Activation GeluTanh = Activation::gelu_tanh;
inline constexpr Activation Silu = Activation::silu;

/// out = f(x). Any shape; both contiguous and of equal size; may be the same memory. Throws
/// ShapeError, ArgumentError.
template <Real T>
void activate(Activation f, View<const T> x, View<T> out);

/// dx = dout * f'(x). All contiguous and of equal size. Throws ShapeError, ArgumentError.
template <Real T>
void activate_backward(Activation f, View<const T> x, View<const T> dout, View<T> dx);

/// out (R, F) = silu(x[:, :F]) * x[:, F:] for x (R, 2F). Throws ShapeError.
template <Real T>
void swiglu(View<const T> x, View<T> out);

/// dx (R, 2F) from dout (R, F) and the forward's input. Throws ShapeError.
template <Real T>
void swiglu_backward(View<const T> x, View<const T> dout, View<T> dx);

extern template void activate<float>(Activation, View<const float>, View<float>);
extern template void activate<double>(Activation, View<const double>, View<double>);
extern template void activate_backward<float>(Activation, View<const float>, View<const float>,
                                              View<float>);
extern template void activate_backward<double>(Activation, View<const double>, View<const double>,
                                               View<double>);
extern template void swiglu<float>(View<const float>, View<float>);
extern template void swiglu<double>(View<const double>, View<double>);
extern template void swiglu_backward<float>(View<const float>, View<const float>, View<float>);
extern template void swiglu_backward<double>(View<const double>, View<const double>, View<double>);

}  // namespace rae
