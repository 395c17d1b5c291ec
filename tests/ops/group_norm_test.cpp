#include "rae/ops/group_norm.hpp"

#include <gtest/gtest.h>

#include "support/gradients.hpp"

namespace rae {
namespace {

using test::Inputs;
using test::random_tensor;

TEST(GroupNormOps, GradientsAgreeWithFiniteDifferences) {
  for (const index_t groups : {1, 2, 4}) {
    const GradcheckResult result =
        gradcheck([groups](Inputs in) { return group_norm(in[0], in[1], in[2], groups); },
                  {random_tensor<double>({3, 4, 2, 3}, 1), random_tensor<double>({4}, 2),
                   random_tensor<double>({4}, 3)});
    EXPECT_LT(result.worst, 1e-7) << groups << ": " << result.where;
  }
}

}  // namespace
}  // namespace rae
