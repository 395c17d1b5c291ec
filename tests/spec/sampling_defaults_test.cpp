#include "rae/spec/sampling_defaults.hpp"

#include <gtest/gtest.h>

#include "rae/diffusion/time_grid.hpp"

namespace rae {
namespace {

std::vector<float> grid_of(const SamplingDefaults& how, PathKind path = PathKind::linear,
                           Prediction prediction = Prediction::velocity) {
  return sampling_time_grid(how, path, prediction, 2.0);
}

TEST(SamplingDefaultsTest, TheFullGridHasAllStepsAndEndsAtZero) {
  EXPECT_EQ(grid_of({.steps = 4}), full_time_grid(4, 2.0));
  EXPECT_EQ(grid_of({.steps = 1}), (std::vector<float>{1.0f, 0.0f}));
  // The last step of the stochastic sampler is included in the number of steps.
  const SamplingDefaults sde{.steps = 4, .kind = SamplerKind::sde, .sde = {.last_step_size = 0.1}};
  EXPECT_EQ(grid_of(sde), official_time_grid(4, 2.0, 0.0, 0.9));
  const SamplingDefaults none{
      .steps = 4, .kind = SamplerKind::sde, .sde = {.last_step = SdeLastStep::none}};
  EXPECT_EQ(grid_of(none), full_time_grid(4, 2.0));
}

TEST(SamplingDefaultsTest, TheOfficialGridCountsPoints) {
  EXPECT_EQ(grid_of({.steps = 50, .grid = TimeGridKind::official}), official_time_grid(50, 2.0));
  EXPECT_THROW((void)grid_of({.steps = 1, .grid = TimeGridKind::official}), ArgumentError);
  const SamplingDefaults mean{.steps = 8, .kind = SamplerKind::sde, .grid = TimeGridKind::official};
  EXPECT_EQ(grid_of(mean), official_time_grid(8, 2.0, 0.0, 0.96));
  const SamplingDefaults none{.steps = 8,
                              .kind = SamplerKind::sde,
                              .grid = TimeGridKind::official,
                              .sde = {.last_step = SdeLastStep::none, .last_step_size = 0.0}};
  EXPECT_EQ(grid_of(none), official_time_grid(8, 2.0, 0.0, 1.0));
}

TEST(SamplingDefaultsTest, AvoidsEndsWhereTheVelocityIsInfinite) {
  for (const Prediction p : {Prediction::noise, Prediction::score}) {
    EXPECT_EQ(grid_of({.steps = 8, .grid = TimeGridKind::official}, PathKind::gvp, p),
              official_time_grid(8, 2.0, 0.001, 0.999));
    EXPECT_EQ(grid_of({.steps = 8}, PathKind::linear, p), official_time_grid(9, 2.0, 0.001, 1.0));
    EXPECT_EQ(grid_of({.steps = 8, .grid = TimeGridKind::official, .sample_eps = 0.01},
                      PathKind::linear, p),
              official_time_grid(8, 2.0, 0.01, 0.99));
  }
  EXPECT_EQ(grid_of({.steps = 8, .grid = TimeGridKind::official}, PathKind::vp),
            official_time_grid(8, 2.0, 0.0, 0.999));
  EXPECT_EQ(grid_of({.steps = 8}, PathKind::linear, Prediction::data), full_time_grid(8, 2.0));
  const SamplingDefaults sbdm{.steps = 8,
                              .kind = SamplerKind::sde,
                              .grid = TimeGridKind::official,
                              .sde = {.form = DiffusionForm::sbdm}};
  EXPECT_EQ(grid_of(sbdm), official_time_grid(8, 2.0, 0.001, 0.96));
}

TEST(SamplingDefaultsTest, RefusesStepsAndEpsilonOutOfRange) {
  EXPECT_THROW((void)grid_of({.steps = 0}), ArgumentError);
  EXPECT_THROW((void)grid_of({.steps = kMaxSamplingSteps + 1}), ArgumentError);
  EXPECT_THROW((void)grid_of({.sample_eps = 0.5}), ArgumentError);
  EXPECT_THROW((void)grid_of({.steps = 1, .kind = SamplerKind::sde}), ArgumentError);
}

TEST(SamplingDefaultsTest, NamesAreParsed) {
  for (const SamplerKind k : {SamplerKind::ode, SamplerKind::sde})
    EXPECT_EQ(parse_sampler_kind(name_of(k)), k);
  EXPECT_EQ(parse_sampler_kind("SDE"), SamplerKind::sde);
  EXPECT_THROW((void)parse_sampler_kind("Sde"), ArgumentError);
  for (const TimeGridKind k : {TimeGridKind::full, TimeGridKind::official})
    EXPECT_EQ(parse_time_grid_kind(name_of(k)), k);
  EXPECT_THROW((void)parse_time_grid_kind(""), ArgumentError);
}

}  // namespace
}  // namespace rae
