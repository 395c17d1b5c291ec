// Kernels for any CPU of the architecture.
#include "kernels/kernel_table.hpp"

namespace rae::detail {
namespace {

constexpr int kVectorBytes = 16;
constexpr int kTileRows = 4;
constexpr int kTileVectors = 2;

#include "kernels/simd/table.inl"

}  // namespace

IsaTables baseline_tables() noexcept { return {&kTableF32, &kTableF64}; }

}  // namespace rae::detail
