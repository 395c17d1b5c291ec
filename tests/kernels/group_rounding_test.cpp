// Weights rounded for training against the bytes that inference packs.
#include "rae/kernels/group_rounding.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "rae/kernels/gemm.hpp"
#include "rae/kernels/reference/gemm.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::random_tensor;

constexpr DType kTypes[] = {DType::int8w, DType::int4};

Tensor<float> rounded(const Tensor<float>& w, DType stored) {
  Tensor<float> out(w.shape());  // (N, K)
  round_to_groups(w.view(), out.view(), stored);
  return out;
}

/// Whole groups, a last group of 7, less than a group, and one weight for each row.
const Shape kShapes[] = {{48, 64}, {50, 71}, {3, 20}, {5, 1}};

TEST(GroupRounding, PackingTheRoundedWeightsGivesTheSameBytes) {
  for (const DType stored : kTypes)
    for (const Shape& shape : kShapes) {
      const Tensor<float> w = random_tensor<float>(shape, 1), r = rounded(w, stored);  // (N, K)
      for (const PanelColumns columns : {PanelColumns::neighbours, PanelColumns::halves}) {
        if (columns == PanelColumns::halves && shape[0] % 2 != 0) continue;
        const PackedMatrix<float> of_weights(w.view().transposed(), stored, columns),
            of_rounded(r.view().transposed(), stored, columns);
        EXPECT_TRUE(std::ranges::equal(of_weights.bytes(), of_rounded.bytes()))
            << concat(name_of(stored), ' ', shape);
      }
      const Tensor<float> twice = rounded(r, stored);  // (N, K)
      EXPECT_TRUE(std::ranges::equal(twice.span(), r.span()));
    }
}

TEST(GroupRounding, EqualsTheReferenceBitForBit) {
  for (const DType stored : kTypes)
    for (const Shape& shape : kShapes) {
      const Tensor<float> w = random_tensor<float>(shape, 2), r = rounded(w, stored);  // (N, K)
      for (index_t row = 0; row < shape[0]; ++row)
        for (index_t first = 0; first < shape[1]; first += reference::kGroupSize) {
          const index_t n = std::min(reference::kGroupSize, shape[1] - first);
          const auto group = reference::quantize_group({w.data() + row * shape[1] + first, {n}},
                                                       stored == DType::int4 ? 4 : 8);
          for (index_t i = 0; i < n; ++i)
            EXPECT_EQ(r[row * shape[1] + first + i],
                      static_cast<float>(group.values[static_cast<std::size_t>(i)]) * group.unit);
        }
    }
}

/// A product with the packed weights multiplies the rounded ones: rows of the identity select them.
/// The kernels of AMX round them to bf16, by at most 2^-9; the others round three times in f32.
TEST(GroupRounding, ProductsMultiplyTheRoundedWeights) {
  const Shape shape{50, 71};
  const Tensor<float> w = random_tensor<float>(shape, 3);  // (N, K)
  Tensor<float> identity(Shape{71, 71}, 0.0f);             // (K, K)
  for (index_t i = 0; i < 71; ++i) identity[i * 71 + i] = 1;
  for (const DType stored : kTypes) {
    const Tensor<float> r = rounded(w, stored);  // (N, K)
    Tensor<float> out(Shape{71, 50});            // (K, N)
    gemm<float>(std::as_const(identity), PackedMatrix<float>(w.view().transposed(), stored), out);
    for (index_t k = 0; k < 71; ++k)
      for (index_t n = 0; n < 50; ++n)
        EXPECT_NEAR(out[k * 50 + n], r[n * 71 + k], std::abs(r[n * 71 + k]) * 0x1p-9f);
  }
}

TEST(GroupRounding, InfinitiesMakeAGroupNaN) {
  Tensor<float> w = random_tensor<float>({2, 64}, 4);  // (2, 64)
  w[3] = std::numeric_limits<float>::infinity();
  const Tensor<float> r = rounded(w, DType::int4);  // (2, 64)
  EXPECT_TRUE(std::isnan(r[0]) && std::isnan(r[31]));
  EXPECT_TRUE(std::isfinite(r[32]) && std::isfinite(r[64]));
}

TEST(GroupRounding, RejectsOtherTypesAndShapes) {
  Tensor<float> w(Shape{4, 8}, 1.0f), other(Shape{8, 4}, 7.0f);  // (4, 8), (8, 4)
  for (const DType stored : {DType::f32, DType::bf16, DType::int8})
    EXPECT_THROW(round_to_groups(w.view(), w.view(), stored), ArgumentError);
  EXPECT_THROW(round_to_groups(w.view(), other.view(), DType::int4), ShapeError);
  EXPECT_THROW(round_to_groups(std::as_const(w).view().transposed(), other.view(), DType::int4),
               ShapeError);
  EXPECT_EQ(other[0], 7.0f);
}

}  // namespace
}  // namespace rae
