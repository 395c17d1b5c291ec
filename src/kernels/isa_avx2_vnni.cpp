// Products of 8-bit matrices for AVX2 with AVX-VNNI.
#include <immintrin.h>

#include "kernels/kernel_table.hpp"

#define RAE_NATIVE_INT8 _mm256_dpbusd_avx_epi32
#define RAE_INTEGERS __m256i

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

}  // namespace

decltype(NarrowTable::int8_panel) avx2_vnni_int8_panel() noexcept { return gemm_panel<Int8Dot, float>; }

}  // namespace rae::detail
