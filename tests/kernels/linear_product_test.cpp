// Products of a linear layer in training: outputs and side outputs have the same bits as those of
// the separate operations, on every instruction set.
#include "rae/kernels/linear_product.hpp"

#include <gtest/gtest.h>

#include "rae/kernels/elementwise.hpp"
#include "rae/kernels/reference/gemm.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

template <class T>
struct Made {
  Tensor<T> out, sums, gated, gradient;  // (M, N), (K), (M, N/2), (K, K)
};

template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return close(a, b, 0.0);
}

// The prologue: none, a norm of the rows a (M, K), or the gradient of SwiGLU, computed from the
// gates (M, K) and the gradient a (M, K/2) of its output.
enum class Prologue { none, norm, gates };

// M is the number of rows, N the number of columns of out, and K that of the rows; N and K are
// even.
template <class T>
struct Case {
  index_t m, n, k;
  Prologue prologue;
  // a (M, K) or (M, K/2), gates (M, K), weight (N, K), bias (N), shift and scale (M, K)
  Tensor<T> a, gates, weight, bias, shift, scale;

  Case(index_t m_, index_t n_, index_t k_, Prologue prologue_)
      : m(m_),
        n(n_),
        k(k_),
        prologue(prologue_),
        a(random_tensor<T>({m, prologue == Prologue::gates ? k / 2 : k}, 1)),
        gates(random_tensor<T>({m, k}, 2)),
        weight(random_tensor<T>({n, k}, 3)),
        bias(random_tensor<T>({n}, 4)),
        shift(random_tensor<T>({m, k}, 5)),
        scale(random_tensor<T>({m, k}, 6)) {}

  [[nodiscard]] NormInputs<T> norm_inputs() const {
    return {NormKind::rms, 1e-6, {}, {}, {shift.data(), m, k}, {scale.data(), m, k}};
  }

  [[nodiscard]] Made<T> in_one(DType operands) const {
    Made<T> made{Tensor<T>(Shape{m, n}, T(-1)), Tensor<T>(Shape{k}, T(1)),
                 Tensor<T>(Shape{m, n / 2}), Tensor<T>(Shape{k, k}, T(1))};
    const NormInputs<T> inputs = norm_inputs();
    PackedMatrix<T> packed;
    LinearOperand<T> rows{.a = a.view(),
                          .packed = &packed,
                          .column_sums = made.sums.view(),
                          .swiglu = made.gated.view()};
    if (prologue == Prologue::norm) rows.norm = &inputs;
    if (prologue == Prologue::gates) rows.gates = gates.view();
    linear_product<T>(rows, weight.view().transposed(), made.out, bias, operands);
    gemm_transposed<T>(packed, packed, made.gradient, true);
    return made;
  }

  [[nodiscard]] Tensor<T> rows() const {
    if (prologue == Prologue::none) return a;
    Tensor<T> out(Shape{m, k});  // (M, K)
    if (prologue == Prologue::norm)
      norm<T>(a, norm_inputs(), out);
    else
      swiglu_backward<T>(gates, a, out);
    return out;
  }

  [[nodiscard]] Made<T> step_by_step(DType operands) const {
    Made<T> made{Tensor<T>(Shape{m, n}), Tensor<T>(Shape{k}, T(1)), Tensor<T>(Shape{m, n / 2}),
                 Tensor<T>(Shape{k, k}, T(1))};
    const Tensor<T> x = rows();  // (M, K)
    gemm<T>(x, weight.view().transposed(), made.out, {.bias = bias}, operands);
    add_column_sums<T>(x, made.sums);
    swiglu<T>(made.out, made.gated);
    gemm<T>(x.view().transposed(), x, made.gradient, {.accumulate = true}, operands);
    return made;
  }
};

template <class T>
void expect_single_steps(DType operands, Isa isa) {
  // 1101 rows have several blocks of rows with one thread, but not with five.
  for (const Shape& s :
       {Shape{1, 2, 2}, Shape{67, 50, 98}, Shape{129, 96, 48}, Shape{1101, 34, 30}})
    for (const Prologue prologue : {Prologue::none, Prologue::norm, Prologue::gates})
      for (const int threads : {1, 5}) {
        SCOPED_TRACE(concat(name_of(isa), " ", name_of(operands), " ", s, " prologue ",
                            static_cast<int>(prologue), ", threads ", threads));
        const Case<T> c(s[0], s[1], s[2], prologue);
        const Made<T> expected = c.step_by_step(operands);
        set_num_threads(threads);
        const Made<T> made = c.in_one(operands);
        set_num_threads(0);
        EXPECT_TRUE(same_bits(made.out, expected.out));
        EXPECT_TRUE(same_bits(made.sums, expected.sums));
        EXPECT_TRUE(same_bits(made.gated, expected.gated));
        EXPECT_TRUE(same_bits(made.gradient, expected.gradient));
      }
}

TEST(LinearOperand, IsBitIdenticalToTheSeparateOperations) {
  test::on_every_isa([](Isa isa) {
    expect_single_steps<float>(DType::f32, isa);
    expect_single_steps<double>(DType::f64, isa);
  });
  test::on_every_narrow_isa([](Isa isa) { expect_single_steps<float>(DType::bf16, isa); });
}

TEST(LinearOperand, TransposedProductMatchesTheReference) {
  const index_t m = 603, n = 70, k = 131;  // more rows than a block of words has
  // (M, N), (M, K)
  const Tensor<float> g = random_tensor<float>({m, n}, 1), x = random_tensor<float>({m, k}, 2);
  Tensor<float> exact(Shape{n, k}), rounded(Shape{n, k}), out(Shape{n, k}, -1.0f);  // (N, K) each
  reference::gemm<float>(g.view().transposed(), x, exact);
  reference::gemm_bf16(g.view().transposed(), x, rounded);
  test::on_every_narrow_isa([&](Isa isa) {
    for (const DType operands : {DType::f32, DType::bf16}) {
      PackedMatrix<float> packed_g, packed_x;
      pack_and_sum_rows<float>({.a = g.view(), .packed = &packed_g}, operands);
      pack_and_sum_rows<float>({.a = x.view(), .packed = &packed_x}, operands);
      gemm_transposed<float>(packed_g, packed_x, out);
      EXPECT_TRUE(operands == DType::bf16 ? close(out, rounded, 0.0) : close(out, exact, 1e-4))
          << name_of(isa) << name_of(operands);
    }
  });
}

TEST(LinearOperand, PacksLikePackedMatrix) {
  const Tensor<float> x = random_tensor<float>({131, 50}, 1);  // (131, 50)
  for (const DType operands : {DType::f32, DType::bf16}) {
    PackedMatrix<float> packed;
    pack_and_sum_rows<float>({.a = x.view(), .packed = &packed}, operands);
    const PackedMatrix<float> expected(x.view(), operands);
    EXPECT_TRUE(std::ranges::equal(packed.bytes(), expected.bytes())) << name_of(operands);
    EXPECT_EQ(packed.k(), 131);
    EXPECT_EQ(packed.n(), 50);
    EXPECT_EQ(packed.stored(), operands);
  }
}

TEST(LinearOperand, RejectsMismatchedArguments) {
  const Tensor<float> a = random_tensor<float>({6, 4}, 1), w = random_tensor<float>({8, 4}, 2),
                      gates = random_tensor<float>({6, 4}, 3);  // (6, 4), (8, 4), (6, 4)
  // (6, 8), (6, 7), (5), (6, 3)
  Tensor<float> out(Shape{6, 8}), narrow(Shape{6, 7}), sums(Shape{5}), gated(Shape{6, 3});
  const View<const float> b = w.view().transposed();
  const NormInputs<float> norm;
  EXPECT_THROW(linear_product<float>({.a = a.view()}, b, narrow), ShapeError);
  EXPECT_THROW(linear_product<float>({.a = a.view().transposed()}, b, out), ShapeError);
  EXPECT_THROW(linear_product<float>({.a = a.view(), .gates = gates.view()}, b, out), ShapeError);
  EXPECT_THROW(linear_product<float>({.a = a.view(), .norm = &norm, .gates = gates.view()}, b, out),
               ArgumentError);
  EXPECT_THROW(linear_product<float>({.a = a.view(), .column_sums = sums.view()}, b, out),
               ShapeError);
  EXPECT_THROW(linear_product<float>({.a = a.view(), .swiglu = gated.view()}, b, out), ShapeError);
  EXPECT_THROW(linear_product<float>({.a = a.view()}, b, out, {}, DType::int8), ArgumentError);
  EXPECT_THROW(pack_and_sum_rows<float>({.a = a.view(), .swiglu = out.view()}), ArgumentError);
  const PackedMatrix<float> x(a.view()), rounded(a.view(), DType::bf16),
      other(gates.view().slice(0, 0, 5)), halves(a.view(), DType::f32, PanelColumns::halves);
  Tensor<float> gradient(Shape{4, 4});  // (4, 4)
  EXPECT_THROW(gemm_transposed<float>(x, other, gradient), ShapeError);
  EXPECT_THROW(gemm_transposed<float>(x, x, out), ShapeError);
  EXPECT_THROW(gemm_transposed<float>(x, rounded, gradient), ArgumentError);
  EXPECT_THROW(gemm_transposed<float>(x, halves, gradient), ArgumentError);
}

}  // namespace
}  // namespace rae
