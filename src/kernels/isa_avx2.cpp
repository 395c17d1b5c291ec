// Kernels for AVX2 with FMA.
#include "kernels/kernel_table.hpp"

namespace rae::detail {
namespace {

constexpr int kVectorBytes = 32;
constexpr int kTileRows = 6;
constexpr int kTileVectors = 2;

#include "kernels/simd/table.inl"

}  // namespace

IsaTables avx2_tables() noexcept { return {&kTableF32, &kTableF64}; }

}  // namespace rae::detail
