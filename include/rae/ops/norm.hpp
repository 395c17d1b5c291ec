// Norms, adaLN modulation and gated residuals of the model text.
//
// A norm is lazy: it names what is to be normalised and how, and is computed by whom reads it.
#pragma once

#include <array>

#include "rae/autograd/var.hpp"
#include "rae/kernels/gate.hpp"
#include "rae/kernels/norm.hpp"

namespace rae {

/// `width` columns of the rows of a tensor (..., columns), without a copy: one of the six vectors
/// that adaLN computes.
template <class X>
struct Chunk {
  X whole;
  index_t column = 0, width = 0;

  [[nodiscard]] bool empty() const noexcept { return whole.empty(); }
};

/// Cuts the innermost dimension into N equal chunks. Throws ShapeError when it does not divide.
template <int N, class X>
std::array<Chunk<X>, N> chunk(const X& x) {
  const index_t columns = x.extent(-1);
  if (columns % N != 0) raise<ShapeError>("chunk: ", columns, " columns do not divide into ", N);
  std::array<Chunk<X>, N> out;
  for (int i = 0; i < N; ++i)
    out[static_cast<std::size_t>(i)] = {x, i * (columns / N), columns / N};
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

template <class X>
struct Normalized;

namespace detail {
template <class X>
auto norm_inputs(const NormParameters<X>& p) {
  using T = typename X::value_type;
  NormInputs<T> in{p.kind, p.eps, {}, {}, {}, {}};
  if (!p.weight.empty()) in.weight = value_of(p.weight).view();
  if (!p.bias.empty()) in.bias = value_of(p.bias).view();
  return in;
}
template <class X>
auto norm_inputs(const Normalized<X>& n) {
  auto in = norm_inputs(n.norm);
  if (!n.shift.empty()) {
    in.shift = rows_of(n.shift);
    in.scale = rows_of(n.scale);
  }
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
template <class X>
Tensor<typename X::value_type> norm_value(const Normalized<X>& n) {
  using T = typename X::value_type;
  Tensor<T> out(n.x.shape());
  norm<T>(value_of(n.x), norm_inputs(n), out);
  return out;
}
template <Real T>
Tensor<T> normalized(const Normalized<Tensor<T>>& n) {
  return norm_value(n);
}
/// Passes the gradient g of what n makes on to all that it is made of.
template <Real T>
void accumulate_norm_gradients(const Normalized<Var<T>>& n, const Tensor<T>& g) {
  Tensor<T> dx(n.x.shape());
  NormGradients<T> gradients = norm_gradients(n.norm, dx);
  gradients.dshift = gradient_rows(n.shift);
  gradients.dscale = gradient_rows(n.scale);
  gradients.add = n.x.grad().view();
  norm_backward<T>(n.x.value(), norm_inputs(n), g, gradients);
  if (n.x.requires_grad()) n.x.replace_grad(std::move(dx));
}
template <Real T>
Var<T> normalized(const Normalized<Var<T>>& n) {
  return make_result<T>(
      norm_value(n), [n](const Tensor<T>& g) { accumulate_norm_gradients(n, g); }, n.x,
      n.shift.whole, n.norm.weight, n.norm.bias);
}
}  // namespace detail

/// norm(x) * (1 + scale) + shift, or norm(x) where those are absent, before it is computed: a
/// matrix product that reads it makes its rows in the form that it multiplies. Whoever else needs
/// it converts it to X, which computes it.
template <class X>
struct Normalized {
  NormParameters<X> norm;
  X x;                        // (..., D)
  Chunk<X> shift{}, scale{};  // one row per image or per token; both or neither

  operator X() const { return detail::normalized(*this); }
};

/// norm(x) (..., D).
template <class X>
Normalized<X> normalize(const NormParameters<X>& p, const X& x) {
  return {p, x};
}

/// norm(x) * (1 + scale) + shift for x (B, T, D); shift and scale have one row per image or per
/// token.
template <class X>
Normalized<X> norm_modulate(const NormParameters<X>& p, const X& x, const Chunk<X>& shift,
                            const Chunk<X>& scale) {
  return {p, x, shift, scale};
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

namespace detail {
/// Part 0 (query), 1 (key) or 2 (value) of qkv (B, T, 3*D) as a matrix of heads (B*T*H, hd).
template <Real T>
Tensor<T> take_part(const Tensor<T>& qkv, index_t part, index_t head_dim) {
  const index_t d = qkv.extent(-1) / 3, tokens = qkv.shape().rows();
  Tensor<T> out(Shape{tokens * d / head_dim, head_dim});
  T* target = out.data();
  for (index_t t = 0; t < tokens; ++t)
    copy_elements(qkv.data() + (3 * t + part) * d, d, target + t * d);
  return out;
}
template <Real T>
void put_part(const Tensor<T>& part_rows, index_t part, Tensor<T>& qkv) {
  const index_t d = qkv.extent(-1) / 3, tokens = qkv.shape().rows();
  T* target = qkv.data();
  for (index_t t = 0; t < tokens; ++t)
    copy_elements(part_rows.data() + t * d, d, target + (3 * t + part) * d);
}
}  // namespace detail

/// qkv (B, T, 3*H*hd) with its queries and keys normalised over hd; values pass.
template <Real T>
Tensor<T> qk_norm(const NormParameters<Tensor<T>>& q, const NormParameters<Tensor<T>>& k,
                  const Tensor<T>& qkv, index_t head_dim) {
  Tensor<T> out = qkv;
  detail::put_part<T>(normalize(q, detail::take_part(qkv, 0, head_dim)), 0, out);
  detail::put_part<T>(normalize(k, detail::take_part(qkv, 1, head_dim)), 1, out);
  return out;
}
template <Real T>
Var<T> qk_norm(const NormParameters<Var<T>>& q, const NormParameters<Var<T>>& k, const Var<T>& qkv,
               index_t head_dim) {
  auto plain = [](const NormParameters<Var<T>>& p) {
    return NormParameters<Tensor<T>>{p.kind, p.eps,
                                     p.weight.empty() ? Tensor<T>() : p.weight.value(),
                                     p.bias.empty() ? Tensor<T>() : p.bias.value()};
  };
  return detail::make_result<T>(
      qk_norm(plain(q), plain(k), qkv.value(), head_dim),
      [q, k, qkv, head_dim](const Tensor<T>& g) {
        Tensor<T> dqkv = g;
        for (const index_t part : {0, 1}) {
          const NormParameters<Var<T>>& p = part == 0 ? q : k;
          const Tensor<T> x = detail::take_part(qkv.value(), part, head_dim);
          Tensor<T> dx(x.shape());
          norm_backward<T>(x, detail::norm_inputs(p), detail::take_part(g, part, head_dim),
                           detail::norm_gradients(p, dx));
          detail::put_part(dx, part, dqkv);
        }
        qkv.accumulate(std::move(dqkv));
      },
      qkv, q.weight, q.bias, k.weight, k.bias);
}

}  // namespace rae
