// Kernels for AVX-512 F, BW, DQ, VL.
#include "kernels/kernel_table.hpp"

namespace rae::detail {
namespace {

constexpr int kVectorBytes = 64;
constexpr int kTileRows = 8;
constexpr int kTileVectors = 3;

#include "kernels/simd/table.inl"

}  // namespace

IsaTables avx512_tables() noexcept { return {&kTableF32, &kTableF64}; }

}  // namespace rae::detail
