// Normalisation of queries and keys per head (Dehghani et al. 2023, "Scaling Vision Transformers to
// 22 Billion Parameters", section 2).
#pragma once

#include "rae/ops/norm.hpp"

namespace rae {

namespace detail {
/// Part 0 (query), 1 (key) or 2 (value) of qkv (B, T, 3*D) as a matrix of heads (B*T*H, hd).
template <Real T>
Tensor<T> take_part(const Tensor<T>& qkv, index_t part, index_t head_dim) {
  const index_t d = qkv.extent(-1) / 3, tokens = qkv.shape().rows();
  Tensor<T> out(Shape{tokens * d / head_dim, head_dim});
  T* target = out.data();
  for (index_t t = 0; t < tokens; ++t)
    std::copy_n(qkv.data() + (3 * t + part) * d, d, target + t * d);
  return out;
}
template <Real T>
void put_part(const Tensor<T>& part_rows, index_t part, Tensor<T>& qkv) {
  const index_t d = qkv.extent(-1) / 3, tokens = qkv.shape().rows();
  T* target = qkv.data();
  for (index_t t = 0; t < tokens; ++t)
    std::copy_n(part_rows.data() + t * d, d, target + (3 * t + part) * d);
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
