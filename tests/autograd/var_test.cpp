#include "rae/autograd/var.hpp"

#include <gtest/gtest.h>

#include "rae/ops/linear.hpp"
#include "rae/ops/loss.hpp"
#include "support/gradients.hpp"

namespace rae {
namespace {

using test::Inputs;
using test::random_tensor;
using test::random_tensors;

TEST(Checkpoint, GradientsEqualThoseWithoutCheckpoint) {
  const auto inputs = random_tensors({{3, 4}, {4, 4}, {4}});
  auto block = [](const Var<double>& x, const Var<double>& w, const Var<double>& b) {
    return linear(linear(x, w, b, Activation::gelu), w, b);
  };
  const GradcheckResult result =
      gradcheck([&](Inputs in) { return checkpoint(block, in[0], in[1], in[2]); }, inputs);
  EXPECT_LT(result.worst, 1e-7) << result.where;
  // Parameters that the block captures, instead of taking them as inputs.
  const GradcheckResult captured = gradcheck(
      [&](Inputs in) {
        return checkpoint(
            [w = in[1], b = in[2], block](const Var<double>& x) { return block(x, w, b); }, in[0]);
      },
      inputs);
  EXPECT_LT(captured.worst, 1e-7) << captured.where;
}

TEST(Tape, NoGradRecordsNothing) {
  Tape<double> tape;
  const TapeScope<double> scope(tape);
  const Var<double> x(Tensor<double>(Shape{2}, 1.0), true);
  {
    const NoGrad<double> no_grad;
    EXPECT_FALSE(scale(x, 2.0).requires_grad());
  }
  EXPECT_EQ(tape.size(), 0u);
  EXPECT_TRUE(scale(x, 2.0).requires_grad());
  EXPECT_EQ(tape.size(), 1u);
}

TEST(Tape, ConstantsRecordNothing) {
  Tape<double> tape;
  const TapeScope<double> scope(tape);
  EXPECT_FALSE(scale(Var<double>(Tensor<double>(Shape{2}, 1.0)), 2.0).requires_grad());
  EXPECT_EQ(tape.size(), 0u);
}

// Two micro-batches with halved losses give the gradient of the whole batch.
TEST(Tape, GradientsAccumulate) {
  const Tensor<double> x = random_tensor<double>({4, 3}, 1),
                       target = random_tensor<double>({4, 2}, 2),
                       weight = random_tensor<double>({2, 3}, 3);  // (4, 3), (4, 2), (2, 3)
  auto gradient = [&](int parts) {
    const Var<double> w(weight, true);
    const index_t rows = 4 / parts;
    for (int part = 0; part < parts; ++part) {
      Tape<double> tape;
      const TapeScope<double> scope(tape);
      const Tensor<double> xs(Shape{rows, 3},
                              x.span().subspan(static_cast<std::size_t>(part * rows * 3),
                                               static_cast<std::size_t>(rows * 3)));  // (R, 3)
      const Tensor<double> ts(Shape{rows, 2},
                              target.span().subspan(static_cast<std::size_t>(part * rows * 2),
                                                    static_cast<std::size_t>(rows * 2)));  // (R, 2)
      tape.backward(scale(mse_loss(linear(Var<double>(xs), w, Var<double>()), ts), 1.0 / parts));
    }
    return w.grad();
  };
  const Tensor<double> whole_batch = gradient(1), in_parts = gradient(2);  // (2, 3) each
  for (index_t i = 0; i < whole_batch.numel(); ++i) EXPECT_NEAR(whole_batch[i], in_parts[i], 1e-14);
}

TEST(Tape, RejectsASeedOfAnotherShape) {
  Tape<double> tape;
  const TapeScope<double> scope(tape);
  const Var<double> y = scale(Var<double>(Tensor<double>(Shape{2}, 1.0), true), 2.0);
  EXPECT_THROW(tape.backward(y, Tensor<double>(Shape{3}, 1.0)), ShapeError);
}

}  // namespace
}  // namespace rae
