#include "rae/spec/auto_dtype.hpp"

#include "rae/kernels/isa.hpp"

namespace rae {
namespace {

// Errors are those of the built-in model, 100 pictures (docs/09_data_types.md, Accuracy). The
// integers and scales of 8 bits are the same with all kernels that have them.
constexpr double kBf16Error = 0.0022, kInt8Error = 0.017, kInt7Error = 0.037;

// Speeds are those of docs/performance.md ("Matrix products with packed weights", "Processors with
// AVX2 only"): rates of the types divided by that of f32.
constexpr DTypeFigures kF32{DType::f32, 1, 0};
constexpr DTypeFigures kOnlyF32[] = {kF32};
// Zen 4. On some Intel processors the instruction of bf16 is slower than that of f32; int8 is the
// fastest on both.
constexpr DTypeFigures kAvx512Bf16[] = {
    {DType::int8, 3.9, kInt8Error}, {DType::bf16, 1.9, kBf16Error}, kF32};
// By the operations of an instruction: int8 four times and bf16 twice those of f32, on tiles more.
constexpr DTypeFigures kAvx512Amx[] = {
    {DType::int8, 0, kInt8Error}, {DType::bf16, 0, kBf16Error}, kF32};
constexpr DTypeFigures kDotProducts[] = {{DType::int8, 0, kInt8Error}, kF32};
// int8 has 7 bits. bf16 is as fast as f32 and less exact.
constexpr DTypeFigures kAvx2[] = {{DType::int8, 2.3, kInt7Error}, kF32};

}  // namespace

std::span<const DTypeFigures> dtype_figures(Isa isa) noexcept {
  switch (isa) {
    case Isa::avx2: return kAvx2;
    case Isa::avx2_vnni:
    case Isa::avx512_vnni:
    case Isa::neon_dot: return kDotProducts;
    case Isa::avx512_bf16: return kAvx512Bf16;
    case Isa::avx512_amx: return kAvx512Amx;
    case Isa::baseline:
    case Isa::avx512:
    case Isa::neon: break;
  }
  return kOnlyF32;
}

DType fastest_dtype(Isa isa) noexcept {
  for (const DTypeFigures& each : dtype_figures(isa))
    if (each.error <= kFastestDtypeError) return each.type;
  return DType::f32;
}

DType fastest_dtype() { return fastest_dtype(active_isa()); }

}  // namespace rae
