#include "rae/core/cpu.hpp"

#include <gtest/gtest.h>

namespace rae {
namespace {

TEST(Cpu, Names) {
  EXPECT_EQ(name_of(Isa::baseline), "baseline");
  EXPECT_EQ(name_of(Isa::avx2), "avx2");
  EXPECT_EQ(name_of(Isa::avx512), "avx512");
}

TEST(Cpu, BaselineAlwaysRunsAndWiderIncludesNarrower) {
  EXPECT_TRUE(supports(Isa::baseline));
  EXPECT_TRUE(supports(Isa::avx2) || !supports(Isa::avx512));
}

#if !defined(__x86_64__)
TEST(Cpu, OtherArchitecturesHaveTheBaselineOnly) {
  EXPECT_FALSE(supports(Isa::avx2));
  EXPECT_FALSE(supports(Isa::avx512));
}
#endif

}  // namespace
}  // namespace rae
