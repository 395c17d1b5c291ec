// Products of bf16 matrices for AVX-512 with BF16.
#include <immintrin.h>

#include "kernels/kernel_table.hpp"

#define RAE_NATIVE_DOT_BF16 _mm512_dpbf16_ps
#define RAE_INTEGER_VECTOR __m512i
#define RAE_MULTIPLY_ADD_INT16 _mm512_madd_epi16

namespace rae::detail {
namespace {

constexpr int kVectorBytes = 64;
constexpr int kTileRows = 8;
constexpr int kTileVectors = 3;

#include "kernels/simd/vector.inl"
//
#include "kernels/simd/math.inl"
//
#include "kernels/simd/dot.inl"
//
#include "kernels/simd/gemm.inl"

}  // namespace

void use_avx512_bf16(NarrowTable& table) noexcept {
  table.bf16_panel = gemm_panel<Bf16Dot, float>;
  table.bf16_as_f32 = {};
}

}  // namespace rae::detail
