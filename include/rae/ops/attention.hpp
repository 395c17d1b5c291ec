// Multi-head self-attention.
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/rope.hpp"

namespace rae {

/// Multi-head self-attention of qkv (B, T, 3*H*hd): (B, T, H*hd). `rope` may be null and must
/// outlive the backward. `operands`: what the products multiply, T's own type or for float
/// DType::bf16, in the backward too.
template <Real T>
Tensor<T> attention(const Tensor<T>& qkv, index_t heads, const RopeTable<T>* rope,
                    DType operands = dtype_of<T>()) {
  Tensor<T> out(qkv.shape().with(-1, qkv.extent(-1) / 3));
  attention<T>(qkv, heads, rope ? rope->view() : RopeView<T>{}, out, operands);
  return out;
}
template <Real T>
Var<T> attention(const Var<T>& qkv, index_t heads, const RopeTable<T>* rope,
                 DType operands = dtype_of<T>()) {
  return detail::make_result<T>(
      attention(qkv.value(), heads, rope, operands),
      [qkv, heads, rope, operands](const Tensor<T>& g) {
        Tensor<T> dqkv(qkv.shape());
        attention_backward<T>(qkv.value(), heads, rope ? rope->view() : RopeView<T>{}, g, dqkv,
                              operands);
        qkv.accumulate(std::move(dqkv));
      },
      qkv);
}

}  // namespace rae
