#include "rae/diffusion/time_grid.hpp"

#include <algorithm>
#include <cmath>

#include "support/golden.hpp"

namespace rae {
namespace {

TEST(TimeGridTest, OfficialGridAgreesWithTheOfficialSampler) {
  const test::Golden golden("transport_time/io.safetensors");
  const std::pair<std::string, double> shifts[] = {
      {"sqrt48", std::sqrt(48.0)}, {"sqrt192", std::sqrt(192.0)}, {"1", 1.0}};
  for (const index_t points : {5, 25, 50})
    for (const auto& [name, shift] : shifts) {
      const std::string key = "ode_grid_n" + std::to_string(points) + "_" + name;
      const std::vector<float> grid = official_time_grid(points, shift);
      // The vector code of the reference may round 1 - linspace differently by 2^-24; the shift
      // multiplies that by up to s.
      test::expect_close(Tensor<float>(Shape{points}, std::span<const float>(grid)), golden(key),
                         std::max(1.2e-7, shift * 0x1p-24), key);
    }
}

TEST(TimeGridTest, OfficialGridHasOnePointPerStepAndStopsBeforeData) {
  const std::vector<double> grid = official_time_grid<double>(50, std::sqrt(48.0));
  ASSERT_EQ(grid.size(), 50u);
  EXPECT_EQ(grid.front(), 1.0);
  EXPECT_NEAR(grid.back(), 0.00688737, 5e-9);
}

TEST(TimeGridTest, OfficialGridHasTheRequestedEnds) {
  const std::vector<float> grid = official_time_grid(5, 2.0, 0.25, 0.75);
  EXPECT_FLOAT_EQ(grid.front(), 1.5f / 1.75f);
  EXPECT_FLOAT_EQ(grid[2], 1.0f / 1.5f);
  EXPECT_FLOAT_EQ(grid.back(), 0.5f / 1.25f);
  EXPECT_THROW((void)official_time_grid(5, 1.0, 0.5, 0.5), ArgumentError);
  EXPECT_THROW((void)official_time_grid(5, 1.0, -0.1), ArgumentError);
  EXPECT_THROW((void)official_time_grid(5, 1.0, 0.0, 1.1), ArgumentError);
  EXPECT_THROW((void)official_time_grid(5, 1.0, 0.0, NAN), ArgumentError);
}

TEST(TimeGridTest, FullGridEndsAtExactlyZero) {
  for (const index_t steps : {1, 2, 7, 50}) {
    const std::vector<float> grid = full_time_grid(steps, 6.928);
    ASSERT_EQ(static_cast<index_t>(grid.size()), steps + 1);
    EXPECT_FLOAT_EQ(grid.front(), 1.0f);
    EXPECT_EQ(grid.back(), 0.0f);
    for (std::size_t i = 1; i < grid.size(); ++i) EXPECT_LT(grid[i], grid[i - 1]);
  }
  const std::vector<double> even = full_time_grid<double>(4, 1.0);
  for (std::size_t i = 0; i <= 4; ++i)
    EXPECT_DOUBLE_EQ(even[i], 1.0 - 0.25 * static_cast<double>(i));
}

TEST(TimeGridTest, RejectsInvalidSizesAndShifts) {
  EXPECT_THROW((void)official_time_grid(1, 1.0), ArgumentError);
  EXPECT_THROW((void)official_time_grid(-3, 1.0), ArgumentError);
  EXPECT_THROW((void)official_time_grid(index_t{1} << 40, 1.0), ArgumentError);
  EXPECT_THROW((void)official_time_grid(10, 0.5), ArgumentError);
  EXPECT_THROW((void)full_time_grid(0, 1.0), ArgumentError);
  EXPECT_THROW((void)full_time_grid(index_t{1} << 40, 1.0), ArgumentError);
  EXPECT_THROW((void)full_time_grid(10, NAN), ArgumentError);
}

}  // namespace
}  // namespace rae
