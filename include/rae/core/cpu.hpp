// Instruction sets: what the CPU has, and which one the kernels use.
#pragma once

#include <string_view>

namespace rae {

/// Kernel variants, from the most portable to the widest.
enum class Isa { baseline, avx2, avx512 };

/// Lower-case name: "baseline", "avx2", "avx512".
constexpr std::string_view name_of(Isa isa) noexcept { return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "baseline"; }

/// True when this CPU and operating system can run the variant (avx2 includes FMA; avx512 means F, BW, DQ and VL).
[[nodiscard]] inline bool supports(Isa isa) noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  switch (isa) {
    case Isa::baseline: return true;
    case Isa::avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  }
#endif
  return isa == Isa::baseline;
}

}  // namespace rae
