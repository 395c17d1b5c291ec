// Convolution layer with an odd kernel, stride 1 and zero padding that keeps the size, as
// torch.nn.Conv2d(in, out, k, padding=(k - 1) / 2).
#pragma once

#include "rae/nn/parameter.hpp"
#include "rae/ops/conv.hpp"

namespace rae {

/// 2-D convolution of images.
template <Operand X>
struct Conv2d {
  Parameter<X> weight, bias;  // (O, C, k, k), (O)

  Conv2d() = default;
  /// From `in` to `out` channels, with an odd kernel size `k`.
  Conv2d(index_t in, index_t out, index_t k) : weight(Shape{out, in, k, k}), bias(Shape{out}) {}

  /// (B, C, H, W) -> (B, O, H, W). Throws ShapeError.
  X operator()(const X& x) const { return conv2d(x, weight.value, bias.value); }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    f("weight", weight);
    f("bias", bias);
  }
};

}  // namespace rae
