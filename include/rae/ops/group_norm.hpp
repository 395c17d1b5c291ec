// Group normalisation, for Tensor (inference) and for Var (recorded, with a gradient).
//
// Wu and He, "Group Normalization" (2018), equations 1 to 6.
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/group_norm.hpp"

namespace rae {

/// x (B, C, ...) normalised over the C / groups channels of each group and all positions, times
/// weight (C), plus bias (C): (B, C, ...). Throws ShapeError, ArgumentError when `groups` does not
/// divide C.
template <Real T>
Tensor<T> group_norm(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias,
                     index_t groups, double eps = 1e-5) {
  Tensor<T> out(x.shape());  // (B, C, ...)
  group_norm<T>(x, weight, bias, groups, eps, out);
  return out;
}
/// The same, recorded: gradients go to x, weight and bias.
template <Real T>
Var<T> group_norm(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, index_t groups,
                  double eps = 1e-5) {
  return detail::make_result<T>(
      group_norm(x.value(), weight.value(), bias.value(), groups, eps),
      [x, weight, bias, groups, eps](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());     // (B, C, ...)
        View<T> dweight{}, dbias{};  // (C) each
        if (weight.requires_grad()) dweight = weight.mutable_grad().view();
        if (bias.requires_grad()) dbias = bias.mutable_grad().view();
        group_norm_backward<T>(x.value(), weight.value(), groups, eps, g, dx, dweight, dbias);
        x.accumulate(std::move(dx));
      },
      x, weight, bias);
}

}  // namespace rae
