// The pre-norm ViT block of the encoders (DINOv2, DINOv3, SigLIP2, MAE) and of the ViT decoder.
// Dosovitskiy et al. 2021, section 3.1.
#pragma once

#include "rae/nn/layer_norm.hpp"
#include "rae/nn/linear.hpp"
#include "rae/ops/attention.hpp"

namespace rae {

/// h = x + ls1 * attn(LN1 x); out = h + ls2 * fc2(gelu(fc1(LN2 h))). LayerScale, ls1 and ls2,
/// exists only in DINOv2 and DINOv3 and is omitted where it is empty. With the activation swiglu,
/// fc1 has two halves, and the hidden units are silu(first half) * second half (Shazeer 2020).
template <Operand X>
struct VitBlock {
  /// A table of rotary angles.
  using Rope = Shared<const RopeTable<typename X::value_type>>;

  index_t heads = 1;
  Activation activation = Activation::gelu;
  LayerNorm<X> norm1, norm2;
  Linear<X> qkv, proj;          // (3D, D): query, key, value concatenated; (D, D)
  Linear<X> fc1, fc2;           // (F, D), with swiglu (2F, D); (D, F)
  Parameter<X> scale1, scale2;  // (D), (D), or empty

  VitBlock() = default;
  /// Of width `dim` = D and hidden width `hidden` = F. Throws ConfigError unless `heads_` divides
  /// D.
  VitBlock(index_t dim, index_t hidden, index_t heads_, double eps, Activation activation_,
           bool layer_scale)
      : heads(heads_),
        activation(activation_),
        norm1(dim, eps),
        norm2(dim, eps),
        qkv(dim, 3 * dim),
        proj(dim, dim),
        fc1(activation_ == Activation::swiglu
                ? Linear<X>(dim, 2 * hidden, true, ParameterUse::swiglu_products)
                : Linear<X>(dim, hidden)),
        fc2(hidden, dim) {
    if (heads < 1 || dim % heads != 0)
      raise<ConfigError>("VitBlock: width ", dim, " does not divide into ", heads, " heads");
    if (layer_scale) {
      scale1 = Parameter<X>(Shape{dim});
      scale2 = Parameter<X>(Shape{dim});
    }
  }

  /// (B, T, D) -> (B, T, D). `rope` rotates queries and keys of all T tokens; empty: none. Throws
  /// ShapeError.
  X operator()(const X& x, const Rope& rope = {}) const {
    const X h = proj(attention(qkv(norm1(x)), heads, rope, qkv.operands()),
                     residual(x, scale1));                       // (B, T, D)
    return fc2(fc1(norm2(h), activation), residual(h, scale2));  // (B, T, D)
  }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    visit("norm1.", norm1, f);
    visit("norm2.", norm2, f);
    visit("attn.qkv.", qkv, f);
    visit("attn.proj.", proj, f);
    visit("mlp.fc1.", fc1, f);
    visit("mlp.fc2.", fc2, f);
    if (!scale1.empty()) {
      f("layer_scale1", scale1);
      f("layer_scale2", scale2);
    }
  }

 private:
  static Residual<X> residual(const X& x, const Parameter<X>& layer_scale) {
    return layer_scale.empty() ? Residual{x} : Residual{x, whole(layer_scale.value)};
  }
};

}  // namespace rae
