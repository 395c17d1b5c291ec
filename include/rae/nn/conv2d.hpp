// Convolution layer: odd kernel, stride 1, zeros around, as torch.nn.Conv2d(in, out, k, padding=(k
// - 1) / 2).
#pragma once

#include "rae/nn/parameter.hpp"
#include "rae/ops/conv.hpp"

namespace rae {

/// W (O, C, k, k) and b (O).
template <Operand X>
struct Conv2d {
  Parameter<X> weight, bias;

  Conv2d() = default;
  Conv2d(index_t in, index_t out, index_t k) : weight(Shape{out, in, k, k}), bias(Shape{out}) {}

  /// (B, C, H, W) -> (B, O, H, W).
  X operator()(const X& x) const { return conv2d(x, weight.value, bias.value); }

  template <class F>
  void parameters(F&& f) {
    f("weight", weight);
    f("bias", bias);
  }
};

}  // namespace rae
