// Prologues and epilogues of products, for every stored type and instruction set. Each is compared
// with the separate operation on the result of the plain product.
#include <gtest/gtest.h>

#include "rae/kernels/gemm.hpp"
#include "rae/kernels/reference/activation.hpp"
#include "rae/kernels/reference/gate.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

constexpr DType kStored[] = {DType::f32, DType::bf16, DType::int8};

// F is odd, and wider or narrower than a panel. The largest K is longer than the sums that stay in
// registers.
constexpr std::array<index_t, 3> kSwigluShapes[] = {{1, 1, 1},     {9, 37, 20},   {8, 24, 16},
                                                    {17, 101, 33}, {3, 30, 4700}, {100, 5461, 3}};

template <class T>
void expect_swiglu(index_t m, index_t f, index_t k, DType stored, double tolerance) {
  const Tensor<T> a = random_tensor<T>({m, k}, 1), w = random_tensor<T>({2 * f, k}, 2),
                  bias = random_tensor<T>({2 * f}, 3);  // (M, K), (2F, K), (2F)
  const View<const T> b = w.view().transposed();        // (K, 2F)
  Tensor<T> wide(Shape{m, 2 * f}), expected(Shape{m, f}), out(Shape{m, f}, T(-1)),
      unpacked(Shape{m, f}, T(-1));  // (M, 2F), (M, F), (M, F), (M, F)
  gemm<T>(a, PackedMatrix<T>(b, stored), wide, {.bias = bias});
  reference::swiglu<T>(wide, expected);
  gemm<T>(a, PackedMatrix<T>(b, stored, PanelColumns::halves), out,
          {.bias = bias, .activation = Activation::swiglu});
  EXPECT_TRUE(close(out, expected, tolerance * (1 + test::largest(expected))));
  if (stored != dtype_of<T>()) return;
  gemm<T>(a, b, unpacked, {.bias = bias, .activation = Activation::swiglu});
  EXPECT_TRUE(close(unpacked, out, 0.0));
}

TEST(GemmEpilogue, SwigluCombinesTheHalvesOfTheProduct) {
  for (const auto& [m, f, k] : kSwigluShapes)
    test::on_every_narrow_isa([&, rows = m, width = f, depth = k](Isa isa) {
      SCOPED_TRACE(concat(name_of(isa), " ", rows, " x ", width, " x ", depth));
      for (const DType stored : kStored) expect_swiglu<float>(rows, width, depth, stored, 2e-6);
      expect_swiglu<double>(rows, width, depth, DType::f64, 1e-13);
    });
}

// Gates for every row, for groups of rows that a tile crosses, and for all rows; after an
// activation; with sums in several k-blocks; and with a tail of columns.
template <class T>
void expect_gated(index_t m, index_t n, index_t k, index_t groups, Activation activation,
                  DType stored, double tolerance) {
  // (M, K), (K, N), (N), (M, N + 3), (G, 2N + 1)
  const Tensor<T> a = random_tensor<T>({m, k}, 1), b = random_tensor<T>({k, n}, 2),
                  bias = random_tensor<T>({n}, 3), wide = random_tensor<T>({m, n + 3}, 4),
                  gates = random_tensor<T>({groups, 2 * n + 1}, 5);
  const View<const T> residual = wide.view().slice(1, 2, n);
  const Rows<const T> gate{gates.data() + 1, groups, 2 * n + 1};
  const PackedMatrix<T> packed(b, stored);
  Tensor<T> plain(Shape{m, n}), expected(Shape{m, n}), out(Shape{m, n}, T(-1));  // (M, N) each
  gemm<T>(a, packed, plain, {.bias = bias, .activation = activation});
  reference::gated_add<T>(residual, gate, plain, expected);
  gemm<T>(a, packed, out,
          {.bias = bias, .activation = activation, .residual = residual, .gate = gate});
  EXPECT_TRUE(close(out, expected, tolerance * (1 + test::largest(expected))));
  gemm<T>(a, packed, out, {.bias = bias, .activation = activation, .residual = residual});
  for (index_t i = 0; i < m; ++i)
    for (index_t j = 0; j < n; ++j) expected[i * n + j] = residual(i, j) + plain[i * n + j];
  EXPECT_TRUE(close(out, expected, tolerance * (1 + test::largest(expected))));
}

TEST(GemmEpilogue, GateAndResidual) {
  test::on_every_narrow_isa([&](Isa isa) {
    for (const auto& [m, n, k, groups] : {std::array<index_t, 4>{1, 1, 1, 1},
                                          {12, 48, 20, 4},
                                          {35, 50, 9, 7},
                                          {261, 70, 30, 1},
                                          {9, 20, 4700, 9}})
      for (const Activation activation : {Activation::none, Gelu}) {
        SCOPED_TRACE(concat(name_of(isa), " ", m, " x ", n, " x ", k, ", ", groups, " groups"));
        for (const DType stored : kStored)
          expect_gated<float>(m, n, k, groups, activation, stored, 1e-6);
        expect_gated<double>(m, n, k, groups, activation, DType::f64, 1e-13);
      }
  });
}

// The norm fused into the product gives the same bits as two separate operations.
TEST(GemmPrologue, NormOfTheRows) {
  const index_t m = 30, n = 50;
  for (const index_t k : {37, 64}) {
    // (M, K), (K, N), (2, K), (6, 2K)
    const Tensor<float> a = random_tensor<float>({m, k}, 1), b = random_tensor<float>({k, n}, 2),
                        affine = random_tensor<float>({2, k}, 3),
                        condition = random_tensor<float>({6, 2 * k}, 4);
    for (const NormKind kind : {NormKind::layer, NormKind::rms})
      for (const bool modulated : {false, true}) {
        NormInputs<float> in{.kind = kind,
                             .weight = View<const float>(affine.data(), {k}),
                             .bias = View<const float>(affine.data() + k, {k})};
        if (modulated) {
          in.shift = {condition.data(), 6, 2 * k};
          in.scale = {condition.data() + k, 6, 2 * k};
        }
        test::on_every_narrow_isa([&](Isa isa) {
          // (M, K), (M, N), (M, N)
          Tensor<float> rows(a.shape()), expected(Shape{m, n}), out(Shape{m, n}, -1.0f);
          norm<float>(a, in, rows);
          for (const DType stored : kStored) {
            const PackedMatrix<float> packed(b, stored);
            gemm<float>(rows, packed, expected, {.activation = Silu});
            gemm<float>(a, in, packed, out, {.activation = Silu});
            EXPECT_TRUE(close(out, expected, 0.0)) << name_of(isa) << " " << name_of(stored);
          }
        });
      }
  }
}

TEST(GemmEpilogue, ThreadCountDoesNotChangeABit) {
  // (203, 70), (70, 202), (7, 101), (203, 101)
  const Tensor<float> a = random_tensor<float>({203, 70}, 1),
                      b = random_tensor<float>({70, 202}, 2),
                      gates = random_tensor<float>({7, 101}, 3),
                      x = random_tensor<float>({203, 101}, 4);
  for (const DType stored : kStored) {
    const PackedMatrix<float> packed(b, stored, PanelColumns::halves);
    EXPECT_TRUE(test::same_on_every_thread_count([&] {
      Tensor<float> out(x.shape());  // (203, 101)
      gemm<float>(
          a, NormInputs<float>{}, packed, out,
          {.activation = Activation::swiglu, .residual = x.view(), .gate = {gates.data(), 7, 101}});
      return out;
    }));
  }
}

TEST(GemmEpilogue, RejectsMismatchedArguments) {
  const Tensor<float> a(Shape{4, 3}, 1.f), b(Shape{3, 6}, 1.f), odd(Shape{3, 5}, 1.f),
      x(Shape{4, 6}, 1.f), gates(Shape{3, 6}, 1.f);  // (4, 3), (3, 6), (3, 5), (4, 6), (3, 6)
  const PackedMatrix<float> plain(b), halves(b, DType::f32, PanelColumns::halves);
  Tensor<float> out(Shape{4, 6}, 9.f), half(Shape{4, 3}, 9.f);  // (4, 6), (4, 3)
  const Epilogue swiglu{.activation = Activation::swiglu};
  EXPECT_THROW(PackedMatrix<float>(odd, DType::f32, PanelColumns::halves), ShapeError);
  EXPECT_THROW(gemm<float>(a, plain, half, swiglu), ArgumentError);
  EXPECT_THROW(gemm<float>(a, halves, out), ArgumentError);
  EXPECT_THROW(gemm<float>(a, halves, out, swiglu), ShapeError);
  EXPECT_THROW(gemm<float>(a, halves, half, {.activation = Activation::swiglu, .accumulate = true}),
               ArgumentError);
  EXPECT_THROW(gemm<float>(a, plain, out, {.residual = View<const float>(x.data(), {4, 3})}),
               ShapeError);
  EXPECT_THROW(gemm<float>(a, plain, out, {.residual = std::as_const(out).view()}), ArgumentError);
  EXPECT_THROW(gemm<float>(a, plain, out, {.gate = {gates.data(), 2, 6}}), ArgumentError);
  EXPECT_THROW(gemm<float>(a, plain, out, {.residual = x.view(), .gate = {gates.data(), 3, 6}}),
               ShapeError);
  EXPECT_THROW(gemm<float>(a, NormInputs<float>{.weight = gates.view()}, plain, out), ShapeError);
  EXPECT_THROW(activate<float>(Activation::swiglu, x, out), ArgumentError);
  EXPECT_EQ(out[0], 9.f);
  EXPECT_EQ(half[0], 9.f);
}

}  // namespace
}  // namespace rae
