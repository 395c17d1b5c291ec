#include "rae/kernels/optimizer_step.hpp"

#include <algorithm>
#include <cmath>

#include "rae/kernels/reference/optimizer_step.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

void replay_golden(const std::string& name, const AdamWOptions& options) {
  const test::Golden golden("adamw_micro/io.safetensors");
  Tensor<float> param = golden(name + ".p0"), ema = param;  // each as in the golden file
  // each of param's shape
  Tensor<float> m = Tensor<float>::zeros(param.shape()), v = Tensor<float>::zeros(param.shape());
  for (index_t step = 1; step <= 5; ++step) {
    adamw_step<float>(param, golden(name + ".g" + std::to_string(step - 1)), m, v, step, options);
    ema_update<float>(ema, param, 0.999);
    EXPECT_TRUE(close(param, golden(name + ".p" + std::to_string(step)), 5e-7)) << "step " << step;
  }
  EXPECT_TRUE(close(m, golden(name + ".exp_avg"), 5e-7));
  EXPECT_TRUE(close(v, golden(name + ".exp_avg_sq"), 5e-7));
  EXPECT_TRUE(close(ema, golden(name + ".ema5_0.999"), 5e-7));
}

TEST(AdamW, GoldenWithoutDecay) { replay_golden("wd0", {.lr = 2e-4}); }

TEST(AdamW, GoldenWithDecay) { replay_golden("wd.05", {.lr = 1e-2, .weight_decay = 0.05}); }

TEST(SumOfSquares, GoldenClippedNorm) {
  const test::Golden golden("adamw_micro/io.safetensors");
  const double norm = std::sqrt(sum_of_squares<float>(golden("clip.g0")) +
                                sum_of_squares<float>(golden("clip.g1")));
  EXPECT_TRUE(test::near(norm, golden("clip.norm"), 1e-6));
  const auto coefficient = static_cast<float>(std::min(1.0, 1.0 / (norm + 1e-6)));
  for (const std::string i : {"0", "1"}) {
    Tensor<float> clipped = golden("clip.g" + i);  // as in the golden file
    for (float& g : clipped.span()) g *= coefficient;
    EXPECT_TRUE(close(clipped, golden("clip.out" + i), 1e-7));
  }
}

template <class T>
void compare_with_reference(double tolerance) {
  const AdamWOptions options{
      .lr = 3e-3, .beta1 = 0.8, .beta2 = 0.99, .eps = 1e-6, .weight_decay = 0.1};
  for (const Shape& shape : {Shape{1}, Shape{7, 3}, Shape{131, 257}}) {
    // each of `shape`
    Tensor<T> p = random_tensor<T>(shape, 1), m = Tensor<T>::zeros(shape),
              v = Tensor<T>::zeros(shape), ema = p;
    Tensor<T> expected_p = p, expected_m = m, expected_v = v, expected_ema = p;  // each of `shape`
    for (index_t step = 1; step <= 4; ++step) {
      // of `shape`
      const Tensor<T> grad = random_tensor<T>(shape, static_cast<std::uint64_t>(1 + step));
      adamw_step<T>(p, grad, m, v, step, options, T(0.25));
      reference::adamw_step<T>(expected_p, grad, expected_m, expected_v, step, options, 0.25);
      ema_update<T>(ema, p, 0.9);
      reference::ema_update<T>(expected_ema, expected_p, 0.9);
    }
    EXPECT_TRUE(close(p, expected_p, tolerance)) << shape.to_string();
    EXPECT_TRUE(close(m, expected_m, tolerance)) << shape.to_string();
    EXPECT_TRUE(close(v, expected_v, tolerance)) << shape.to_string();
    EXPECT_TRUE(close(ema, expected_ema, tolerance)) << shape.to_string();
    const double square = reference::sum_of_squares<T>(p);
    EXPECT_NEAR(sum_of_squares<T>(p), square, 1e-12 * square);
  }
}

TEST(OptimizerStep, AgreesWithReference) {
  compare_with_reference<float>(1e-6);
  compare_with_reference<double>(1e-14);
}

// With bias correction, the length of the first step is lr for any scale of the gradient.
TEST(AdamW, FirstStepHasLengthLr) {
  Tensor<double> p = Tensor<double>::zeros({3}), m = p, v = p;  // (3) each
  adamw_step<double>(p, Tensor<double>(Shape{3}, {5.0, -1e3, 0.0}), m, v, 1, {.lr = 0.1, .eps = 0});
  EXPECT_NEAR(p[0], -0.1, 1e-12);
  EXPECT_NEAR(p[1], 0.1, 1e-12);
  EXPECT_TRUE(std::isnan(p[2]));  // 0 / (0 + eps) with eps = 0, as in PyTorch
}

TEST(AdamW, ScalesTheGradient) {
  const Tensor<double> grad = random_tensor<double>({9}, 5);  // (9)
  Tensor<double> doubled = grad;                              // (9)
  for (double& g : doubled.span()) g *= 2;
  Tensor<double> a = random_tensor<double>({9}, 6), b = a, ma = Tensor<double>::zeros({9}), va = ma,
                 mb = ma, vb = ma;  // (9) each
  adamw_step<double>(a, doubled, ma, va, 1, {});
  adamw_step<double>(b, grad, mb, vb, 1, {}, 2.0);
  EXPECT_TRUE(close(a, b, 0.0));
}

TEST(OptimizerStep, ThreadCountDoesNotChangeABit) {
  const Tensor<float> x = random_tensor<float>({100003}, 7),
                      grad = random_tensor<float>({100003}, 8);  // (100003) each
  EXPECT_TRUE(test::same_on_every_thread_count(
      [&] { return Tensor<double>(Shape{1}, sum_of_squares<float>(x)); }));
  EXPECT_TRUE(test::same_on_every_thread_count([&] {
    Tensor<float> p = x, m = Tensor<float>::zeros(x.shape()), v = m;  // (100003) each
    adamw_step<float>(p, grad, m, v, 3, {});
    ema_update<float>(p, grad, 0.99);
    return p;
  }));
}

TEST(OptimizerStep, RejectsBadInput) {
  // (4), (4), (4), (2, 2)
  Tensor<float> p(Shape{4}, 5.0f), m = Tensor<float>::zeros({4}), v = m, matrix(Shape{2, 2}, 1.0f);
  const Tensor<float> grad(Shape{4}, 1.0f), short_grad(Shape{3}, 1.0f);  // (4), (3)
  EXPECT_THROW(adamw_step<float>(p, grad, m, v, 0, {}), ArgumentError);
  EXPECT_THROW(adamw_step<float>(p, short_grad, m, v, 1, {}), ShapeError);
  EXPECT_THROW(ema_update<float>(p, short_grad, 0.9), ShapeError);
  EXPECT_THROW((void)sum_of_squares<float>(matrix.view().transposed()), ShapeError);
  EXPECT_TRUE(close(p, Tensor<float>(Shape{4}, 5.0f), 0.0));
  EXPECT_EQ(sum_of_squares<float>(Tensor<float>(Shape{0})), 0.0);
}

}  // namespace
}  // namespace rae
