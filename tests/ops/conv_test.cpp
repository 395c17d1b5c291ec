#include "rae/ops/conv.hpp"

#include <gtest/gtest.h>

#include "support/gradients.hpp"

namespace rae {
namespace {

using test::Inputs;
using test::random_tensor;

TEST(ConvOps, Conv2d) {
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

TEST(ConvOps, MaxPool2d) {
  const GradcheckResult result = gradcheck([](Inputs in) { return max_pool2d(in[0]); },
                                           {random_tensor<double>({2, 3, 4, 7}, 1)});
  EXPECT_LT(result.worst, 1e-7) << result.where;
}

TEST(ConvOps, CircularWindows) {
  const Tensor<float> x(Shape{1, 2, 3}, {1, 2, 3, 4, 5, 6}),
      out = circular_windows(x, 3);  // (1, 3, 6)
  const float expected[] = {3, 1, 2, 6, 4, 5, 1, 2, 3, 4, 5, 6, 2, 3, 1, 5, 6, 4};
  for (index_t i = 0; i < 18; ++i) EXPECT_EQ(out[i], expected[i]) << i;
  for (const index_t k : {1, 3, 7}) {
    const GradcheckResult result = gradcheck([k](Inputs in) { return circular_windows(in[0], k); },
                                             {random_tensor<double>({2, 3, 4}, 1)});
    EXPECT_LT(result.worst, 1e-8) << k << ": " << result.where;
  }
  EXPECT_THROW(circular_windows(x, 2), ShapeError);
  EXPECT_THROW(circular_windows(x, 9), ShapeError);
  EXPECT_THROW(circular_windows(x.reshaped({2, 3}), 1), ShapeError);
}

}  // namespace
}  // namespace rae
