// A row of a product does not depend on the number of rows: row i of a product of M rows has the
// same bits as the product of that row alone, for every type and instruction set.
#include <gtest/gtest.h>

#include <cstring>

#include "rae/kernels/gemm.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::random_tensor;

constexpr index_t kKBlock = 150, kColumns = 70;
constexpr index_t kMostRows = 200;

/// Compares `multiply(a, out)` with a (M, K) and out (M, N), for several M, with the product of
/// each row alone.
template <class T, class Multiply>
void expect_independent_rows(Multiply multiply, Isa isa) {
  const Tensor<T> a = random_tensor<T>({kMostRows, kKBlock}, 1);  // (M, K)
  Tensor<T> alone(Shape{kMostRows, kColumns});                    // (M, N)
  for (index_t i = 0; i < kMostRows; ++i)
    multiply(a.view().slice(0, i, 1), alone.view().slice(0, i, 1));
  for (const index_t m : {1, 2, 5, 16, 31, 32, 33, 64, 200}) {
    Tensor<T> together(Shape{m, kColumns});  // (M, N)
    multiply(a.view().slice(0, 0, m), together.view());
    EXPECT_EQ(std::memcmp(together.data(), alone.data(), together.span().size_bytes()), 0)
        << name_of(isa) << ", " << m << " rows";
  }
}

TEST(BatchIndependence, HoldsForPackedMatrices) {
  const Tensor<float> b = random_tensor<float>({kKBlock, kColumns}, 2),
                      bias = random_tensor<float>({kColumns}, 3);  // (K, N), (N)
  for (const DType stored : {DType::f32, DType::bf16, DType::int8, DType::int8w, DType::int4}) {
    SCOPED_TRACE(name_of(stored));
    test::on_every_narrow_isa([&](Isa isa) {
      const PackedMatrix<float> packed(b, stored);
      expect_independent_rows<float>(
          [&](View<const float> a, View<float> out) {
            gemm<float>(a, packed, out, {.bias = bias, .activation = Silu});
          },
          isa);
    });
  }
}

TEST(BatchIndependence, HoldsForPackedMatricesAfterANorm) {
  const Tensor<float> b = random_tensor<float>({kKBlock, kColumns}, 2);  // (K, N)
  for (const DType stored : {DType::f32, DType::bf16, DType::int8, DType::int8w, DType::int4}) {
    SCOPED_TRACE(name_of(stored));
    test::on_every_narrow_isa([&](Isa isa) {
      const PackedMatrix<float> packed(b, stored);
      expect_independent_rows<float>(
          [&](View<const float> a, View<float> out) {
            gemm<float>(a, NormInputs<float>{.kind = NormKind::rms, .eps = 1e-6}, packed, out);
          },
          isa);
    });
  }
}

TEST(BatchIndependence, HoldsForUnpackedMatrices) {
  const Tensor<float> b = random_tensor<float>({kKBlock, kColumns}, 2);  // (K, N)
  for (const DType operands : {DType::f32, DType::bf16}) {
    SCOPED_TRACE(name_of(operands));
    test::on_every_narrow_isa([&](Isa isa) {
      expect_independent_rows<float>(
          [&](View<const float> a, View<float> out) { gemm<float>(a, b, out, {}, operands); }, isa);
    });
  }
}

TEST(BatchIndependence, HoldsForDoubles) {
  const Tensor<double> b = random_tensor<double>({kKBlock, kColumns}, 2);  // (K, N)
  test::on_every_isa([&](Isa isa) {
    const PackedMatrix<double> packed(b);
    expect_independent_rows<double>(
        [&](View<const double> a, View<double> out) { gemm<double>(a, packed, out); }, isa);
  });
}

}  // namespace
}  // namespace rae
