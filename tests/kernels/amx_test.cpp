// The AMX kernels compared with those of AVX-512. The AMX instructions are emulated in plain loops,
// since few processors have them.
#if defined(RAE_X86)
#include <gtest/gtest.h>

#include "kernels/kernel_table.hpp"
#include "rae/core/random.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace detail {
void use_emulated_amx(NarrowTable& table) noexcept;  // amx_emulated.cpp
}
namespace {

using detail::NarrowTable;
using detail::PanelProduct;

constexpr index_t kWidth = 48;

struct Case {
  index_t rows, columns, k;  // k is the number of 32-bit words
  Activation activation = Activation::none;
  bool accumulate = false, residual = false;
};

class AmxPanel : public testing::TestWithParam<Case> {
 protected:
  // The output of a kernel for a panel of random words with a random epilogue.
  template <class Fill>
  Tensor<float> run(void (*kernel)(const PanelProduct<std::uint32_t, float>&), Fill fill) const {
    const Case& c = GetParam();
    const index_t stride = c.k + 3, held = c.columns + 5;
    // one panel of words, then the rows of the left operand
    Tensor<std::int32_t> words(Shape{c.rows * stride + c.k * kWidth});
    fill(words);
    const auto* const panel = reinterpret_cast<const std::uint32_t*>(
        words.data());  // aligned to a vector, as the kernels expect it
    Tensor<float> out(Shape{c.rows, held}), vectors(Shape{4, 2 * kWidth}),
        residual(Shape{c.rows, kWidth});  // (R, N), (4, 2D), (R, D)
    Philox(3).fill_normal(out.span());
    Philox(4).fill_normal(vectors.span());
    Philox(5).fill_normal(residual.span());
    Tensor<std::int32_t> compensation(Shape{kWidth}, 1234);  // (D)
    PanelProduct<std::uint32_t, float> product{.rows = c.rows,
                                               .k = c.k,
                                               .a = panel + c.k * kWidth,
                                               .row_stride = stride,
                                               .column_stride = 1,
                                               .panel = panel,
                                               .columns = c.columns,
                                               .out = out.data(),
                                               .out_stride = held,
                                               .bias = vectors.data(),
                                               .activation = c.activation,
                                               .accumulate = c.accumulate};
    product.up = kWidth;
    product.next = product.panel;
    product.next_bytes = 4096;
    const Tensor<float> scales(Shape{c.rows}, 0.01f), unit(Shape{kWidth}, 0.02f);  // (R), (D)
    product.row_scale = scales.data();
    product.column_scale = unit.data();
    product.compensation = compensation.data();
    if (c.residual) {
      product.residual = residual.data();
      product.residual_stride = kWidth;
      product.gate = vectors.data() + 2 * kWidth;
      product.gate_stride = kWidth;
      product.rows_per_gate = c.rows;
    }
    kernel(product);
    return out;
  }
};

// Pairs of bf16 with magnitudes from 2^-7 to 2 and either sign.
void fill_bf16(Tensor<std::int32_t>& words) {
  for (index_t i = 0; i < words.numel(); ++i)
    words[i] = static_cast<std::int32_t>(
        (Philox(1).bits(static_cast<std::uint64_t>(i)) & 0xbfffbfffu) | 0x3c003c00u);
}
void fill_int8(Tensor<std::int32_t>& words) {
  for (index_t i = 0; i < words.numel(); ++i)
    words[i] = static_cast<std::int32_t>(Philox(2).bits(static_cast<std::uint64_t>(i)));
}

TEST_P(AmxPanel, EqualsAvx512) {
  if (!supports(Isa::avx512_vnni)) GTEST_SKIP() << "needs AVX-512, for which the file is compiled";
  NarrowTable plain = detail::avx512_tables().narrow, tiles = plain;
  detail::use_emulated_amx(tiles);
  EXPECT_TRUE(test::close(run(tiles.int8_panel, fill_int8), run(plain.int8_panel, fill_int8), 0.0));
  const Tensor<float> expected = run(plain.bf16_panel, fill_bf16);  // (M, N + 5)
  EXPECT_TRUE(
      test::close(run(tiles.bf16_panel, fill_bf16), expected, 1e-6 * test::largest(expected)));
}

INSTANTIATE_TEST_SUITE_P(Shapes, AmxPanel,
                         testing::Values(Case{32, 48, 16}, Case{1, 1, 1}, Case{16, 48, 17},
                                         Case{17, 33, 31}, Case{100, 16, 64}, Case{31, 32, 5},
                                         Case{48, 48, 40, Activation::silu},
                                         Case{33, 24, 20, Activation::swiglu},
                                         Case{40, 48, 33, Activation::none, true},
                                         Case{40, 30, 33, Activation::gelu, true},
                                         Case{64, 48, 16, Activation::none, false, true},
                                         Case{5, 17, 100, Activation::none, true, true}));

// A transposed left operand is multiplied by the kernel of AVX-512.
TEST(Amx, LeavesTransposedOperandsToAvx512) {
  if (!supports(Isa::avx512_vnni)) GTEST_SKIP() << "needs AVX-512, for which the file is compiled";
  NarrowTable table{};
  static int calls = 0;
  table.bf16_panel = table.int8_panel = [](const PanelProduct<std::uint32_t, float>&) { ++calls; };
  detail::use_emulated_amx(table);
  PanelProduct<std::uint32_t, float> product{};
  product.column_stride = 2;
  table.bf16_panel(product);
  table.int8_panel(product);
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace rae
#endif
