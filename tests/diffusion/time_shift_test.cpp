#include "rae/diffusion/time_shift.hpp"

#include <cmath>

#include "support/golden.hpp"

namespace rae {
namespace {

TEST(TimeShiftTest, AgreesWithTheOfficialShift) {
  const test::Golden golden("transport_time/io.safetensors");
  const Tensor<float> t = golden("t_in");  // (N)
  const auto check = [&](double shift, const std::string& name) {
    Tensor<float> actual(t.shape());  // (N)
    for (index_t i = 0; i < t.numel(); ++i) actual.data()[i] = time_shift(t[i], shift);
    test::expect_close(actual, golden(name), 1.2e-7, name);  // one unit in the last place of 1
  };
  check(dimension_shift(768 * 16 * 16), "shifted_sqrt48");
  check(dimension_shift(768 * 32 * 32), "shifted_sqrt192");
  check(1.0, "shifted_1");
  check(3.0, "shifted_3");
}

TEST(TimeShiftTest, FixesTheEndsAndIncreases) {
  for (const double shift : {1.0, 2.0, 6.928, 13.86}) {
    EXPECT_EQ(time_shift(0.0, shift), 0.0);
    EXPECT_DOUBLE_EQ(time_shift(1.0, shift), 1.0);
    double previous = -1.0;
    for (int i = 0; i <= 100; ++i) {
      const double t = i / 100.0, shifted = time_shift(t, shift);
      EXPECT_GT(shifted, previous);
      EXPECT_GE(shifted, t - 1e-15);
      previous = shifted;
    }
  }
  EXPECT_DOUBLE_EQ(time_shift(0.5, 3.0), 0.75);
}

TEST(TimeShiftTest, DimensionShiftIsTheSquareRootOfTheRatio) {
  EXPECT_DOUBLE_EQ(dimension_shift(4096), 1.0);
  EXPECT_DOUBLE_EQ(dimension_shift(768 * 256), std::sqrt(48.0));
  EXPECT_DOUBLE_EQ(dimension_shift(400, 100), 2.0);
  EXPECT_DOUBLE_EQ(dimension_shift(1024), 0.5);
  EXPECT_DOUBLE_EQ(dimension_shift(768, 0.5), std::sqrt(1536.0));
}

TEST(TimeShiftTest, TheAutomaticShiftIsNeverBelowOne) {
  EXPECT_DOUBLE_EQ(automatic_time_shift({768, 16, 16}), std::sqrt(48.0));
  EXPECT_DOUBLE_EQ(automatic_time_shift({64, 8, 16}), std::sqrt(2.0));
  EXPECT_EQ(automatic_time_shift({64, 8, 8}), 1.0);
  EXPECT_EQ(automatic_time_shift({8, 2, 2}), 1.0);
}

TEST(TimeShiftTest, RejectsShiftsBelowOneAndEmptyLatents) {
  EXPECT_THROW((void)time_shift(0.5, 0.99), ArgumentError);
  EXPECT_THROW((void)time_shift(0.5, NAN), ArgumentError);
  EXPECT_THROW((void)time_shift(0.5, INFINITY), ArgumentError);
  EXPECT_THROW((void)dimension_shift(0), ArgumentError);
  EXPECT_THROW((void)dimension_shift(-5), ArgumentError);
  EXPECT_THROW((void)dimension_shift(4096, 0), ArgumentError);
  EXPECT_THROW((void)dimension_shift(INFINITY), ArgumentError);
}

}  // namespace
}  // namespace rae
