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
}

TEST(Cpu, BaselineAlwaysRunsAndWiderIncludesNarrower) {
  EXPECT_TRUE(supports(Isa::baseline));
  EXPECT_TRUE(supports(Isa::avx2) || !supports(Isa::avx2_vnni));
  EXPECT_TRUE(supports(Isa::avx2) || !supports(Isa::avx512));
  EXPECT_TRUE(supports(Isa::avx512) || !supports(Isa::avx512_vnni));
  EXPECT_TRUE(supports(Isa::avx512_vnni) || !supports(Isa::avx512_bf16));
}

#if !defined(__x86_64__)
TEST(Cpu, OtherArchitecturesHaveTheBaselineOnly) {
  for (const Isa isa : kIsas) EXPECT_EQ(supports(isa), isa == Isa::baseline);
}
#endif

}  // namespace
}  // namespace rae
