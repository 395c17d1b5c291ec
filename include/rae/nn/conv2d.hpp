// Convolution layer, as torch.nn.Conv2d(in, out, k, stride, padding).
#pragma once

#include "rae/nn/parameter.hpp"
#include "rae/ops/conv.hpp"

namespace rae {

/// 2-D convolution of pictures with square windows.
template <Operand X>
struct Conv2d {
  Window window;
  Parameter<X> weight, bias;  // (O, C, k, k), (O) or empty

  Conv2d() = default;
  /// From `in` to `out` channels with windows of k x k and (k - 1) / 2 zeros at each border, which
  /// keeps the size for odd k and a stride of 1.
  Conv2d(index_t in, index_t out, index_t k, index_t stride = 1, bool with_bias = true)
      : window{k, k, stride, (k - 1) / 2, (k - 1) / 2}, weight(Shape{out, in, k, k}) {
    if (with_bias) bias = Parameter<X>(Shape{out});
  }

  /// (B, C, H, W) -> (B, O, h, w). Throws ShapeError.
  X operator()(const X& x) const { return conv2d(x, weight.value, bias.value, window); }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    f("weight", weight);
    if (!bias.empty()) f("bias", bias);
  }
};

}  // namespace rae
