// Plain twin of kernels/activation.hpp: the functions and their derivatives at one number, in
// double.
#pragma once

#include <numbers>

#include "rae/core/math.hpp"
#include "rae/kernels/activation.hpp"

namespace rae::reference {

/// f(x).
[[nodiscard]] inline double activation(Activation f, double x) {
  switch (f) {
    case Activation::gelu: return 0.5 * x * math::erfc(-x / std::numbers::sqrt2);
    case Activation::gelu_tanh:
      return 0.5 * x *
             (1 + math::tanh(math::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::silu: return x / (1 + math::exp(-x));
    default: return x;
  }
}

/// f'(x).
[[nodiscard]] inline double activation_slope(Activation f, double x) {
  switch (f) {
    case Activation::gelu:
      return 0.5 * math::erfc(-x / std::numbers::sqrt2) +
             x * math::exp(-0.5 * x * x) / math::sqrt(2 * std::numbers::pi);
    case Activation::gelu_tanh: {
      const double c = math::sqrt(2 / std::numbers::pi),
                   t = math::tanh(c * (x + 0.044715 * x * x * x));
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x);
    }
    case Activation::silu: {
      const double s = 1 / (1 + math::exp(-x));
      return s + x * s * (1 - s);
    }
    default: return 1;
  }
}

/// out (R, F) = silu(gate) * up for x = [gate, up] (R, 2F).
template <Real T>
void swiglu(View<const T> x, View<T> out) {
  const index_t f = out.extent(1);
  for (index_t r = 0; r < out.extent(0); ++r)
    for (index_t i = 0; i < f; ++i)
      out(r, i) = static_cast<T>(activation(Activation::silu, static_cast<double>(x(r, i))) *
                                 static_cast<double>(x(r, f + i)));
}

/// dx (R, 2F) for dout (R, F).
template <Real T>
void swiglu_backward(View<const T> x, View<const T> dout, View<T> dx) {
  const index_t f = dout.extent(1);
  for (index_t r = 0; r < dout.extent(0); ++r)
    for (index_t i = 0; i < f; ++i) {
      const auto gate = static_cast<double>(x(r, i)), up = static_cast<double>(x(r, f + i)),
                 d = static_cast<double>(dout(r, i));
      dx(r, i) = static_cast<T>(d * up * activation_slope(Activation::silu, gate));
      dx(r, f + i) = static_cast<T>(d * activation(Activation::silu, gate));
    }
}

}  // namespace rae::reference
