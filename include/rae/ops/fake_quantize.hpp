// Fake quantisation: training computes with the weights that a narrow type stores, but updates
// weights in f32.
//
// Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
// Integer-Arithmetic-Only Inference", section 3; straight-through gradient: Bengio, Leonard,
// Courville 2013, "Estimating or Propagating Gradients Through Stochastic Neurons", section 4.
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/group_rounding.hpp"

namespace rae {

/// The weights w (N, K) rounded to int8w or int4, as f32; see `round_to_groups`. Throws ShapeError,
/// ArgumentError for another type.
inline Tensor<float> fake_quantize(const Tensor<float>& w, DType stored) {
  Tensor<float> out(w.shape());  // (N, K)
  round_to_groups(w.view(), out.view(), stored);
  return out;
}
/// The same, recorded: the gradient goes to w unchanged, as if nothing had been rounded.
inline Var<float> fake_quantize(const Var<float>& w, DType stored) {
  return detail::make_result<float>(
      fake_quantize(w.value(), stored), [w](const Tensor<float>& g) { w.accumulate(g); }, w);
}

}  // namespace rae
