#include "rae/diffusion/sde_sampler.hpp"

#include <functional>

#include "rae/core/workspace.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "support/golden_flow.hpp"
#include "support/temp_folder.hpp"

namespace rae {
namespace {

using test::expect_close;
using test::message_of;

TEST(SdeSamplerTest, AgreesWithTheOfficialSamplerAfterEveryStep) {
  test::GoldenFlow flow;
  const test::Golden golden("sample_sde/io.safetensors");
  const char* const names[] = {
      "euler.sigma.Mean.n8.noshift",     "euler.linear.Euler.n8.noshift",
      "euler.linear.Tweedie.n8.noshift", "euler.decreasing.Mean.n8.shift",
      "heun.sigma.Mean.n8.noshift",      "euler.inccreasing-decreasing.Mean.n6.shift",
      "euler.sigma.None.n6.noshift"};
  const ConfigNode runs = test::golden_config("sample_sde").at("runs");
  for (const std::string name : names) {
    const ConfigNode& run = runs.at(name);
    const bool none = run.at("last_step").is_null();
    const SdeOptions how{.solver = parse_sde_solver(run.get<std::string>("method")),
                         .form = parse_diffusion_form(run.get<std::string>("form")),
                         .norm = run.get<double>("norm"),
                         .last_step = none ? SdeLastStep::none
                                           : parse_sde_last_step(run.get<std::string>("last_step")),
                         .last_step_size = run.get<double>("last_step_size")};
    const auto points = run.get<index_t>("num_steps");
    const std::vector<float> grid =
        official_time_grid(points, run.get<double>("shift"), 0.0, 1.0 - how.last_step_size);
    expect_close(Tensor<float>(Shape{points}, std::span<const float>(grid)), golden(name + ".grid"),
                 5e-7, name);
    index_t seen = 0;
    const auto at = [&](index_t step) {
      return golden.part(name + ".traj", step);
    };                       // the states after the initial noise
    const Tensor<float> x =  // (B, C, h, w)
        sample_sde(std::ref(flow), golden("z"), grid, GivenNoise<float>{golden(name + ".noise")},
                   how, [&](const StepInfo& info) {
                     expect_close(info.x, at(info.step - 1), 2e-5,
                                  concat(name, " step ", info.step));
                     EXPECT_EQ(info.steps, points - (none ? 1 : 0));
                     ++seen;
                     return true;
                   });
    expect_close(x, at(points - 1), 2e-5, name);
    EXPECT_EQ(seen, points - (none ? 1 : 0));
  }
}

/// The exact velocity for normal data with standard deviation 0.5: E[noise - data | x].
Tensor<float> normal_data(const Tensor<float>& x, float t) {
  const float data = 0.25f * (1 - t), noise = t;
  const float slope = (noise - data) / ((1 - t) * data + t * noise);
  Tensor<float> v(x.shape());  // x's shape
  for (index_t i = 0; i < x.numel(); ++i) v.data()[i] = slope * x[i];
  return v;
}

double variance(const Tensor<float>& x) {
  double sum = 0, square = 0;
  for (const float e : x.span()) sum += e, square += double{e} * double{e};
  const auto n = static_cast<double>(x.numel());
  return square / n - sum / n * (sum / n);
}

TEST(SdeSamplerTest, EveryFormSamplesTheDistributionOfTheData) {
  Tensor<float> noise(Shape{1, 6000});  // (1, 6000)
  Philox(1).fill_normal(noise.span());
  const std::vector<float> grid = official_time_grid(81, 1.0, 0.005, 0.99);
  for (const SdeSolver solver : {SdeSolver::euler, SdeSolver::heun})
    for (const DiffusionForm form :
         {DiffusionForm::constant, DiffusionForm::sbdm, DiffusionForm::sigma, DiffusionForm::linear,
          DiffusionForm::decreasing, DiffusionForm::increasing_decreasing}) {
      // A constant diffusion is stiff near the data, where the score increases as 1 / t.
      const double norm = form == DiffusionForm::constant ? 0.1 : 0.5;
      const SdeOptions how{.solver = solver,
                           .form = form,
                           .norm = norm,
                           .last_step = SdeLastStep::tweedie,
                           .last_step_size = 0.01};
      const Tensor<float> x =
          sample_sde(normal_data, noise, grid, PhiloxNoise{2}, how);  // noise's shape
      EXPECT_NEAR(variance(x), 0.25, 0.03) << name_of(solver) << " " << name_of(form);
      EXPECT_GT(variance(x), 0.2);
    }
}

TEST(SdeSamplerTest, WithoutDiffusionItIsTheDeterministicSampler) {
  Tensor<float> noise(Shape{2, 50});  // (2, 50)
  Philox(3).fill_normal(noise.span());
  const std::vector<float> grid = official_time_grid(9, 2.0);
  const SdeOptions euler{.norm = 0.0, .last_step = SdeLastStep::none};
  expect_close(sample_sde(normal_data, noise, grid, PhiloxNoise{}, euler),
               sample(normal_data, noise, grid, Solver::euler), 2e-6);
  const SdeOptions heun{.solver = SdeSolver::heun, .norm = 0.0, .last_step = SdeLastStep::none};
  expect_close(sample_sde(normal_data, noise, grid, PhiloxNoise{}, heun),
               sample(normal_data, noise, grid, Solver::heun), 2e-6);
}

TEST(SdeSamplerTest, LastStepsByHand) {
  // Without a stochastic part (norm 0, hence D = 0) `mean` and `euler` agree. One step with
  // velocity 2 from t = 1 to 0.4.
  const auto two = [](const Tensor<double>& x, double) { return Tensor<double>(x.shape(), 2.0); };
  const std::vector<double> grid = {1.0, 0.4};
  const auto run = [&](SdeLastStep last, double norm, bool from_grid) {
    const SdeOptions how{.form = DiffusionForm::linear,
                         .norm = norm,
                         .last_step = last,
                         .last_step_size = 0.1,
                         .last_step_from_grid = from_grid};
    const auto silence = [](index_t, Tensor<double>& noise) {
      noise = Tensor<double>(noise.shape(), 0.0);
    };
    return sample_sde(two, Tensor<double>(Shape{1}, 3.0), grid, silence, how)[0];
  };
  EXPECT_NEAR(run(SdeLastStep::none, 0.0, false), 1.8, 1e-12);
  EXPECT_NEAR(run(SdeLastStep::euler, 0.0, false), 1.8 - 0.2, 1e-12);
  EXPECT_NEAR(run(SdeLastStep::mean, 0.0, false), 1.8 - 0.2, 1e-12);
  EXPECT_NEAR(run(SdeLastStep::euler, 0.0, true), 1.8 - 0.8, 1e-12);
  // The expected data x - t v, at the time that `last_step_from_grid` selects.
  EXPECT_NEAR(run(SdeLastStep::tweedie, 0.0, false), 1.8 - 0.1 * 2, 1e-12);
  EXPECT_NEAR(run(SdeLastStep::tweedie, 0.0, true), 1.8 - 0.4 * 2, 1e-12);
  // With D = t the drift is v - t score = v + x + (1 - t) v; at t = 1 the first step is 3 - 0.6 (2
  // + 3) = 0.
  EXPECT_NEAR(run(SdeLastStep::none, 1.0, false), 0.0, 1e-12);
  EXPECT_NEAR(run(SdeLastStep::euler, 1.0, false), -0.1 * 2, 1e-12);
  EXPECT_NEAR(run(SdeLastStep::mean, 1.0, false), -0.1 * (2 + 0.9 * 2), 1e-12);
  EXPECT_NEAR(run(SdeLastStep::mean, 1.0, true), -0.4 * (2 + 0.6 * 2), 1e-12);
}

TEST(SdeSamplerTest, NoiseDependsOnlyOnTheSample) {
  Tensor<float> both(Shape{2, 3, 5});  // (2, 3, 5)
  PhiloxNoise{7, 10}(4, both);
  for (index_t b = 0; b < 2; ++b) {
    Tensor<float> one(Shape{1, 3, 5});  // (1, 3, 5)
    PhiloxNoise{7, static_cast<std::uint64_t>(10 + b)}(4, one);
    for (index_t i = 0; i < 15; ++i) {
      EXPECT_EQ(both[b * 15 + i], one[i]);
      EXPECT_EQ(one[i], Philox(7, static_cast<std::uint64_t>(10 + b))
                            .normal(static_cast<std::uint64_t>(4 * 15 + i)));
    }
  }
  Tensor<double> wide(Shape{2, 3, 5});  // (2, 3, 5)
  PhiloxNoise{7, 10}(4, wide);
  for (index_t i = 0; i < 30; ++i) EXPECT_EQ(static_cast<float>(wide[i]), both[i]);
}

TEST(SdeSamplerTest, SamplesDoNotDependOnBatchAndThreads) {
  Tensor<float> noise(Shape{3, 20000});  // (3, 20000)
  Philox(5).fill_normal(noise.span());
  const std::vector<float> grid = official_time_grid(6, 2.0, 0.0, 0.96);
  const SdeOptions how{.solver = SdeSolver::heun};
  set_num_threads(1);
  const Tensor<float> all =
      sample_sde(normal_data, noise, grid, PhiloxNoise{9, 100}, how);  // noise's shape
  set_num_threads(4);
  const Tensor<float> four =
      sample_sde(normal_data, noise, grid, PhiloxNoise{9, 100}, how);  // noise's shape
  const Tensor<float> last(Shape{1, 20000},
                           std::as_const(noise).span().subspan(40000));  // (1, 20000)
  const Tensor<float> alone =
      sample_sde(normal_data, last, grid, PhiloxNoise{9, 102}, how);  // last's shape
  set_num_threads(0);
  expect_close(four, all, 0.0);
  expect_close(alone, Tensor<float>(Shape{1, 20000}, all.span().subspan(40000)), 0.0);
}

TEST(SdeSamplerTest, AllocatesNothingAfterTheFirstStep) {
  for (const SdeSolver solver : {SdeSolver::euler, SdeSolver::heun}) {
    Workspace workspace;
    const WorkspaceScope scope(workspace);
    std::uint64_t after_first = 0, after_last = 0;
    (void)sample_sde([](const Tensor<float>& x, float) { return Tensor<float>(x.shape(), 0.5f); },
                     Tensor<float>(Shape{2, 50}, 1.0f), official_time_grid(9, 1.0), PhiloxNoise{},
                     {.solver = solver},
                     [&](const StepInfo& info) {
                       if (info.step == 1) after_first = workspace.allocations();
                       after_last = workspace.allocations();
                       return true;
                     });
    EXPECT_GT(after_first, 0u);
    EXPECT_EQ(after_first, after_last) << name_of(solver);
  }
}

TEST(SdeSamplerTest, HandlesAVelocityThatReturnsItsArgument) {
  const auto identity = [](const Tensor<float>& x, float) { return x; };
  const auto copy = [](const Tensor<float>& x, float) {
    Tensor<float> v = x;  // x's shape
    (void)v.data();
    return v;
  };
  const Tensor<float> noise(Shape{2, 3}, 1.0f);  // (2, 3)
  for (const SdeSolver solver : {SdeSolver::euler, SdeSolver::heun}) {
    const std::vector<float> grid = official_time_grid(5, 1.0, 0.0, 0.9);
    const SdeOptions how{.solver = solver, .last_step_size = 0.1};
    expect_close(sample_sde(identity, noise, grid, PhiloxNoise{}, how),
                 sample_sde(copy, noise, grid, PhiloxNoise{}, how), 0.0);
  }
  expect_close(noise, Tensor<float>(Shape{2, 3}, 1.0f), 0.0);
}

TEST(SdeSamplerTest, TheCallbackCanStop) {
  const std::string message = message_of<Cancelled>([&] {
    (void)sample_sde(normal_data, Tensor<float>(Shape{1, 2}, 1.0f), official_time_grid(5, 1.0),
                     PhiloxNoise{}, {}, [](const StepInfo& info) { return info.step < 3; });
  });
  EXPECT_NE(message.find("step 3 of 5"), std::string::npos) << message;
}

TEST(SdeSamplerTest, RejectsInvalidSettingsBeforeTheFirstEvaluation) {
  index_t evaluations = 0;
  const auto count = [&](const Tensor<float>& x, float) { return ++evaluations, x; };
  const Tensor<float> x(Shape{1, 2}, 1.0f);  // (1, 2)
  const std::vector<float> full = full_time_grid(4, 1.0),
                           part = official_time_grid(4, 1.0, 0.0, 0.9);
  const auto run = [&](const std::vector<float>& grid, const SdeOptions& how) {
    (void)sample_sde(count, x, grid, PhiloxNoise{}, how);
  };
  EXPECT_THROW(run(part, {.norm = -1.0}), ArgumentError);
  EXPECT_THROW(run(part, {.last_step_size = 0.0}), ArgumentError);
  EXPECT_THROW(run(part, {.last_step_size = 1.0}), ArgumentError);
  EXPECT_THROW(run({0.0f, 0.5f, 1.0f}, {}), ArgumentError);
  EXPECT_THROW(run({1.5f, 0.5f}, {}), ArgumentError);
  EXPECT_THROW(run(full, {.last_step_from_grid = true}), ArgumentError);
  // The form sbdm is infinite at t = 1. The score is infinite at t = 0, and Heun's method needs it
  // at both ends of each step.
  const std::string at_noise =
      message_of<ArgumentError>([&] { run(part, {.form = DiffusionForm::sbdm}); });
  EXPECT_NE(at_noise.find("infinite at t = 1"), std::string::npos) << at_noise;
  EXPECT_THROW(run(full, {.solver = SdeSolver::heun, .last_step = SdeLastStep::none}),
               ArgumentError);
  EXPECT_EQ(evaluations, 0);
  EXPECT_NO_THROW(run(full, {.last_step = SdeLastStep::none}));
  EXPECT_EQ(evaluations, 4);
}

TEST(SdeSamplerTest, RejectsNoiseOfAnotherShape) {
  const Tensor<float> x(Shape{2, 3}, 1.0f);  // (2, 3)
  const std::vector<float> grid = official_time_grid(4, 1.0, 0.0, 0.96);
  for (const Shape& shape : {Shape{2, 2, 3}, Shape{3, 2, 2}, Shape{18}})
    EXPECT_THROW(
        (void)sample_sde(normal_data, x, grid, GivenNoise<float>{Tensor<float>(shape, 0.0f)}),
        ShapeError);
  EXPECT_NO_THROW((void)sample_sde(normal_data, x, grid,
                                   GivenNoise<float>{Tensor<float>(Shape{3, 2, 3}, 0.0f)}));
}

TEST(SdeSamplerTest, NamesAreParsed) {
  for (const SdeSolver s : {SdeSolver::euler, SdeSolver::heun})
    EXPECT_EQ(parse_sde_solver(name_of(s)), s);
  for (const SdeLastStep s :
       {SdeLastStep::none, SdeLastStep::mean, SdeLastStep::euler, SdeLastStep::tweedie})
    EXPECT_EQ(parse_sde_last_step(name_of(s)), s);
  EXPECT_EQ(parse_sde_solver("Euler"), SdeSolver::euler);
  EXPECT_EQ(parse_sde_last_step("Tweedie"), SdeLastStep::tweedie);
  EXPECT_THROW((void)parse_sde_solver("dopri5"), ArgumentError);
  EXPECT_THROW((void)parse_sde_last_step("MEAN"), ArgumentError);
}

}  // namespace
}  // namespace rae
