#include "rae/ops/conv.hpp"

#include <gtest/gtest.h>

#include "support/gradients.hpp"

namespace rae {
namespace {

using test::Inputs;
using test::random_tensor;

TEST(ConvOps, Conv2d) {
  for (const Window& w : {Window{1, 1}, Window{3, 3, 1, 1, 1}, Window{5, 5, 1, 2, 2},
                          Window{3, 3, 2, 1, 1}, Window{4, 2, 2, 1, 0}}) {
    const GradcheckResult with_bias = gradcheck(
        [w](Inputs in) { return conv2d(in[0], in[1], in[2], w); },
        {random_tensor<double>({2, 3, 5, 4}, 1),
         random_tensor<double>({2, 3, w.height, w.width}, 2), random_tensor<double>({2}, 3)});
    EXPECT_LT(with_bias.worst, 1e-7) << w.height << ": " << with_bias.where;
    const GradcheckResult without =
        gradcheck([w](Inputs in) { return conv2d(in[0], in[1], Var<double>(), w); },
                  {random_tensor<double>({9, 1, 3, 3}, 1),
                   random_tensor<double>({3, 1, w.height, w.width}, 2)});
    EXPECT_LT(without.worst, 1e-7) << w.height << ": " << without.where;
  }
  EXPECT_THROW((void)conv2d(Tensor<float>(Shape{1, 1, 2, 2}, 0.0f),
                            Tensor<float>(Shape{1, 1, 3, 3}, 0.0f), {}, {3, 3}),
               ShapeError);
}

TEST(ConvOps, Pooling) {
  for (const Window& w : {Window{2, 2, 2}, Window{3, 3, 1, 1, 1}, Window{4, 7}}) {
    const std::vector<Tensor<double>> x = {random_tensor<double>({2, 3, 4, 7}, 1)};
    const GradcheckResult largest = gradcheck([w](Inputs in) { return max_pool2d(in[0], w); }, x);
    EXPECT_LT(largest.worst, 1e-7) << largest.where;
    const GradcheckResult mean = gradcheck([w](Inputs in) { return avg_pool2d(in[0], w); }, x);
    EXPECT_LT(mean.worst, 1e-7) << mean.where;
  }
  EXPECT_THROW((void)max_pool2d(Tensor<float>(Shape{1, 1, 1, 4}, 0.0f)), ShapeError);
  EXPECT_THROW((void)max_pool2d(Tensor<float>(Shape{1, 4}, 0.0f)), ShapeError);
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
