#include "rae/ops/conv.hpp"

#include <gtest/gtest.h>

#include "rae/autograd/gradcheck.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using Inputs = const std::vector<Var<double>>&;
using test::random_tensor;

TEST(OpsConv, Conv2d) {
  for (const index_t k : {1, 3, 5}) {
    const GradcheckResult with_bias =
        gradcheck([](Inputs in) { return conv2d(in[0], in[1], in[2]); },
                  {random_tensor<double>({2, 3, 5, 4}, 1), random_tensor<double>({2, 3, k, k}, 2),
                   random_tensor<double>({2}, 3)});
    EXPECT_LT(with_bias.worst, 1e-7) << "k " << k << ": " << with_bias.where;
    const GradcheckResult without =
        gradcheck([](Inputs in) { return conv2d(in[0], in[1], Var<double>()); },
                  {random_tensor<double>({9, 1, 3, 3}, 1), random_tensor<double>({3, 1, k, k}, 2)});
    EXPECT_LT(without.worst, 1e-7) << "k " << k << ": " << without.where;
  }
}

TEST(OpsConv, MaxPool2d) {
  const GradcheckResult result = gradcheck([](Inputs in) { return max_pool2d(in[0]); },
                                           {random_tensor<double>({2, 3, 4, 7}, 1)});
  EXPECT_LT(result.worst, 1e-7) << result.where;
}

}  // namespace
}  // namespace rae
