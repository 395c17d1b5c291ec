#include "rae/ops/tokens.hpp"

#include <gtest/gtest.h>

#include "support/gradients.hpp"

namespace rae {
namespace {

using test::expect_gradients;
using test::Inputs;
using test::random_tensor;

TEST(TokenOps, Gradients) {
  expect_gradients([](Inputs in) { return reshape(in[0], {6, 2}); }, {{3, 4}});
  expect_gradients([](Inputs in) { return tokens_to_grid(grid_to_tokens(in[0]), 3, 2); },
                   {{2, 5, 3, 2}});
  expect_gradients([](Inputs in) { return prepend_tokens(in[0], in[1]); }, {{1, 2, 3}, {4, 5, 3}});
  expect_gradients([](Inputs in) { return drop_tokens(in[0], 2); }, {{4, 5, 3}});
  expect_gradients([](Inputs in) { return keep_tokens(in[0], 2); }, {{4, 5, 3}});
  expect_gradients([](Inputs in) { return repeat(in[0], 3); }, {{2, 3}});
  expect_gradients([](Inputs in) { return patchify(in[0], 2); }, {{2, 3, 4, 6}});
  expect_gradients([](Inputs in) { return unpatchify(in[0], 2, 3, 2); }, {{2, 6, 12}});
}

TEST(TokenOps, JoinColumns) {
  const GradcheckResult result =
      gradcheck([](Inputs in) { return join_columns(in[0], in[1]); },
                {random_tensor<double>({2, 3}, 1), random_tensor<double>({2, 4}, 2)});
  EXPECT_LT(result.worst, 1e-8) << result.where;
  const Tensor<float> a(Shape{2, 1}, {1, 2}), b(Shape{2, 2}, {3, 4, 5, 6}),
      out = join_columns(a, b);  // (2, 1), (2, 2), (2, 3)
  EXPECT_EQ(out[1], 3.f);
  EXPECT_EQ(out[3], 2.f);
  EXPECT_THROW(join_columns(a, b.reshaped({4, 1})), ShapeError);
}

}  // namespace
}  // namespace rae
