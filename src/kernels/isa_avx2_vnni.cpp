// Products of integers for AVX2 with AVX-VNNI.
#include <immintrin.h>

#include "kernels/kernel_table.hpp"

#define RAE_NATIVE_DOT_INT8 _mm256_dpbusd_avx_epi32
#define RAE_NATIVE_DOT_INT16 _mm256_dpwssd_avx_epi32
#define RAE_INTEGER_VECTOR __m256i

namespace rae::detail {
namespace {

constexpr int kVectorBytes = 32;
constexpr int kTileRows = 6;
constexpr int kTileVectors = 2;

#include "kernels/simd/vector.inl"
//
#include "kernels/simd/math.inl"
//
#include "kernels/simd/dot.inl"
//
#include "kernels/simd/gemm.inl"
//
#include "kernels/simd/grouped.inl"

}  // namespace

void use_avx2_vnni(NarrowTable& table) noexcept {
  table.int8_range = {};
  table.int8_starts = nullptr;
  table.int8_panel = gemm_panel<Int8Dot, float>;
  table.int8_groups.panel = gemm_panel<GroupDot<8>, float>;
  table.int4_groups.panel = gemm_panel<GroupDot<4>, float>;
  table.int16_groups_panel = gemm_panel<GroupDot<16>, float>;
}

}  // namespace rae::detail
