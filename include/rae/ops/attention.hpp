// Multi-head self-attention (Vaswani et al. 2017, section 3.2.2), with rotary position embedding
// (Su et al. 2021, "RoFormer").
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/core/shared.hpp"
#include "rae/kernels/rope.hpp"

namespace rae {

/// Multi-head self-attention of qkv (B, T, 3*H*hd), queries, keys and values concatenated, with
/// H = `heads`: (B, T, H*hd). Scores are divided by sqrt(hd). `rope` rotates queries and keys
/// before the product; null means no rotation. `operands`: the type to which both operands of each
/// product are rounded, T's own type (no rounding) or, for float, DType::bf16. Throws ShapeError,
/// ArgumentError.
template <Real T>
Tensor<T> attention(const Tensor<T>& qkv, index_t heads, const RopeTable<T>* rope,
                    DType operands = dtype_of<T>()) {
  Tensor<T> out(qkv.shape().with(-1, qkv.extent(-1) / 3));  // (B, T, H*hd)
  attention<T>(qkv, heads, rope ? rope->view() : RopeView<T>{}, out, operands);
  return out;
}

namespace detail {

/// The recorded operation, which keeps `rope`: a pointer of any type to a table, or null.
template <Real T, class RopePointer>
Var<T> recorded_attention(const Var<T>& qkv, index_t heads, const RopePointer& rope,
                          DType operands) {
  return make_result<T>(
      attention(qkv.value(), heads, rope, operands),
      [qkv, heads, rope, operands](const Tensor<T>& g) {
        Tensor<T> dqkv(qkv.shape());  // (B, T, 3*H*hd)
        attention_backward<T>(qkv.value(), heads, rope ? rope->view() : RopeView<T>{}, g, dqkv,
                              operands);
        qkv.accumulate(std::move(dqkv));
      },
      qkv);
}

}  // namespace detail

/// The same, recorded: the gradient goes to qkv. `rope` must live until the backward pass,
/// whose products round their operands in the same way.
template <Real T>
Var<T> attention(const Var<T>& qkv, index_t heads, const RopeTable<T>* rope,
                 DType operands = dtype_of<T>()) {
  return detail::recorded_attention(qkv, heads, rope, operands);
}

/// The same with a table that the recorded operation shares, so that it may be made for one call.
template <Real T>
Tensor<T> attention(const Tensor<T>& qkv, index_t heads, const Shared<const RopeTable<T>>& rope,
                    DType operands = dtype_of<T>()) {
  return attention(qkv, heads, static_cast<const RopeTable<T>*>(rope.get()), operands);
}
/// See above.
template <Real T>
Var<T> attention(const Var<T>& qkv, index_t heads, const Shared<const RopeTable<T>>& rope,
                 DType operands = dtype_of<T>()) {
  return detail::recorded_attention(qkv, heads, rope, operands);
}

}  // namespace rae
