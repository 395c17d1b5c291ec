// Products whose right operand is stored as bf16, as 8-bit integers, or as integers of 8 or 4 bits
// in groups, on every instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "rae/kernels/gemm.hpp"
#include "rae/kernels/reference/gemm.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

constexpr DType kStored[] = {DType::bf16, DType::int8, DType::int8w, DType::int4};

Tensor<float> multiply(View<const float> a, View<const float> b, DType stored,
                       const Epilogue& epilogue = {}) {
  Tensor<float> out(Shape{a.extent(0), b.extent(1)}, -1.0f);  // (M, N)
  gemm<float>(a, PackedMatrix<float>(b, stored), out, epilogue);
  return out;
}

Tensor<float> multiply_as_bf16(View<const float> a, View<const float> b,
                               const Epilogue& epilogue = {}) {
  Tensor<float> out(Shape{a.extent(0), b.extent(1)}, -1.0f);  // (M, N)
  gemm<float>(a, b, out, epilogue, DType::bf16);
  return out;
}

Tensor<float> expected_product(View<const float> a, View<const float> b, DType stored,
                               Isa isa = Isa::baseline) {
  Tensor<float> out(Shape{a.extent(0), b.extent(1)});  // (M, N)
  const int bits = stored == DType::int4 ? 4 : 8;
  if (stored == DType::bf16)
    reference::gemm_bf16(a, b, out);
  else if (stored == DType::int8 && isa == Isa::avx2)
    reference::gemm_int8(a, b, out, 63.0f, 64.0f);
  else if (stored == DType::int8)
    reference::gemm_int8(a, b, out);
  else if (isa == Isa::avx512_amx)
    reference::gemm_groups_as_bf16(a, b, out, bits);
  else
    reference::gemm_groups(a, b, out, bits);
  return out;
}

// AMX sums products of bf16 in another order, so the difference is a random walk of k roundings.
// All other instruction sets sum in the order of the reference and agree bit for bit.
double bf16_tolerance(Isa isa, index_t k, const Tensor<float>& expected) {
  return isa == Isa::avx512_amx
             ? 4 * 0x1p-24 * std::sqrt(static_cast<double>(k)) * test::largest(expected)
             : 0.0;
}

class NarrowShapes : public testing::TestWithParam<Shape> {};

// bf16: the order and the rounding of sums are specified, so every instruction set is bit-identical
// to the reference.
TEST_P(NarrowShapes, Bf16IsBitIdenticalToTheReferenceInEveryLayout) {
  const index_t m = GetParam()[0], n = GetParam()[1], k = GetParam()[2];
  // (M, K), (K, N), (K, M), (N, K)
  const Tensor<float> a = random_tensor<float>({m, k}, 1), b = random_tensor<float>({k, n}, 2),
                      at = random_tensor<float>({k, m}, 3), bt = random_tensor<float>({n, k}, 4);
  for (const View<const float>& left : {a.view(), at.view().transposed()})
    for (const View<const float>& right : {b.view(), bt.view().transposed()}) {
      const Tensor<float> expected = expected_product(left, right, DType::bf16);  // (M, N)
      test::on_every_narrow_isa([&](Isa isa) {
        const double tolerance = bf16_tolerance(isa, k, expected);
        EXPECT_TRUE(close(multiply(left, right, DType::bf16), expected, tolerance)) << name_of(isa);
        EXPECT_TRUE(close(multiply_as_bf16(left, right), expected, tolerance)) << name_of(isa);
      });
    }
}

// Integers in groups: the same, and the sums of groups are rounded as specified.
TEST_P(NarrowShapes, GroupsAreBitIdenticalToTheReferenceInEveryLayout) {
  const index_t m = GetParam()[0], n = GetParam()[1], k = GetParam()[2];
  // (M, K), (K, N), (K, M), (N, K)
  const Tensor<float> a = random_tensor<float>({m, k}, 1), b = random_tensor<float>({k, n}, 2),
                      at = random_tensor<float>({k, m}, 3), bt = random_tensor<float>({n, k}, 4);
  for (const DType stored : {DType::int8w, DType::int4})
    for (const View<const float>& left : {a.view(), at.view().transposed()})
      for (const View<const float>& right : {b.view(), bt.view().transposed()}) {
        const Tensor<float> expected = expected_product(left, right, stored);  // (M, N)
        test::on_every_narrow_isa([&](Isa isa) {
          const bool as_bf16 = isa == Isa::avx512_amx;
          EXPECT_TRUE(close(multiply(left, right, stored),
                            as_bf16 ? expected_product(left, right, stored, isa) : expected,
                            bf16_tolerance(isa, k, expected)))
              << name_of(stored) << ", " << name_of(isa);
        });
      }
}

// 8-bit integers: the sums are exact, and the scales are multiplied in f32.
TEST_P(NarrowShapes, Int8MatchesTheReferenceInEveryLayout) {
  const index_t m = GetParam()[0], n = GetParam()[1], k = GetParam()[2];
  // (M, K), (K, N), (K, M), (N, K)
  const Tensor<float> a = random_tensor<float>({m, k}, 1), b = random_tensor<float>({k, n}, 2),
                      at = random_tensor<float>({k, m}, 3), bt = random_tensor<float>({n, k}, 4);
  for (const View<const float>& left : {a.view(), at.view().transposed()})
    for (const View<const float>& right : {b.view(), bt.view().transposed()}) {
      test::on_every_narrow_isa([&](Isa isa) {
        const Tensor<float> expected = expected_product(left, right, DType::int8, isa);  // (M, N)
        const double tolerance = 3e-7 * test::largest(expected);
        EXPECT_TRUE(close(multiply(left, right, DType::int8), expected, tolerance)) << name_of(isa);
      });
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, NarrowShapes,
                         testing::Values(Shape{1, 1, 1}, Shape{8, 48, 16}, Shape{5, 7, 3},
                                         Shape{9, 49, 17}, Shape{97, 33, 64}, Shape{193, 100, 31},
                                         Shape{261, 72, 42}, Shape{16, 5461, 8}, Shape{3, 16, 301},
                                         Shape{7, 50, 1101}, Shape{2, 20, 5461},
                                         Shape{205, 130, 1031}, Shape{100, 301, 530},
                                         Shape{4, 261, 96}));

// Every number of rows and of columns that a tile can have.
TEST(NarrowProduct, EveryHeightAndWidthOfATile) {
  for (const DType stored : kStored)
    for (index_t m = 1; m <= 16; ++m) {
      const index_t n = 3 * m + 1;
      const Tensor<float> a = random_tensor<float>({m, 21}, 1),
                          b = random_tensor<float>({21, n}, 2);  // (M, 21), (21, N)
      test::on_every_narrow_isa([&](Isa isa) {
        const Tensor<float> expected = expected_product(a, b, stored, isa);  // (M, N)
        const double tolerance = stored == DType::int8 ? 1e-5 : bf16_tolerance(isa, 21, expected);
        EXPECT_TRUE(close(multiply(a, b, stored), expected, tolerance))
            << name_of(stored) << ", " << name_of(isa) << ", " << m;
      });
    }
}

// The bounds on the error: rounding to 8 bits of mantissa, or to half a step of each operand. In
// groups, an element whose magnitude is close to that of the largest element but whose sign is
// opposite may be clipped by a whole step.
TEST(NarrowProduct, ErrorsStayBelowTheRoundingOfTheOperands) {
  constexpr index_t kKBlock = 300;
  const Tensor<float> a = random_tensor<float>({20, kKBlock}, 1),
                      b = random_tensor<float>({kKBlock, 60}, 2);  // (20, K), (K, 60)
  Tensor<float> exact(Shape{20, 60});                              // (20, 60)
  reference::gemm<float>(a, b, exact);
  const Tensor<float> in_bf16 = multiply(a, b, DType::bf16), in_int8 = multiply(a, b, DType::int8),
                      in_groups8 = multiply(a, b, DType::int8w),
                      in_groups4 = multiply(a, b, DType::int4);  // (M, N) each
  for (index_t i = 0; i < 20; ++i)
    for (index_t j = 0; j < 60; ++j) {
      double products = 0, sum_a = 0, sum_b = 0, top_a = 0, top_b = 0,
             steps = 0;  // sum of |x| / 128 times the largest |y| of its group
      for (index_t k = 0; k < kKBlock; ++k) {
        const double x = std::abs(static_cast<double>(a[i * kKBlock + k])),
                     y = std::abs(static_cast<double>(b[k * 60 + j]));
        products += x * y;
        sum_a += x;
        sum_b += y;
        top_a = std::max(top_a, x);
        top_b = std::max(top_b, y);
      }
      for (index_t first = 0; first < kKBlock; first += 32) {
        double group_a = 0, group_top = 0;
        for (index_t k = first; k < std::min(kKBlock, first + 32); ++k) {
          group_a += std::abs(static_cast<double>(a[i * kKBlock + k]));
          group_top = std::max(group_top, std::abs(static_cast<double>(b[k * 60 + j])));
        }
        steps += group_a * group_top / 128;
      }
      const index_t at = i * 60 + j;
      EXPECT_NEAR(in_bf16[at], exact[at],
                  products * (std::ldexp(1.0, -7) + std::ldexp(kKBlock, -24)));
      const double of_rows = 1.01 * sum_b * top_a / 65534 + products * std::ldexp(kKBlock, -24);
      EXPECT_NEAR(in_groups8[at], exact[at], 1.01 * steps + of_rows);
      EXPECT_NEAR(in_groups4[at], exact[at], 1.01 * 16 * steps + of_rows);
      const bool seven_bits = active_isa() == Isa::avx2;
      const double half_a = top_a / (seven_bits ? 126 : 254),
                   half_b = top_b / (seven_bits ? 128 : 254);
      EXPECT_NEAR(in_int8[at], exact[at],
                  sum_a * half_b + sum_b * half_a + kKBlock * half_a * half_b + 1e-4);
    }
}

// All operands have their largest magnitude. Sums in a narrower type would saturate.
TEST(NarrowProduct, IntegersNeverSaturate) {
  constexpr index_t kKBlock = 5461;
  const Tensor<float> a(Shape{3, kKBlock}, 2.0f), b(Shape{kKBlock, 50}, -0.5f),
      c(Shape{kKBlock, 50}, 0.5f);  // (3, K), (K, 50), (K, 50)
  for (const DType stored : {DType::int8, DType::int8w, DType::int4})
    test::on_every_narrow_isa([&](Isa isa) {
      const Tensor<float> least = multiply(a, b, stored), most = multiply(a, c, stored);  // (3, 50)
      for (const float x : least.span())
        EXPECT_FLOAT_EQ(x, -kKBlock) << name_of(stored) << ", " << name_of(isa);
      for (const float x : most.span())
        EXPECT_FLOAT_EQ(x, kKBlock) << name_of(stored) << ", " << name_of(isa);
    });
}

// Signs in every order, at every depth up to three sums in 16 bits: all numbers have their largest
// magnitude, so that sums on the way to the result would saturate first.
TEST(NarrowProduct, SumsOfExtremeIntegersAreExact) {
  for (index_t k = 1; k <= 50; ++k) {
    Tensor<float> a = random_tensor<float>({13, k}, 1), b = random_tensor<float>({k, 49}, 2);
    for (float& x : std::span(a.data(), static_cast<std::size_t>(a.numel()))) x = x < 0 ? -1 : 1;
    for (float& x : std::span(b.data(), static_cast<std::size_t>(b.numel()))) x = x < 0 ? -1 : 1;
    for (index_t p = 0; p < k; ++p) {
      a.data()[p] = 1;       // row 0: all positive
      a.data()[k + p] = -1;  // row 1: all negative
      b.data()[p * 49] = 1;
      b.data()[p * 49 + 1] = -1;
      b.data()[p * 49 + 2] = p % 2 == 0 ? 1.0f : -1.0f;
      b.data()[p * 49 + 3] = p / 2 % 2 == 0 ? 1.0f : -1.0f;
      b.data()[p * 49 + 4] = p / 4 % 2 == 0 ? 1.0f : -1.0f;
    }
    Tensor<float> expected(Shape{13, 49});  // (13, 49)
    reference::gemm<float>(a, b, expected);
    test::on_every_narrow_isa([&](Isa isa) {
      EXPECT_TRUE(close(multiply(a, b, DType::int8), expected, 1e-5)) << name_of(isa) << ", " << k;
    });
  }
}

TEST(NarrowProduct, EpilogueAddsBiasAndActivates) {
  // (10, 700), (700, 50), (50), (10, 50)
  const Tensor<float> a = random_tensor<float>({10, 700}, 1),
                      b = random_tensor<float>({700, 50}, 2), bias = random_tensor<float>({50}, 3),
                      before = random_tensor<float>({10, 50}, 4);
  for (const DType stored : kStored) {
    SCOPED_TRACE(name_of(stored));
    // (10, 50) each
    const Tensor<float> plain = multiply(a, b, stored),
                        out = multiply(a, b, stored, {.bias = bias, .activation = Silu});
    Tensor<float> sum = before;  // (10, 50)
    gemm<float>(a, PackedMatrix<float>(b, stored), sum, {.bias = bias, .accumulate = true});
    for (index_t i = 0; i < out.numel(); ++i) {
      const double x = static_cast<double>(plain[i]) + static_cast<double>(bias[i % 50]);
      EXPECT_NEAR(out[i], x / (1 + std::exp(-x)), 1e-5);
      EXPECT_NEAR(sum[i], x + static_cast<double>(before[i]), 2e-5);
    }
  }
}

// An unpacked operand has the same epilogues as a packed one, in every layout: bit for bit, and
// applied once for any number of k-blocks. AMX cannot multiply a transposed left operand.
TEST(NarrowProduct, UnpackedBf16HasTheEpiloguesOfPackedBf16) {
  // (10, 1200), (1200, 10), (1200, 50), (50, 1200), (50), (10, 50), (10, 50)
  const Tensor<float> a = random_tensor<float>({10, 1200}, 1),
                      at = random_tensor<float>({1200, 10}, 2),
                      b = random_tensor<float>({1200, 50}, 3),
                      bt = random_tensor<float>({50, 1200}, 4),
                      bias = random_tensor<float>({50}, 5),
                      before = random_tensor<float>({10, 50}, 6),
                      residual = random_tensor<float>({10, 50}, 7);
  for (const View<const float>& left : {a.view(), at.view().transposed()})
    for (const View<const float>& right : {b.view(), bt.view().transposed()}) {
      Tensor<float> out = before, expected = before;  // (10, 50) each
      const Epilogue all{.bias = bias,
                         .activation = Silu,
                         .accumulate = true,
                         .residual = residual,
                         .gate = {residual.data(), 2, 50}};
      gemm<float>(left, right, out, all, DType::bf16);
      gemm<float>(left, PackedMatrix<float>(right, DType::bf16), expected, all);
      EXPECT_TRUE(close(out, expected, bf16_tolerance(active_isa(), 1200, expected)));
      Tensor<float> halves(Shape{10, 25}), expected_halves(Shape{10, 25});  // (10, 25) each
      const Epilogue swiglu{.bias = bias, .activation = Activation::swiglu};
      gemm<float>(left, right, halves, swiglu, DType::bf16);
      gemm<float>(left, PackedMatrix<float>(right, DType::bf16, PanelColumns::halves),
                  expected_halves, swiglu);
      EXPECT_TRUE(
          close(halves, expected_halves, bf16_tolerance(active_isa(), 1200, expected_halves)));
    }
}

TEST(NarrowProduct, EmptySumIsTheBias) {
  // (3, 0), (0, 5), (5)
  const Tensor<float> a(Shape{3, 0}), b(Shape{0, 5}), bias = random_tensor<float>({5}, 3);
  for (index_t i = 0; i < 15; ++i)
    EXPECT_EQ(multiply_as_bf16(a, b, {.bias = bias})[i], bias[i % 5]);
  for (const DType stored : kStored)
    for (index_t i = 0; i < 15; ++i)
      EXPECT_EQ(multiply(a, b, stored, {.bias = bias})[i], bias[i % 5]);
}

// A left operand in bf16 gives the same bits as equal numbers in f32, for any layout in memory.
TEST(NarrowProduct, LeftOperandInBf16) {
  for (const index_t k : {64, 37}) {
    // (13, K), (13, K + 3)
    const Tensor<bf16> a = convert<bf16>(random_tensor<float>({13, k}, 1)),
                       wide = convert<bf16>(random_tensor<float>({13, k + 3}, 3));
    const PackedMatrix<float> b(random_tensor<float>({k, 50}, 2), DType::bf16);
    // (13, K), (13, K + 3)
    const Tensor<float> same = convert<float>(a), same_wide = convert<float>(wide);
    Tensor<float> out(Shape{13, 50}), expected(Shape{13, 50});  // (13, 50) each
    gemm(a.view(), b, out);
    gemm<float>(same, b, expected);
    EXPECT_TRUE(close(out, expected, 0.0));
    for (const index_t first : {0, 1, 2}) {
      gemm(wide.view().slice(1, first, k), b, out);
      gemm<float>(same_wide.view().slice(1, first, k), b, expected);
      EXPECT_TRUE(close(out, expected, 0.0)) << first;
    }
  }
}

TEST(NarrowProduct, ThreadCountDoesNotChangeABit) {
  const Tensor<float> a = random_tensor<float>({301, 531}, 1),
                      b = random_tensor<float>({531, 257}, 2);  // (301, 531), (531, 257)
  for (const DType stored : kStored)
    test::on_every_narrow_isa([&](Isa isa) {
      for (const int threads : {2, 3, 7})
        EXPECT_TRUE(
            test::same_on_every_thread_count([&] { return multiply(a, b, stored); }, threads))
            << name_of(isa);
    });
  const Tensor<float> at = random_tensor<float>({531, 301}, 3),
                      bt = random_tensor<float>({400, 531}, 4);  // (531, 301), (400, 531)
  for (const View<const float>& left : {a.view(), at.view().transposed()})
    for (const View<const float>& right : {b.view(), bt.view().transposed()})
      for (const int threads : {2, 3, 7})
        EXPECT_TRUE(test::same_on_every_thread_count([&] { return multiply_as_bf16(left, right); },
                                                     threads));
}

// An infinity or NaN affects only its row of the result.
TEST(NarrowProduct, NonFiniteNumbersStayInTheirRow) {
  for (const DType stored : kStored)
    for (const float bad :
         {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      const Tensor<float> a = random_tensor<float>({3, 70}, 1),
                          b = random_tensor<float>({70, 20}, 2);  // (3, 70), (70, 20)
      Tensor<float> with_bad = a;                                 // (3, 70)
      with_bad[70 + 5] = bad;
      test::on_every_narrow_isa([&](Isa isa) {
        const Tensor<float> clean = multiply(a, b, stored),
                            out = multiply(with_bad, b, stored);  // (3, 20) each
        for (index_t i = 0; i < 60; ++i)
          EXPECT_EQ(std::isfinite(out[i]), i / 20 != 1) << name_of(stored) << ", " << name_of(isa);
        EXPECT_NEAR(out[0], clean[0], 1e-5);
      });
    }
}

TEST(NarrowProduct, RowsOfZerosAreZero) {
  Tensor<float> a(Shape{2, 40}, 0.0f), b = random_tensor<float>({40, 20}, 2);  // (2, 40), (40, 20)
  for (index_t k = 0; k < 40; ++k) b[k * 20 + 3] = 0;
  for (const DType stored : kStored) {
    a.fill(0.0f);
    const Tensor<float> zeros = multiply(a, b, stored);  // (2, 20)
    for (const float x : zeros.span()) EXPECT_EQ(x, 0.0f);
    a.fill(1.0f);
    EXPECT_EQ(multiply(a, b, stored)[3], 0.0f);
    EXPECT_NE(multiply(a, b, stored)[4], 0.0f);
  }
}

TEST(NarrowProduct, RejectsMismatchedArguments) {
  // (2, 3), (4, 5), (3, 5)
  const Tensor<float> a(Shape{2, 3}, 1.0f), b(Shape{4, 5}, 1.0f), fitting(Shape{3, 5}, 1.0f);
  const Tensor<bf16> narrow(Shape{2, 3}, bf16(1.0f));  // (2, 3)
  Tensor<float> out(Shape{2, 5}, 9.0f);                // (2, 5)
  for (const DType stored : kStored)
    EXPECT_THROW(gemm<float>(a, PackedMatrix<float>(b, stored), out), ShapeError);
  EXPECT_THROW(PackedMatrix<float>(b, DType::int64), ArgumentError);
  EXPECT_THROW(gemm<float>(a, fitting, out, {}, DType::int8), ArgumentError);
  EXPECT_THROW(multiply_as_bf16(a, b), ShapeError);
  EXPECT_THROW(PackedMatrix<double>(Tensor<double>(Shape{2, 2}, 1.0), DType::bf16), ArgumentError);
  EXPECT_THROW(gemm(narrow.view(), PackedMatrix<float>(fitting), out), ArgumentError);
  EXPECT_EQ(out[0], 9.0f);
}

}  // namespace
}  // namespace rae
