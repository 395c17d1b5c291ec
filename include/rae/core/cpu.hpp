// Instruction sets of kernels, and a test of whether the processor supports them.
#pragma once

#include <string_view>

namespace rae {

/// Instruction sets of kernels: first baseline, for any processor, then those of x86-64 and of
/// 64-bit ARM, each from the most portable to the widest. A name with a suffix differs from the
/// name without it only in matrix products of narrow types: `vnni` and `dot` have 8-bit dot
/// products (vpdpbusd of AVX-VNNI or AVX512-VNNI, sdot of ARMv8.2), `bf16` also has bf16 dot
/// products (vdpbf16ps), and `amx` multiplies tiles of both types.
enum class Isa {
  baseline,
  avx2,
  avx2_vnni,
  avx512,
  avx512_vnni,
  avx512_bf16,
  avx512_amx,
  neon,
  neon_dot
};

/// All instruction sets, in the order of the enumerators.
inline constexpr Isa kIsas[] = {Isa::baseline,   Isa::avx2,        Isa::avx2_vnni,
                                Isa::avx512,     Isa::avx512_vnni, Isa::avx512_bf16,
                                Isa::avx512_amx, Isa::neon,        Isa::neon_dot};

/// The name of the enumerator, which is also the name in `RAE_ISA`.
constexpr std::string_view name_of(Isa isa) noexcept {
  constexpr std::string_view kNames[] = {"baseline",   "avx2",        "avx2_vnni",
                                         "avx512",     "avx512_vnni", "avx512_bf16",
                                         "avx512_amx", "neon",        "neon_dot"};
  return kNames[static_cast<int>(isa)];
}

#if defined(__x86_64__) && defined(__linux__)
namespace detail {
/// The C library's syscall, declared here because public headers include no header of the system.
long system_call(long number, ...) noexcept __asm__("syscall");

/// True when the processor has AMX for bf16 and int8, and the operating system allows this process
/// to use the tile registers.
inline bool takes_amx() noexcept {
  unsigned eax = 7, ebx = 0, ecx = 0, edx = 0;
  __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  constexpr unsigned kBf16 = 1u << 22, kTiles = 1u << 24, kInt8 = 1u << 25,
                     kAll = kBf16 | kTiles | kInt8;
  constexpr long kArchPrctl = 158, kRequestPermission = 0x1023, kTileData = 18;
  return (edx & kAll) == kAll && system_call(kArchPrctl, kRequestPermission, kTileData) == 0;
}
}  // namespace detail
#endif

#if defined(__aarch64__) && defined(__linux__)
namespace detail {
/// The C library's getauxval, declared here because public headers include no header of the
/// system.
unsigned long auxiliary_value(unsigned long type) noexcept __asm__("getauxval");
}  // namespace detail
#endif

/// True when the processor and the operating system support the instruction set. avx2 includes FMA;
/// avx512 means F, BW, DQ and VL; avx512_bf16 and avx512_amx include AVX512-VNNI.
[[nodiscard]] inline bool supports(Isa isa) noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  // Not every compiler's __builtin_cpu_supports knows AVX-VNNI. Leaf 7 of cpuid exists on all
  // processors with AVX2.
  const auto avx_vnni = [] {
    unsigned eax = 7, ebx = 0, ecx = 1, edx = 0;
    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return (eax & (1u << 4)) != 0;
  };
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  switch (isa) {
    case Isa::baseline: return true;
    case Isa::avx2: return avx2;
    case Isa::avx2_vnni: return avx2 && avx_vnni();
    case Isa::avx512: return avx512;
    case Isa::avx512_vnni: return avx512 && __builtin_cpu_supports("avx512vnni");
    case Isa::avx512_bf16:
      return avx512 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
    case Isa::avx512_amx:
#if defined(__linux__)
      return avx512 && __builtin_cpu_supports("avx512vnni") && detail::takes_amx();
#endif
    case Isa::neon:
    case Isa::neon_dot: return false;
  }
#elif defined(__aarch64__)
  if (isa == Isa::neon) return true;
#if defined(__linux__)
  constexpr unsigned long kHwcap = 16, kAsimdDp = 1ul << 20;
  if (isa == Isa::neon_dot) return (detail::auxiliary_value(kHwcap) & kAsimdDp) != 0;
#elif defined(__ARM_FEATURE_DOTPROD)
  if (isa == Isa::neon_dot) return true;
#endif
#endif
  return isa == Isa::baseline;
}

}  // namespace rae
