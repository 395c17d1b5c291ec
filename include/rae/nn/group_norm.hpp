// Group normalisation with weight and bias, as torch.nn.GroupNorm. Wu and He, "Group Normalization"
// (2018), equations 1 to 6.
#pragma once

#include "rae/nn/parameter.hpp"
#include "rae/ops/group_norm.hpp"

namespace rae {

/// GroupNorm over groups of channels.
template <Operand X>
struct GroupNorm {
  index_t groups = 1;
  double eps = 1e-5;          ///< added to the variance
  Parameter<X> weight, bias;  // (C)

  GroupNorm() = default;
  /// For `channels` channels, which `groups_` divides.
  GroupNorm(index_t groups_, index_t channels, double eps_ = 1e-5)
      : groups(groups_), eps(eps_), weight(Shape{channels}), bias(Shape{channels}) {}

  /// (B, C, ...) -> (B, C, ...). Throws ShapeError, ArgumentError.
  X operator()(const X& x) const { return group_norm(x, weight.value, bias.value, groups, eps); }

  /// Calls f(name, parameter) for every parameter.
  template <class F>
  void parameters(F&& f) {
    f("weight", weight);
    f("bias", bias);
  }
};

}  // namespace rae
