#include "rae/ops/attention.hpp"

#include <gtest/gtest.h>

#include "support/gradients.hpp"

namespace rae {
namespace {

using test::expect_gradients;
using test::Inputs;

TEST(AttentionOps, Gradients) {
  const RopeTable<double> rope = make_rope_table<double>(3, 2, 8), *none = nullptr;
  expect_gradients([&](Inputs in) { return attention(in[0], 2, none); }, {{2, 5, 18}});
  expect_gradients([&](Inputs in) { return attention(in[0], 2, &rope); }, {{2, 6, 48}});
  expect_gradients([&](Inputs in) { return attention(in[0], 1, none); }, {{1, 70, 12}});
}

}  // namespace
}  // namespace rae
