// Compares gradients of operations with finite differences, in double.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

#include "rae/autograd/gradcheck.hpp"
#include "support/kernel_data.hpp"

namespace rae::test {

/// The arguments of a function checked by `gradcheck`.
using Inputs = const std::vector<Var<double>>&;

/// One standard normal tensor of each shape, all different.
inline std::vector<Tensor<double>> random_tensors(std::initializer_list<Shape> shapes) {
  std::vector<Tensor<double>> out;
  for (const Shape& shape : shapes) out.push_back(random_tensor<double>(shape, out.size()));
  return out;
}

/// Fails the test unless the recorded gradients of f agree with finite differences at random inputs
/// of these shapes.
template <class F>
void expect_gradients(F f, std::initializer_list<Shape> shapes) {
  const GradcheckResult result = gradcheck(f, random_tensors(shapes));
  EXPECT_LT(result.worst, 1e-7) << result.where;
}

}  // namespace rae::test
