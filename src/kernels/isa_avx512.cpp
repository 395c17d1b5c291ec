// Kernels for AVX-512 F, BW, DQ, VL.
#include <immintrin.h>

#include "kernels/kernel_table.hpp"

#define RAE_MULTIPLY_ADD_INT16 _mm512_madd_epi16
#define RAE_INTEGER_VECTOR __m512i

namespace rae::detail {
namespace {

constexpr int kVectorBytes = 64;
constexpr int kTileRows = 8;
constexpr int kTileVectors = 3;

#include "kernels/simd/table.inl"

}  // namespace

IsaTables avx512_tables() noexcept { return {&kTableF32, &kTableF64, kTableNarrow}; }

}  // namespace rae::detail
