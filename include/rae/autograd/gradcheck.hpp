// Comparison of recorded gradients with central finite differences, in double.
#pragma once

#include <string>
#include <vector>

#include "rae/autograd/var.hpp"
#include "rae/core/math.hpp"
#include "rae/core/random.hpp"

namespace rae {

/// The largest difference that `gradcheck` found.
struct GradcheckResult {
  double worst = 0;  ///< |analytic - numeric| / (1 + |numeric|); infinite where one is NaN
  std::string
      where;  ///< "input 1, element 17: analytic .., numeric .."; empty without a difference
};

/// Compares the gradients of the scalar sum(f(inputs) * r), for a fixed random r, with central
/// differences of the given step. `f` maps a vector of Var<double> to one Var<double>, of any
/// shapes, and must be smooth at the inputs. All inputs are checked, each at no more than about 64
/// evenly spaced elements. Throws what `f` throws.
template <class F>
GradcheckResult gradcheck(F f, const std::vector<Tensor<double>>& inputs, double step = 1e-5) {
  std::vector<Var<double>> leaves;  // each of the shape of its input
  for (const auto& input : inputs) leaves.emplace_back(input, true);
  Tape<double> tape;
  Tensor<double> weights;  // (...), as the result of f: the r of the scalar
  {
    const TapeScope<double> scope(tape);
    const Var<double> out = f(leaves);  // (...)
    weights = Tensor<double>(out.shape());
    double* w = weights.data();
    const Philox random(17);
    for (index_t i = 0; i < weights.numel(); ++i)
      w[i] = random.normal(static_cast<std::uint64_t>(i));
    tape.backward(out, weights);
  }
  auto objective = [&](const std::vector<Tensor<double>>& at) {
    std::vector<Var<double>> constants;  // each of the shape of its input
    for (const auto& input : at) constants.emplace_back(input);
    const NoGrad<double> no_grad;
    const Var<double> out = f(constants);  // (...)
    double sum = 0;
    for (index_t i = 0; i < weights.numel(); ++i)
      sum += weights.span()[static_cast<std::size_t>(i)] * out.value()[i];
    return sum;
  };
  GradcheckResult result;
  for (std::size_t n = 0; n < inputs.size(); ++n) {
    const index_t stride = math::max<index_t>(1, inputs[n].numel() / 64);
    for (index_t i = 0; i < inputs[n].numel(); i += stride) {
      std::vector<Tensor<double>> moved = inputs;  // each of the shape of its input
      moved[n][i] += step;
      const double above = objective(moved);
      moved[n][i] -= 2 * step;
      const double numeric = (above - objective(moved)) / (2 * step);
      const double analytic = leaves[n].grad().empty() ? 0.0 : std::as_const(leaves[n]).grad()[i];
      const double error = math::fabs(analytic - numeric) / (1 + math::fabs(numeric));
      if (error > result.worst || math::is_nan(error)) {
        result.worst = math::is_nan(error) ? __builtin_huge_val() : error;
        result.where =
            concat("input ", n, ", element ", i, ": analytic ", analytic, ", numeric ", numeric);
      }
    }
  }
  return result;
}

}  // namespace rae
