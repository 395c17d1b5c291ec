#include "rae/ops/heads.hpp"

#include <gtest/gtest.h>

#include "rae/autograd/gradcheck.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using Inputs = const std::vector<Var<double>>&;
using test::random_tensor;

TEST(OpsHeads, CircularWindows) {
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

TEST(OpsHeads, SpectralNormalize) {
  const Tensor<double> u(Shape{3}, {0.6, 0.0, -0.8}), v = random_tensor<double>({8}, 2);
  const GradcheckResult result =
      gradcheck([&](Inputs in) { return spectral_normalize(in[0], u, v); },
                {random_tensor<double>({3, 4, 2}, 1)});
  EXPECT_LT(result.worst, 1e-7) << result.where;
  // With the singular vectors of a diagonal matrix, its largest singular value becomes 1.
  const Tensor<float> w(Shape{2, 2}, {4, 0, 0, 2}), first(Shape{2}, {1, 0});
  EXPECT_EQ(spectral_normalize(w, first, first)[0], 1.f);
  EXPECT_EQ(spectral_normalize(w, first, first)[3], 0.5f);
  EXPECT_THROW(spectral_normalize(w, first, Tensor<float>(Shape{3}, 0.f)), ShapeError);
}

TEST(OpsHeads, JoinColumns) {
  const GradcheckResult result =
      gradcheck([](Inputs in) { return join_columns(in[0], in[1]); },
                {random_tensor<double>({2, 3}, 1), random_tensor<double>({2, 4}, 2)});
  EXPECT_LT(result.worst, 1e-8) << result.where;
  const Tensor<float> a(Shape{2, 1}, {1, 2}), b(Shape{2, 2}, {3, 4, 5, 6}),
      out = join_columns(a, b);
  EXPECT_EQ(out[1], 3.f);
  EXPECT_EQ(out[3], 2.f);
  EXPECT_THROW(join_columns(a, b.reshaped({4, 1})), ShapeError);
}

}  // namespace
}  // namespace rae
