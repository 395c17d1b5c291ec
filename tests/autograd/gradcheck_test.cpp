#include "rae/autograd/gradcheck.hpp"

#include <gtest/gtest.h>

#include "rae/ops/elementwise.hpp"
#include "support/gradients.hpp"

namespace rae {
namespace {

using test::Inputs;
using test::random_tensors;

TEST(Gradcheck, FindsAWrongGradient) {
  const auto wrong = [](Inputs in) {
    return detail::make_result<double>(
        scale(in[0].value(), 2.0), [x = in[0]](const Tensor<double>& g) { x.accumulate(g); },
        in[0]);
  };
  EXPECT_GT(gradcheck(wrong, random_tensors({{3}})).worst, 0.1);
}

}  // namespace
}  // namespace rae
