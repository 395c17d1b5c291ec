// Products of 8-bit matrices for 64-bit ARM with dot products (ARMv8.2).
#include <arm_neon.h>

#include "kernels/kernel_table.hpp"

#define RAE_NATIVE_DOT_INT8 add_dot_products
#define RAE_DOT_INT8_IS_SIGNED 1
#define RAE_INTEGER_VECTOR int8x16_t

namespace rae::detail {
namespace {

constexpr int kVectorBytes = 16;
constexpr int kTileRows = 8;
constexpr int kTileVectors = 3;

inline int32x4_t add_dot_products(int8x16_t sum, int8x16_t a, int8x16_t b) {
  return vdotq_s32(vreinterpretq_s32_s8(sum), a, b);
}

#include "kernels/simd/vector.inl"
//
#include "kernels/simd/math.inl"
//
#include "kernels/simd/dot.inl"
//
#include "kernels/simd/gemm.inl"

}  // namespace

void use_neon_dot(NarrowTable& table) noexcept { table.int8_panel = gemm_panel<Int8Dot, float>; }

}  // namespace rae::detail
