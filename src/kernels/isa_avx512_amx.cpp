// Products of bf16 and of 8-bit integers for AMX; all else is as for AVX-512.
#include <immintrin.h>

#include "kernels/kernel_table.hpp"

namespace rae::detail {
namespace {

constexpr int kVectorBytes = 64;
constexpr int kTileRows = 32;
constexpr int kTileVectors = 3;

#include "kernels/simd/vector.inl"
//
#include "kernels/simd/math.inl"
//
#include "kernels/simd/gemm.inl"
//
#include "kernels/simd/amx.inl"

using Panel = void (*)(const PanelProduct<std::uint32_t, float>&);
// Tile registers load rows, so a left operand with another column stride than 1 is multiplied by
// the kernels of AVX-512.
Panel transposed_bf16, transposed_int8;

template <class Dot, Panel& transposed>
void panel_product(const PanelProduct<std::uint32_t, float>& product) {
  if (product.column_stride != 1) return transposed(product);
  gemm_panel<Dot, float>(product);
  RAE_TILE_RELEASE();
}

}  // namespace

void use_avx512_amx(NarrowTable& table) noexcept {
  transposed_bf16 = table.bf16_panel;
  transposed_int8 = table.int8_panel;
  table.bf16_panel = panel_product<AmxBf16Dot, transposed_bf16>;
  table.bf16_as_f32 = {};
  table.int8_panel = panel_product<AmxInt8Dot, transposed_int8>;
  table.multiplies_groups_as_bf16 = true;
}

}  // namespace rae::detail
