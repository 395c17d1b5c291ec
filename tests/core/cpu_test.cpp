#include "rae/core/cpu.hpp"

#include <gtest/gtest.h>

namespace rae {
namespace {

TEST(Cpu, Names) {
  EXPECT_EQ(name_of(Isa::baseline), "baseline");
  EXPECT_EQ(name_of(Isa::avx2), "avx2");
  EXPECT_EQ(name_of(Isa::avx2_vnni), "avx2_vnni");
  EXPECT_EQ(name_of(Isa::avx512), "avx512");
  EXPECT_EQ(name_of(Isa::avx512_vnni), "avx512_vnni");
  EXPECT_EQ(name_of(Isa::avx512_bf16), "avx512_bf16");
  EXPECT_EQ(name_of(Isa::avx512_amx), "avx512_amx");
  EXPECT_EQ(name_of(Isa::neon), "neon");
  EXPECT_EQ(name_of(Isa::neon_dot), "neon_dot");
}

TEST(Cpu, BaselineAlwaysRunsAndWiderIncludesNarrower) {
  EXPECT_TRUE(supports(Isa::baseline));
  EXPECT_TRUE(supports(Isa::avx2) || !supports(Isa::avx2_vnni));
  EXPECT_TRUE(supports(Isa::avx2) || !supports(Isa::avx512));
  EXPECT_TRUE(supports(Isa::avx512) || !supports(Isa::avx512_vnni));
  EXPECT_TRUE(supports(Isa::avx512_vnni) || !supports(Isa::avx512_bf16));
  EXPECT_TRUE(supports(Isa::avx512_vnni) || !supports(Isa::avx512_amx));
  EXPECT_TRUE(supports(Isa::neon) || !supports(Isa::neon_dot));
}

TEST(Cpu, EveryArchitectureHasItsOwnInstructionSets) {
  for (const Isa isa : kIsas) {
    const bool arm = isa >= Isa::neon, x86 = !arm && isa != Isa::baseline;
#if defined(__x86_64__)
    EXPECT_FALSE(arm && supports(isa)) << name_of(isa);
#elif defined(__aarch64__)
    EXPECT_FALSE(x86 && supports(isa)) << name_of(isa);
    EXPECT_TRUE(supports(Isa::neon));
#else
    EXPECT_FALSE((arm || x86) && supports(isa)) << name_of(isa);
#endif
    (void)x86;
  }
}

}  // namespace
}  // namespace rae
