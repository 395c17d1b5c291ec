// Norms, adaLN modulation and gated residuals of the model text.
#pragma once

#include <array>

#include "rae/autograd/var.hpp"
#include "rae/kernels/gate.hpp"
#include "rae/kernels/norm.hpp"

namespace rae {

/// `width` columns of the rows of a tensor (..., columns), without a copy: one of the six vectors that adaLN computes.
template <class X>
struct Chunk {
  X whole;
  index_t column = 0, width = 0;
};

/// Cuts the innermost dimension into N equal chunks. Throws ShapeError when it does not divide.
template <int N, class X>
std::array<Chunk<X>, N> chunk(const X& x) {
  const index_t columns = x.extent(-1);
  if (columns % N != 0) raise<ShapeError>("chunk: ", columns, " columns do not divide into ", N);
  std::array<Chunk<X>, N> out;
  for (int i = 0; i < N; ++i) out[static_cast<std::size_t>(i)] = {x, i * (columns / N), columns / N};
  return out;
}

/// A whole vector or matrix as one chunk: LayerScale's (D) gates every row.
template <class X>
Chunk<X> whole(const X& x) {
  return {x, 0, x.extent(-1)};
}

namespace detail {
template <class X>
auto rows_of(const Chunk<X>& c) {
  const auto& t = value_of(c.whole);
  using T = typename X::value_type;
  return Rows<const T>{t.data() + c.column, t.shape().rows(), t.extent(-1)};
}
template <Real T>
Rows<T> gradient_rows(const Chunk<Var<T>>& c) {
  if (!c.whole.requires_grad()) return {};
  Tensor<T>& g = c.whole.mutable_grad();
  return {g.data() + c.column, g.shape().rows(), g.extent(-1)};
}
}  // namespace detail

/// Which norm, its epsilon, and its optional affine part; empty X means absent.
template <class X>
struct NormParameters {
  NormKind kind = NormKind::layer;
  double eps = 1e-6;
  X weight{}, bias{};  // (D)
};

namespace detail {
template <class X>
auto norm_inputs(const NormParameters<X>& p) {
  using T = typename X::value_type;
  NormInputs<T> in{p.kind, p.eps, {}, {}, {}, {}};
  if (!p.weight.empty()) in.weight = value_of(p.weight).view();
  if (!p.bias.empty()) in.bias = value_of(p.bias).view();
  return in;
}
template <Real T>
NormGradients<T> norm_gradients(const NormParameters<Var<T>>& p, Tensor<T>& dx) {
  NormGradients<T> g;
  g.dx = dx.view();
  if (p.weight.requires_grad()) g.dweight = p.weight.mutable_grad().view();
  if (p.bias.requires_grad()) g.dbias = p.bias.mutable_grad().view();
  return g;
}
}  // namespace detail

/// norm(x) (..., D).
template <Real T>
Tensor<T> normalize(const NormParameters<Tensor<T>>& p, const Tensor<T>& x) {
  Tensor<T> out(x.shape());
  norm<T>(x, detail::norm_inputs(p), out);
  return out;
}
template <Real T>
Var<T> normalize(const NormParameters<Var<T>>& p, const Var<T>& x) {
  Tensor<T> out(x.shape());
  norm<T>(x.value(), detail::norm_inputs(p), out);
  return detail::make_result<T>(
      std::move(out),
      [p, x](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());
        norm_backward<T>(x.value(), detail::norm_inputs(p), g, detail::norm_gradients(p, dx));
        x.accumulate(std::move(dx));
      },
      x, p.weight, p.bias);
}

/// norm(x) * (1 + scale) + shift for x (B, T, D); shift and scale have one row per image or per token.
template <Real T>
Tensor<T> norm_modulate(const NormParameters<Tensor<T>>& p, const Tensor<T>& x, const Chunk<Tensor<T>>& shift,
                        const Chunk<Tensor<T>>& scale) {
  Tensor<T> out(x.shape());
  NormInputs<T> in = detail::norm_inputs(p);
  in.shift = detail::rows_of(shift);
  in.scale = detail::rows_of(scale);
  norm<T>(x, in, out);
  return out;
}
template <Real T>
Var<T> norm_modulate(const NormParameters<Var<T>>& p, const Var<T>& x, const Chunk<Var<T>>& shift, const Chunk<Var<T>>& scale) {
  auto inputs = [p, shift, scale] {
    NormInputs<T> in = detail::norm_inputs(p);
    in.shift = detail::rows_of(shift);
    in.scale = detail::rows_of(scale);
    return in;
  };
  Tensor<T> out(x.shape());
  norm<T>(x.value(), inputs(), out);
  return detail::make_result<T>(
      std::move(out),
      [p, x, shift, scale, inputs](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());
        NormGradients<T> gradients = detail::norm_gradients(p, dx);
        gradients.dshift = detail::gradient_rows(shift);
        gradients.dscale = detail::gradient_rows(scale);
        norm_backward<T>(x.value(), inputs(), g, gradients);
        x.accumulate(std::move(dx));
      },
      x, shift.whole, p.weight, p.bias);
}

/// x + gate * y for x, y (B, T, D); the gate has one row per image, per token, or one for all.
template <Real T>
Tensor<T> gated_add(const Tensor<T>& x, const Chunk<Tensor<T>>& gate, const Tensor<T>& y) {
  Tensor<T> out(x.shape());
  gated_add<T>(x, detail::rows_of(gate), y, out);
  return out;
}
template <Real T>
Var<T> gated_add(const Var<T>& x, const Chunk<Var<T>>& gate, const Var<T>& y) {
  Tensor<T> out(x.shape());
  gated_add<T>(x.value(), detail::rows_of(gate), y.value(), out);
  return detail::make_result<T>(
      std::move(out),
      [x, gate, y](const Tensor<T>& g) {
        x.accumulate(g);
        Tensor<T> dy(y.shape());
        gated_add_backward<T>(detail::rows_of(gate), y.value(), g, dy, detail::gradient_rows(gate));
        y.accumulate(std::move(dy));
      },
      x, gate.whole, y);
}

}  // namespace rae
