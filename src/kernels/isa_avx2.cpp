// Kernels for AVX2 with FMA.
#include <immintrin.h>

#include "kernels/kernel_table.hpp"

#define RAE_MULTIPLY_ADD_INT8 _mm256_maddubs_epi16
#define RAE_MULTIPLY_ADD_INT16 _mm256_madd_epi16
#define RAE_INTEGER_VECTOR __m256i

namespace rae::detail {
namespace {

constexpr int kVectorBytes = 32;
constexpr int kTileRows = 6;
constexpr int kTileVectors = 2;

#include "kernels/simd/table.inl"

}  // namespace

IsaTables avx2_tables() noexcept { return {&kTableF32, &kTableF64, kTableNarrow}; }

}  // namespace rae::detail
