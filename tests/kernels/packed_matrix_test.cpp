// A packed matrix stores the panel width that it was packed for.
#include <gtest/gtest.h>

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

TEST(PackedMatrix, AnEmptyMatrixHasNoPanelWidth) {
  const PackedMatrix<float> none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.panel_width(), 0);
}

}  // namespace
}  // namespace rae
