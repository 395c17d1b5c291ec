#include "rae/generate/preset.hpp"

#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

ModelConfig fifty_steps() {
  ModelConfig c = test::tiny_config();
  c.sampling.steps = 50;
  return c;
}

TEST(PresetTest, ExactChangesNothing) {
  const Generator generator(test::tiny_bundle());
  const GenerateOptions plain{.labels = {1, 2}, .seed = 3};
  GenerateOptions options = plain;
  apply_preset(Preset::exact, generator.config(), options);
  test::expect_close(generator.sample_latents(options), generator.sample_latents(plain), 0.0);
}

TEST(PresetTest, FewerStepsOfAMultistepSolver) {
  const ModelConfig model = fifty_steps();
  GenerateOptions fast, balanced;
  apply_preset(Preset::fast, model, fast);
  apply_preset(Preset::balanced, model, balanced);
  EXPECT_EQ(fast.steps, 12);
  EXPECT_EQ(balanced.steps, 16);
  EXPECT_EQ(fast.solver, OdeSolver(Solver::ab2));
  EXPECT_EQ(fast.kind, SamplerKind::ode);
  EXPECT_EQ(fast.reuse_error, 0.1);
  EXPECT_EQ(balanced.reuse_error, 0.0);
}

TEST(PresetTest, GivenOptionsTakePrecedence) {
  GenerateOptions options{.steps = 9, .solver = Solver::heun};
  options.reuse_error = 0.3;
  apply_preset(Preset::fast, fifty_steps(), options);
  EXPECT_EQ(options.steps, 9);
  EXPECT_EQ(options.solver, OdeSolver(Solver::heun));
  EXPECT_EQ(options.reuse_error, 0.3);
}

TEST(PresetTest, NeverMoreStepsThanTheModel) {
  GenerateOptions options;
  apply_preset(Preset::balanced, test::tiny_config(), options);
  EXPECT_EQ(options.steps, 4);
}

TEST(PresetTest, CountsThePointsOfAnOfficialGrid) {
  ModelConfig model = fifty_steps();
  model.sampling.grid = TimeGridKind::official;
  GenerateOptions options;
  apply_preset(Preset::fast, model, options);
  EXPECT_EQ(options.steps, 13);
}

TEST(PresetTest, IsDescribedInWords) {
  EXPECT_EQ(describe(Preset::exact, fifty_steps()), "50 steps of euler");
  EXPECT_EQ(describe(Preset::fast, fifty_steps()),
            "12 steps of ab2, reuse of the backbone up to 0.1");
}

TEST(PresetTest, NamesAreParsed) {
  for (const Preset preset : {Preset::exact, Preset::balanced, Preset::fast})
    EXPECT_EQ(parse_preset(name_of(preset)), preset);
  EXPECT_THROW((void)parse_preset("quick"), ArgumentError);
}

}  // namespace
}  // namespace rae
