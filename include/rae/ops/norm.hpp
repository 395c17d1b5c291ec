// Norms, adaLN modulation, gated residuals and the norm of queries and keys, for Tensor (inference)
// and for Var (recorded, with a gradient).
//
// A norm is evaluated lazily: `normalize` returns a description, which a following linear layer
// computes row by row as it reads it. LayerNorm: Ba, Kiros, Hinton 2016; RMSNorm: Zhang and
// Sennrich 2019; adaLN: Peebles and Xie 2023, section 3.2; norm of queries and keys: Dehghani et
// al. 2023, "Scaling Vision Transformers to 22 Billion Parameters", section 2.
#pragma once

#include <array>

#include "rae/autograd/var.hpp"
#include "rae/kernels/gate.hpp"
#include "rae/kernels/norm.hpp"

namespace rae {

/// Columns [column, column + width) of a tensor (..., columns), without a copy: for example one of
/// the six vectors that adaLN computes in one matrix product.
template <class X>
struct Chunk {
  X whole;             ///< (..., columns): the tensor that holds the chunk, or empty
  index_t column = 0;  ///< the first column of the chunk
  index_t width = 0;   ///< the number of columns

  /// True for a chunk of no tensor, which stands for "absent".
  [[nodiscard]] bool empty() const noexcept { return whole.empty(); }
};

/// x (..., N*D) as N chunks (..., D), without a copy. Throws ShapeError when N does not divide the
/// last dimension.
template <std::size_t N, class X>
std::array<Chunk<X>, N> chunk(const X& x) {
  const index_t columns = x.extent(-1);
  const auto count = static_cast<index_t>(N);
  if (columns % count != 0)
    raise<ShapeError>("chunk: ", columns, " columns do not divide into ", N);
  std::array<Chunk<X>, N> out;
  for (index_t i = 0; i < count; ++i)
    out[static_cast<std::size_t>(i)] = {x, i * (columns / count), columns / count};
  return out;
}

/// All columns of x as one chunk: the gate (D) of LayerScale, one row for all tokens.
template <class X>
Chunk<X> whole(const X& x) {
  return {x, 0, x.extent(-1)};
}

namespace detail {
/// The rows of a chunk for a kernel.
template <class X>
auto rows_of(const Chunk<X>& c) {
  const auto& t = value_of(c.whole);  // (..., columns)
  using T = typename X::value_type;
  return Rows<const T>{t.data() + c.column, t.shape().rows(), t.extent(-1)};
}
/// The rows to which the gradient of a chunk is added; empty where none is needed.
template <Real T>
Rows<T> gradient_rows(const Chunk<Var<T>>& c) {
  if (!c.whole.requires_grad()) return {};
  Tensor<T>& g = c.whole.mutable_grad();  // (..., columns)
  return {g.data() + c.column, g.shape().rows(), g.extent(-1)};
}
}  // namespace detail

/// Which norm, with its epsilon and its optional affine part.
template <class X>
struct NormParameters {
  NormKind kind = NormKind::layer;  ///< LayerNorm or RMSNorm
  double eps = 1e-6;                ///< added to the variance or the mean square; positive
  X weight{}, bias{};               ///< (D) each, factor and offset after the norm; empty: none
};

template <class X>
struct Normalized;

namespace detail {
/// The parameters of a norm for a kernel.
template <class X>
auto norm_inputs(const NormParameters<X>& p) {
  using T = typename X::value_type;
  NormInputs<T> in{p.kind, p.eps, {}, {}, {}, {}};
  if (!p.weight.empty()) in.weight = value_of(p.weight).view();
  if (!p.bias.empty()) in.bias = value_of(p.bias).view();
  return in;
}
/// The same with the modulation.
template <class X>
auto norm_inputs(const Normalized<X>& n) {
  auto in = norm_inputs(n.norm);
  if (!n.shift.empty()) {
    in.shift = rows_of(n.shift);
    in.scale = rows_of(n.scale);
  }
  return in;
}
/// Where a kernel puts the gradients of a norm: dx (..., D) and those of the affine part.
template <Real T>
NormGradients<T> norm_gradients(const NormParameters<Var<T>>& p, Tensor<T>& dx) {
  NormGradients<T> g;
  g.dx = dx.view();
  if (p.weight.requires_grad()) g.dweight = p.weight.mutable_grad().view();
  if (p.bias.requires_grad()) g.dbias = p.bias.mutable_grad().view();
  return g;
}
/// The value of n, (..., D).
template <class X>
Tensor<typename X::value_type> norm_value(const Normalized<X>& n) {
  using T = typename X::value_type;
  Tensor<T> out(n.x.shape());  // (..., D)
  norm<T>(value_of(n.x), norm_inputs(n), out);
  return out;
}
/// The value of n, (..., D).
template <Real T>
Tensor<T> normalized(const Normalized<Tensor<T>>& n) {
  return norm_value(n);
}
/// Adds the gradients of the inputs of n, given the gradient g (..., D) of its value.
template <Real T>
void accumulate_norm_gradients(const Normalized<Var<T>>& n, const Tensor<T>& g) {
  Tensor<T> dx(n.x.shape());  // (..., D)
  NormGradients<T> gradients = norm_gradients(n.norm, dx);
  gradients.dshift = gradient_rows(n.shift);
  gradients.dscale = gradient_rows(n.scale);
  gradients.add = n.x.grad().view();
  norm_backward<T>(n.x.value(), norm_inputs(n), g, gradients);
  if (n.x.requires_grad()) n.x.replace_grad(std::move(dx));
}
/// The same, recorded.
template <Real T>
Var<T> normalized(const Normalized<Var<T>>& n) {
  return make_result<T>(
      norm_value(n), [n](const Tensor<T>& g) { accumulate_norm_gradients(n, g); }, n.x,
      n.shift.whole, n.norm.weight, n.norm.bias);
}
}  // namespace detail

/// norm(x) * (1 + scale) + shift, or norm(x) without scale and shift, not yet computed. A linear
/// layer computes its rows as it reads them; conversion to X computes all of them.
template <class X>
struct Normalized {
  NormParameters<X> norm;     ///< which norm
  X x;                        ///< (..., D)
  Chunk<X> shift{}, scale{};  ///< D columns, one row per image or per token; both or neither

  /// The value, (..., D). Throws ShapeError.
  operator X() const { return detail::normalized(*this); }
};

/// norm(x) for x (..., D), over the last dimension: (..., D), not yet computed.
template <class X>
Normalized<X> normalize(const NormParameters<X>& p, const X& x) {
  return {p, x};
}

/// norm(x) * (1 + scale) + shift for x (B, T, D): (B, T, D), not yet computed. shift and scale have
/// D columns and one row per image or per token (adaLN).
template <class X>
Normalized<X> norm_modulate(const NormParameters<X>& p, const X& x, const Chunk<X>& shift,
                            const Chunk<X>& scale) {
  return {p, x, shift, scale};
}

/// x + gate * y for x and y (B, T, D): (B, T, D). The gate has D columns and one row per image, one
/// per token, or one for all. Throws ShapeError.
template <Real T>
Tensor<T> gated_add(const Tensor<T>& x, const Chunk<Tensor<T>>& gate, const Tensor<T>& y) {
  Tensor<T> out(x.shape());  // (B, T, D)
  gated_add<T>(x, detail::rows_of(gate), y, out);
  return out;
}
/// The same, recorded: gradients go to x, gate and y.
template <Real T>
Var<T> gated_add(const Var<T>& x, const Chunk<Var<T>>& gate, const Var<T>& y) {
  Tensor<T> out(x.shape());  // (B, T, D)
  gated_add<T>(x.value(), detail::rows_of(gate), y.value(), out);
  return detail::make_result<T>(
      std::move(out),
      [x, gate, y](const Tensor<T>& g) {
        x.accumulate(g);
        Tensor<T> dy(y.shape());  // (B, T, D)
        gated_add_backward<T>(detail::rows_of(gate), y.value(), g, dy, detail::gradient_rows(gate));
        y.accumulate(std::move(dy));
      },
      x, gate.whole, y);
}

namespace detail {
/// The queries (part 0), keys (1) or values (2) of qkv (B, T, 3*H*hd) as a matrix (B*T*H, hd).
template <Real T>
Tensor<T> take_part(const Tensor<T>& qkv, index_t part, index_t head_dim) {
  const index_t d = qkv.extent(-1) / 3, tokens = qkv.shape().rows();
  Tensor<T> out(Shape{tokens * d / head_dim, head_dim});  // (B*T*H, hd)
  T* target = out.data();
  for (index_t t = 0; t < tokens; ++t)
    copy_elements(qkv.data() + (3 * t + part) * d, d, target + t * d);
  return out;
}
/// The reverse: overwrites a part of qkv (B, T, 3*H*hd) with a matrix (B*T*H, hd).
template <Real T>
void put_part(const Tensor<T>& part_rows, index_t part, Tensor<T>& qkv) {
  const index_t d = qkv.extent(-1) / 3, tokens = qkv.shape().rows();
  T* target = qkv.data();
  for (index_t t = 0; t < tokens; ++t)
    copy_elements(part_rows.data() + t * d, d, target + (3 * t + part) * d);
}
}  // namespace detail

/// qkv (B, T, 3*H*hd) with its queries normalised by q and its keys by k, over each head of hd =
/// `head_dim` columns; the values are unchanged. Throws ShapeError.
template <Real T>
Tensor<T> qk_norm(const NormParameters<Tensor<T>>& q, const NormParameters<Tensor<T>>& k,
                  const Tensor<T>& qkv, index_t head_dim) {
  Tensor<T> out = qkv;  // (B, T, 3*H*hd)
  detail::put_part<T>(normalize(q, detail::take_part(qkv, 0, head_dim)), 0, out);
  detail::put_part<T>(normalize(k, detail::take_part(qkv, 1, head_dim)), 1, out);
  return out;
}
/// The same, recorded: gradients go to qkv and to the affine parts.
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
        Tensor<T> dqkv = g;  // (B, T, 3*H*hd)
        for (const index_t part : {0, 1}) {
          const NormParameters<Var<T>>& p = part == 0 ? q : k;
          const Tensor<T> x = detail::take_part(qkv.value(), part, head_dim);  // (B*T*H, hd)
          Tensor<T> dx(x.shape());                                             // (B*T*H, hd)
          norm_backward<T>(x, detail::norm_inputs(p), detail::take_part(g, part, head_dim),
                           detail::norm_gradients(p, dx));
          detail::put_part(dx, part, dqkv);
        }
        qkv.accumulate(std::move(dqkv));
      },
      qkv, q.weight, q.bias, k.weight, k.bias);
}

}  // namespace rae
