#include "rae/kernels/gaussian.hpp"

#include "rae/kernels/reference/gaussian.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

template <class T>
void compare_with_reference(index_t rows, index_t c, double tolerance) {
  const Tensor<T> moments = random_tensor<T>({rows, 2 * c}, 1);  // (R, 2C)
  const Tensor<T> noise = random_tensor<T>({rows, c}, 2);        // (R, C)
  Tensor<T> out(Shape{rows, c}), expected(Shape{rows, c});       // (R, C) each
  gaussian_sample<T>(moments, noise, out);
  reference::gaussian_sample<T>(moments, noise, expected);
  EXPECT_TRUE(close(out, expected, tolerance)) << rows << " x " << c;
  EXPECT_NEAR(static_cast<double>(gaussian_kl<T>(moments)),
              static_cast<double>(reference::gaussian_kl<T>(moments)), tolerance);
}

TEST(Gaussian, AgreesWithReference) {
  for (const auto& [rows, c] :
       {std::pair<index_t, index_t>{1, 1}, {3, 5}, {64, 4}, {700, 16}, {2, 9000}}) {
    compare_with_reference<float>(rows, c, 5e-6);
    compare_with_reference<double>(rows, c, 1e-13);
  }
}

TEST(Gaussian, DivergenceOfKnownDistributions) {
  // Mean 0 and variance 1; mean 3; variance e^2.
  EXPECT_EQ(gaussian_kl<double>(Tensor<double>(Shape{2, 6}, 0.0)), 0.0);
  EXPECT_DOUBLE_EQ(gaussian_kl<double>(Tensor<double>(Shape{1, 2}, {3.0, 0.0})), 4.5);
  EXPECT_DOUBLE_EQ(gaussian_kl<double>(Tensor<double>(Shape{1, 2}, {0.0, 2.0})),
                   (std::exp(2.0) - 3) / 2);
}

TEST(Gaussian, ClampsTheLogarithmOfTheVariance) {
  const Tensor<double> moments(Shape{1, 4}, {1.0, 2.0, -50.0, 50.0}),
      noise(Shape{1, 2}, {1.0, 1.0}), dout(Shape{1, 2}, {1.0, 1.0});  // (R, 2C), (R, C), (R, C)
  Tensor<double> out(Shape{1, 2}), dmoments(Shape{1, 4});             // (R, C), (R, 2C)
  gaussian_sample<double>(moments, noise, out);
  EXPECT_DOUBLE_EQ(out[0], 1 + std::exp(-15.0));
  EXPECT_DOUBLE_EQ(out[1], 2 + std::exp(10.0));
  gaussian_sample_backward<double>(moments, noise, dout, dmoments);
  EXPECT_TRUE(close(dmoments, Tensor<double>(Shape{1, 4}, {1.0, 1.0, 0.0, 0.0}), 0.0));
  gaussian_kl_backward<double>(moments, 2.0, dmoments);
  EXPECT_TRUE(close(dmoments, Tensor<double>(Shape{1, 4}, {1.0, 2.0, 0.0, 0.0}), 0.0));
}

TEST(Gaussian, ThreadCountDoesNotChangeABit) {
  const Tensor<float> moments = random_tensor<float>({3000, 16}, 1),
                      noise = random_tensor<float>({3000, 8}, 2);  // (R, 2C), (R, C)
  for (const int which : {0, 1, 2, 3})
    EXPECT_TRUE(test::same_on_every_thread_count([&] {
      Tensor<float> out(noise.shape()), dmoments(moments.shape());  // (R, C), (R, 2C)
      if (which == 0) gaussian_sample<float>(moments, noise, out);
      if (which == 0) return out;
      if (which == 1) gaussian_sample_backward<float>(moments, noise, noise, dmoments);
      if (which == 2) gaussian_kl_backward<float>(moments, 1.0f, dmoments);
      return which == 3 ? Tensor<float>(Shape{1}, gaussian_kl<float>(moments)) : dmoments;
    })) << which;
}

TEST(Gaussian, RejectsShapes) {
  const Tensor<float> moments(Shape{2, 6}, 1.0f), odd(Shape{2, 5}, 1.0f),
      noise(Shape{2, 3}, 1.0f);                                       // (2, 6), (2, 5), (2, 3)
  Tensor<float> out(Shape{2, 3}, 9.0f), dmoments(Shape{2, 6}, 9.0f);  // as named
  EXPECT_THROW(gaussian_sample<float>(odd, noise, out), ShapeError);
  EXPECT_THROW(gaussian_sample<float>(moments, moments, out), ShapeError);
  EXPECT_THROW(gaussian_sample<float>(moments, noise, dmoments), ShapeError);
  EXPECT_THROW(gaussian_sample_backward<float>(moments, noise, noise, out), ShapeError);
  EXPECT_THROW((void)gaussian_kl<float>(odd), ShapeError);
  EXPECT_THROW((void)gaussian_kl<float>(Tensor<float>()), ShapeError);
  EXPECT_THROW(gaussian_kl_backward<float>(moments, 1.0f, out), ShapeError);
  EXPECT_EQ(out[0], 9.0f);
}

}  // namespace
}  // namespace rae
