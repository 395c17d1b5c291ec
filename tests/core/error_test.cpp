// Error messages, the exception hierarchy, and assertions.
#include "rae/error.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "rae/config.hpp"
#include "rae/core/shape.hpp"

namespace rae {
namespace {

TEST(Error, ConcatJoinsTextsNumbersAndObjects) {
  EXPECT_EQ(concat("a ", 3, ' ', -4L, " ", true, "/", false, " ", Shape{2, 3}, std::string(" end")),
            "a 3 -4 true/false (2, 3) end");
  EXPECT_EQ(concat(), "");
  EXPECT_EQ(concat(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(concat(1.5f, " ", 1e-7, " ", std::numeric_limits<float>::infinity()), "1.5 1e-07 inf");
}

template <class E>
class ErrorTypes : public testing::Test {};
using Kinds = testing::Types<Error, ShapeError, FileError, FormatError, ConfigError, ArgumentError,
                             NumericError, Cancelled>;
TYPED_TEST_SUITE(ErrorTypes, Kinds);

TYPED_TEST(ErrorTypes, IsCaughtAsErrorWithItsMessage) {
  try {
    raise<TypeParam>("gemm: expected ", Shape{2, 3}, ", got ", 7);
    FAIL() << "raise returned";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "gemm: expected (2, 3), got 7");
    EXPECT_NE(dynamic_cast<const TypeParam*>(&error), nullptr);
  }
}

TYPED_TEST(ErrorTypes, IsAStandardException) {
  EXPECT_THROW(raise<TypeParam>("x"), std::runtime_error);
}

TEST(Error, RequireShapeNamesBothShapes) {
  EXPECT_NO_THROW(require_shape("here", Shape{1, 2}, Shape{1, 2}));
  try {
    require_shape("here", Shape{1, 2}, Shape{2, 1});
    FAIL() << "no exception";
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "here: expected shape (2, 1), got (1, 2)");
  }
}

#if defined(RAE_ENABLE_ASSERT) || !defined(NDEBUG)
TEST(Assert, NamesTheBrokenCondition) {
  EXPECT_NO_THROW(RAE_ASSERT(1 + 1 == 2));
  try {
    RAE_ASSERT(1 + 1 == 3);
    FAIL() << "no exception";
  } catch (const std::logic_error& error) {
    EXPECT_NE(std::string(error.what()).find("1 + 1 == 3"), std::string::npos) << error.what();
  }
}
#else
TEST(Assert, CostsNothingInAReleaseBuild) {
  int evaluated = 0;
  RAE_ASSERT(++evaluated == 2);
  EXPECT_EQ(evaluated, 0);
}
#endif

}  // namespace
}  // namespace rae
