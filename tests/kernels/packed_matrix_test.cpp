// A packed matrix stores the panel width that it was packed for.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "rae/kernels/gemm.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/kernels/linear_product.hpp"
#include "support/kernel_data.hpp"
#include "support/temp_folder.hpp"

namespace rae {
namespace {

using test::message_of;
using test::random_tensor;

/// The panel width of the kernels of `isa`.
index_t width_of(Isa isa) {
  index_t width = 0;
  test::on_each_isa(std::span<const Isa>(&isa, 1), [&](Isa) {
    width = PackedMatrix<float>(random_tensor<float>({3, 5}, 1)).panel_width();
  });
  return width;
}

TEST(PackedMatrix, RejectsKernelsWithAnotherPanelWidth) {
  // (4, 40), (40, 50)
  const Tensor<float> a = random_tensor<float>({4, 40}, 1), b = random_tensor<float>({40, 50}, 2);
  const index_t width = width_of(active_isa());
  for (const DType stored : {DType::f32, DType::bf16, DType::int8, DType::int8w, DType::int4}) {
    const PackedMatrix<float> packed(b, stored);
    EXPECT_EQ(packed.panel_width(), width);
    Tensor<float> expected(Shape{4, 50});  // (4, 50)
    gemm<float>(a, packed, expected);
    test::on_every_narrow_isa([&](Isa isa) {
      Tensor<float> out(Shape{4, 50}, 7.0f);  // (4, 50)
      if (width_of(isa) == width && isa == Isa::avx2 && packed.highest() > 64) {
        EXPECT_THROW(gemm<float>(a, packed, out), ArgumentError);
        return;
      }
      if (width_of(isa) == width) return gemm<float>(a, packed, out);
      const std::string message = message_of<ArgumentError>([&] { gemm<float>(a, packed, out); });
      EXPECT_NE(message.find(concat("panels of ", width, " columns")), std::string::npos)
          << message;
      EXPECT_NE(message.find(name_of(isa)), std::string::npos) << message;
      EXPECT_EQ(out[0], 7.0f);
    });
  }
}

TEST(PackedMatrix, TransposedProductsRejectAnotherPanelWidth) {
  // (40, 30), (40, 50)
  const Tensor<float> a = random_tensor<float>({40, 30}, 1), b = random_tensor<float>({40, 50}, 2);
  const PackedMatrix<float> left(a), right(b);
  const index_t width = width_of(active_isa());
  test::on_every_isa([&](Isa isa) {
    Tensor<float> out(Shape{30, 50}, 7.0f);  // (30, 50)
    if (width_of(isa) == width) return gemm_transposed<float>(left, right, out);
    EXPECT_THROW(gemm_transposed<float>(left, right, out), ArgumentError) << name_of(isa);
    EXPECT_EQ(out[0], 7.0f);
  });
}

// The kernels of avx2 multiply integers up to 64, and those of avx2_vnni, which read the same
// panels, up to 127.
TEST(PackedMatrix, IntegersOfOtherKernelsAreHalvedWhenTheyAreTooLarge) {
  if (!supports(Isa::avx2)) GTEST_SKIP() << "without AVX2";
  constexpr Isa kPairs[] = {Isa::avx2};
  // (70, 20), (3, 70)
  const Tensor<float> b = random_tensor<float>({70, 20}, 1), a = random_tensor<float>({3, 70}, 2);
  test::on_each_isa(kPairs, [&](Isa) {
    const PackedMatrix<float> packed(b, DType::int8);
    EXPECT_EQ(packed.highest(), 64);
    // Twice each integer, or the most that 8 bits hold, which is rounded to even when halved.
    auto bytes =
        std::make_shared<std::vector<std::uint8_t>>(packed.bytes().begin(), packed.bytes().end());
    for (std::uint8_t& byte : *bytes) {
      const int number = static_cast<std::int8_t>(byte);
      EXPECT_LE(std::abs(number), 64);
      byte = static_cast<std::uint8_t>(std::clamp(2 * number, -127, 127));
    }
    std::vector<float> scales(packed.scales().begin(), packed.scales().end());
    for (float& scale : scales) scale /= 2;
    const PackedMatrix<float> read(
        70, 20, DType::int8, PanelColumns::neighbours,
        {std::as_bytes(std::span(*bytes)), std::as_bytes(std::span(scales)),
         std::as_bytes(packed.compensation())},
        bytes);
    EXPECT_EQ(read.highest(), 64);
    EXPECT_TRUE(std::ranges::equal(read.bytes(), packed.bytes()));
    EXPECT_TRUE(std::ranges::equal(read.scales(), packed.scales()));
    EXPECT_TRUE(std::ranges::equal(read.compensation(), packed.compensation()));
    Tensor<float> expected(Shape{3, 20}), out(Shape{3, 20});  // (3, 20) each
    gemm<float>(a, packed, expected);
    gemm<float>(a, read, out);
    EXPECT_TRUE(std::ranges::equal(out.span(), expected.span()));
  });
}

TEST(PackedMatrix, AnEmptyMatrixHasNoPanelWidth) {
  const PackedMatrix<float> none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.panel_width(), 0);
}

}  // namespace
}  // namespace rae
