#include "rae/ops/spectral_norm.hpp"

#include <gtest/gtest.h>

#include "support/gradients.hpp"

namespace rae {
namespace {

using test::Inputs;
using test::random_tensor;

TEST(SpectralNormOps, Gradients) {
  // (3), (8)
  const Tensor<double> u(Shape{3}, {0.6, 0.0, -0.8}), v = random_tensor<double>({8}, 2);
  const GradcheckResult result =
      gradcheck([&](Inputs in) { return spectral_normalize(in[0], u, v); },
                {random_tensor<double>({3, 4, 2}, 1)});
  EXPECT_LT(result.worst, 1e-7) << result.where;
  // u and v are the singular vectors of a diagonal matrix, so its largest singular value becomes 1.
  const Tensor<float> w(Shape{2, 2}, {4, 0, 0, 2}), first(Shape{2}, {1, 0});  // (2, 2), (2)
  EXPECT_EQ(spectral_normalize(w, first, first)[0], 1.f);
  EXPECT_EQ(spectral_normalize(w, first, first)[3], 0.5f);
  EXPECT_THROW(spectral_normalize(w, first, Tensor<float>(Shape{3}, 0.f)), ShapeError);
}

}  // namespace
}  // namespace rae
