// Attention and patches of the model text.
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/patch.hpp"
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

/// image (B, C, H, W) -> tokens (B, h*w, C*P*P), features in the order of a patch convolution's
/// weight.
template <Real T>
Tensor<T> patchify(const Tensor<T>& image, index_t patch) {
  const Shape s = image.shape();
  if (s.rank() != 4) raise<ShapeError>("patchify: expected (B, C, H, W), got ", s);
  Tensor<T> out(Shape{s[0], (s[2] / patch) * (s[3] / patch), s[1] * patch * patch});
  patchify<T>(image, patch, PatchOrder::channels_first, out);
  return out;
}
template <Real T>
Var<T> patchify(const Var<T>& image, index_t patch) {
  return detail::make_result<T>(
      patchify(image.value(), patch),
      [image, patch](const Tensor<T>& g) {
        Tensor<T> dx(image.shape());
        unpatchify<T>(g, patch, PatchOrder::channels_first, dx);
        image.accumulate(std::move(dx));
      },
      image);
}

/// tokens (B, h*w, P*P*C), channel fastest -> image (B, C, h*P, w*P).
template <Real T>
Tensor<T> unpatchify(const Tensor<T>& tokens, index_t h, index_t w, index_t patch) {
  Tensor<T> out(Shape{tokens.extent(0), tokens.extent(2) / (patch * patch), h * patch, w * patch});
  unpatchify<T>(tokens, patch, PatchOrder::channels_last, out);
  return out;
}
template <Real T>
Var<T> unpatchify(const Var<T>& tokens, index_t h, index_t w, index_t patch) {
  return detail::make_result<T>(
      unpatchify(tokens.value(), h, w, patch),
      [tokens, patch](const Tensor<T>& g) {
        Tensor<T> dx(tokens.shape());
        patchify<T>(g, patch, PatchOrder::channels_last, dx);
        tokens.accumulate(std::move(dx));
      },
      tokens);
}

}  // namespace rae
