// Kernels for any CPU of the architecture.
#include "kernels/kernel_table.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>

#define RAE_MULTIPLY_ADD_INT16 _mm_madd_epi16
#define RAE_INTEGER_VECTOR __m128i
#endif

namespace rae::detail {
namespace {

constexpr int kVectorBytes = 16;
constexpr int kTileRows = 4;
constexpr int kTileVectors = 2;

#include "kernels/simd/table.inl"

}  // namespace

IsaTables baseline_tables() noexcept { return {&kTableF32, &kTableF64, kTableNarrow}; }

}  // namespace rae::detail
