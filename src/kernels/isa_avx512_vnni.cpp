// Products of 8-bit matrices for AVX-512 with VNNI.
#include <immintrin.h>

#include "kernels/kernel_table.hpp"

#define RAE_NATIVE_INT8 _mm512_dpbusd_epi32
#define RAE_INTEGERS __m512i

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

decltype(NarrowTable::int8_panel) avx512_vnni_int8_panel() noexcept { return gemm_panel<Int8Dot, float>; }

}  // namespace rae::detail
