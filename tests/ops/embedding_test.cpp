#include "rae/ops/embedding.hpp"

#include <gtest/gtest.h>

#include "support/gradients.hpp"

namespace rae {
namespace {

using test::expect_gradients;
using test::Inputs;

TEST(EmbeddingOps, Gradients) {
  const std::vector<std::int64_t> ids = {2, 0, 2, 3};
  expect_gradients([&](Inputs in) { return embedding(in[0], ids); }, {{4, 3}});
  const Tensor<double> t(Shape{2}, {0.1, 0.9});  // (2)
  expect_gradients([&](Inputs in) { return fourier_features(t, in[0]); }, {{6}});
}

}  // namespace
}  // namespace rae
