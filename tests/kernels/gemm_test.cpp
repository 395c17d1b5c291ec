#include "rae/kernels/gemm.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include "rae/kernels/reference/gemm.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

class GemmShapes : public testing::TestWithParam<Shape> {};

template <class T>
void expect_all_forms(index_t m, index_t n, index_t k, double tolerance) {
  // (M, K), (K, N), (K, M), (N, K)
  const Tensor<T> a = random_tensor<T>({m, k}, 1), b = random_tensor<T>({k, n}, 2),
                  at = random_tensor<T>({k, m}, 3), bt = random_tensor<T>({n, k}, 4);
  for (const View<const T>& left : {a.view(), at.view().transposed()})
    for (const View<const T>& right : {b.view(), bt.view().transposed()}) {
      Tensor<T> expected(Shape{m, n}), out(Shape{m, n}, T(-1));  // (M, N) each
      reference::gemm<T>(left, right, expected);
      gemm<T>(left, right, out);
      EXPECT_TRUE(close(out, expected, tolerance));
      Tensor<T> packed(Shape{m, n}, T(-1));  // (M, N)
      gemm<T>(left, PackedMatrix<T>(right), packed);
      EXPECT_TRUE(close(packed, out, 0.0));
    }
}

TEST_P(GemmShapes, MatchReferenceInEveryLayout) {
  const Shape s = GetParam();
  test::on_every_isa([&](Isa isa) {
    SCOPED_TRACE(name_of(isa));
    expect_all_forms<float>(s[0], s[1], s[2], 2e-5 * std::sqrt(static_cast<double>(s[2])) + 1e-6);
    expect_all_forms<double>(s[0], s[1], s[2], 1e-12);
  });
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmShapes,
                         testing::Values(Shape{1, 1, 1}, Shape{8, 48, 16}, Shape{5, 7, 3},
                                         Shape{9, 49, 17}, Shape{97, 33, 64}, Shape{193, 100, 31},
                                         Shape{261, 72, 40}, Shape{16, 5461, 8}, Shape{3, 16, 300},
                                         Shape{13, 50, 1100}, Shape{205, 130, 530},
                                         Shape{100, 301, 260}));

TEST(Gemm, EpilogueAddsBiasAndActivates) {
  const Tensor<float> a = random_tensor<float>({10, 20}, 1), b = random_tensor<float>({20, 50}, 2),
                      bias = random_tensor<float>({50}, 3);  // (10, 20), (20, 50), (50)
  Tensor<float> plain(Shape{10, 50}), out(Shape{10, 50});    // (10, 50) each
  gemm(a, b, plain);
  gemm(a, b, out, Epilogue{.bias = bias, .activation = Silu});
  for (index_t i = 0; i < out.numel(); ++i) {
    const double x = static_cast<double>(plain[i]) + static_cast<double>(bias[i % 50]);
    EXPECT_NEAR(out[i], x / (1 + std::exp(-x)), 1e-5);
  }
  Tensor<float> sum = plain;  // (10, 50)
  gemm(a, b, sum, Epilogue{.accumulate = true});
  for (index_t i = 0; i < out.numel(); ++i) EXPECT_NEAR(sum[i], 2 * plain[i], 1e-5);
}

// Sums that are longer than those in registers are computed in several k-blocks. The epilogue is
// still applied once.
TEST(Gemm, LongSumsApplyTheEpilogueOnce) {
  // (11, 1300), (1300, 21), (21), (11, 21)
  const Tensor<double> a = random_tensor<double>({11, 1300}, 1),
                       b = random_tensor<double>({1300, 21}, 2),
                       bias = random_tensor<double>({21}, 3),
                       before = random_tensor<double>({11, 21}, 4);
  Tensor<double> product(Shape{11, 21}), out = before;  // (11, 21) each
  reference::gemm<double>(a, b, product);
  gemm<double>(a, b, out, {.bias = bias, .activation = Silu, .accumulate = true});
  for (index_t i = 0; i < out.numel(); ++i) {
    const double x = product[i] + bias[i % 21] + before[i];
    EXPECT_NEAR(out[i], x / (1 + std::exp(-x)), 1e-11);
  }
}

TEST(Gemm, EmptySumIsTheBias) {
  // (3, 0), (0, 5), (5)
  const Tensor<float> a(Shape{3, 0}), b(Shape{0, 5}), bias = random_tensor<float>({5}, 3);
  Tensor<float> out(Shape{3, 5}, 9.f);  // (3, 5)
  gemm(a, b, out, Epilogue{.bias = bias});
  for (index_t i = 0; i < out.numel(); ++i) EXPECT_EQ(out[i], bias[i % 5]);
}

TEST(Gemm, WritesOnlyToTheSlice) {
  // (4, 6), (6, 5)
  const Tensor<float> a = random_tensor<float>({4, 6}, 1), b = random_tensor<float>({6, 5}, 2);
  Tensor<float> wide(Shape{4, 9}, 7.f), narrow(Shape{4, 5});  // (4, 9), (4, 5)
  gemm<float>(a, b, wide.view().slice(1, 2, 5));
  gemm(a, b, narrow);
  for (index_t i = 0; i < 4; ++i)
    for (index_t j = 0; j < 9; ++j)
      EXPECT_EQ(wide[i * 9 + j], j >= 2 && j < 7 ? narrow[i * 5 + j - 2] : 7.f);
}

TEST(Gemm, ThreadCountDoesNotChangeABit) {
  // (301, 730), (730, 301), (730, 257), (730, 400)
  const Tensor<float> a = random_tensor<float>({301, 730}, 1),
                      at = random_tensor<float>({730, 301}, 3),
                      b = random_tensor<float>({730, 257}, 2),
                      wide = random_tensor<float>({730, 400}, 4);
  for (const View<const float>& left : {a.view(), at.view().transposed()})
    for (const View<const float>& right : {b.view(), wide.view()})
      for (const int threads : {2, 3, 7})
        EXPECT_TRUE(test::same_on_every_thread_count(
            [&] {
              Tensor<float> out(Shape{301, right.extent(1)});  // (301, N)
              gemm(left, right, out);
              return out;
            },
            threads));
}

// The gradient of a weight is accumulated, and its long sum is computed in k-blocks.
TEST(Gemm, TransposedProductAppliesTheEpilogueOnce) {
  // (700, 11), (700, 21), (21), (11, 21), (11, 21), (11, 21)
  const Tensor<double> a = random_tensor<double>({700, 11}, 1),
                       b = random_tensor<double>({700, 21}, 2),
                       bias = random_tensor<double>({21}, 3),
                       before = random_tensor<double>({11, 21}, 4),
                       residual = random_tensor<double>({11, 21}, 5),
                       gate = random_tensor<double>({11, 21}, 6);
  Tensor<double> product(Shape{11, 21}), out = before;  // (11, 21) each
  reference::gemm<double>(a.view().transposed(), b, product);
  gemm<double>(a.view().transposed(), b, out,
               {.bias = bias,
                .activation = Silu,
                .accumulate = true,
                .residual = residual,
                .gate = {gate.data(), 11, 21}});
  for (index_t i = 0; i < out.numel(); ++i) {
    const double x = product[i] + bias[i % 21] + before[i];
    EXPECT_NEAR(out[i], residual[i] + gate[i] * x / (1 + std::exp(-x)), 1e-11);
  }
}

TEST(Gemm, RejectsShapesThatDoNotFit) {
  const Tensor<float> a(Shape{2, 3}, 1.f), b(Shape{4, 5}, 1.f), good(Shape{3, 5}, 1.f),
      bias(Shape{4}, 1.f);              // (2, 3), (4, 5), (3, 5), (4)
  Tensor<float> out(Shape{2, 5}, 9.f);  // (2, 5)
  EXPECT_THROW(gemm(a, b, out), ShapeError);
  EXPECT_THROW(gemm(a, good, out, Epilogue{.bias = bias}), ShapeError);
  EXPECT_EQ(out[0], 9.f);
}

}  // namespace
}  // namespace rae
