// Choosing an instruction set by name.
#include "rae/kernels/isa.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "rae/error.hpp"
#include "support/temp_folder.hpp"

namespace rae {
namespace {

TEST(Isa, AnEmptyNameSelectsTheWidestVariant) {
  const Isa widest = choose_isa("");
  EXPECT_TRUE(supports(widest));
  for (const Isa isa : kIsas) EXPECT_TRUE(isa <= widest || !supports(isa)) << name_of(isa);
}

TEST(Isa, ANameSelectsItsVariantOrThrows) {
  for (const Isa isa : kIsas) {
    if (supports(isa)) {
      EXPECT_EQ(choose_isa(name_of(isa)), isa);
    } else {
      EXPECT_THROW(static_cast<void>(choose_isa(name_of(isa))), ArgumentError) << name_of(isa);
    }
  }
}

TEST(Isa, TheErrorForAnUnknownNameListsTheAvailableOnes) {
  for (const char* name : {"avx3", "AVX2", "avx2 ", "base"}) {
    const std::string message = test::message_of<ArgumentError>([&] { (void)choose_isa(name); });
    EXPECT_NE(message.find("'" + std::string(name) + "'"), std::string::npos) << message;
    for (const Isa isa : kIsas) {
      if (supports(isa)) {
        EXPECT_NE(message.find(name_of(isa)), std::string::npos) << message;
      }
    }
  }
}

TEST(Isa, SettingAVariantMakesItActive) {
  const Isa before = active_isa();
  for (const Isa isa : kIsas) {
    if (!supports(isa)) {
      EXPECT_THROW(set_isa(isa), ArgumentError) << name_of(isa);
      continue;
    }
    set_isa(isa);
    EXPECT_EQ(active_isa(), isa);
  }
  set_isa(before);
}

}  // namespace
}  // namespace rae
