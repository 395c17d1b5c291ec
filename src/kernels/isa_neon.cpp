// Kernels for 64-bit ARM, all of which have NEON and fused multiply-adds.
#include <arm_neon.h>

#include "kernels/kernel_table.hpp"

#define RAE_MULTIPLY_ADD_INT16 multiply_pairs
#define RAE_INTEGER_VECTOR int16x8_t

namespace rae::detail {
namespace {

constexpr int kVectorBytes = 16;
constexpr int kTileRows = 8;
constexpr int kTileVectors = 3;

// Sums of neighbouring products of 16-bit integers, as pmaddwd. The instructions for pairs of bf16
// (bfdot, bfmmla) round to odd and would give other bits than all other processors, so bf16 is
// multiplied as f32 here.
inline int32x4_t multiply_pairs(int16x8_t a, int16x8_t b) {
  return vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b));
}

#include "kernels/simd/table.inl"

}  // namespace

IsaTables neon_tables() noexcept { return {&kTableF32, &kTableF64, kTableNarrow}; }

}  // namespace rae::detail
