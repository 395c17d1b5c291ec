#include "rae/ops/resize.hpp"

#include <gtest/gtest.h>

#include "support/gradients.hpp"

namespace rae {
namespace {

using test::expect_gradients;
using test::Inputs;

TEST(ResizeOps, Gradients) {
  for (const Resize method :
       {Resize::nearest, Resize::bilinear, Resize::bicubic, Resize::bicubic_antialias}) {
    expect_gradients([method](Inputs in) { return resize(in[0], method, 3, 5); }, {{2, 3, 4, 4}});
    expect_gradients([method](Inputs in) { return resize(in[0], method, 5, 2); }, {{1, 2, 3, 7}});
  }
}

}  // namespace
}  // namespace rae
