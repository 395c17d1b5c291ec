#include "rae/diffusion/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "rae/core/random.hpp"
#include "rae/core/workspace.hpp"
#include "rae/diffusion/prediction.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "support/golden_flow.hpp"
#include "support/temp_folder.hpp"

namespace rae {
namespace {

using test::expect_close;
using test::message_of;

constexpr Solver kSamplerSolvers[] = {Solver::euler, Solver::midpoint, Solver::heun, Solver::heun3,
                                      Solver::rk4};

/// dx/dt = x cos(3 t) + t, which is neither linear in t nor autonomous. The reference solution is
/// computed with many small steps of rk4.
Tensor<double> curved(const Tensor<double>& x, double t) {
  Tensor<double> v(x.shape());  // x's shape
  for (index_t i = 0; i < x.numel(); ++i) v.data()[i] = x[i] * std::cos(3 * t) + t;
  return v;
}

double error_of(Solver solver, index_t steps, const Tensor<double>& exact) {
  const std::vector<double> grid = full_time_grid<double>(steps, 2.0);
  const Tensor<double> x =
      sample(curved, Tensor<double>(Shape{2}, {1.0, -0.5}), grid, solver);  // (2)
  return std::max(std::abs(x[0] - exact[0]), std::abs(x[1] - exact[1]));
}

TEST(SamplerTest, ConvergesWithTheOrderOfTheSolver) {
  const Tensor<double> exact = sample(curved, Tensor<double>(Shape{2}, {1.0, -0.5}),
                                      full_time_grid<double>(4000, 2.0), Solver::rk4);  // (2)
  for (const Solver solver : kSamplerSolvers) {
    const double order = solver == Solver::euler   ? 1
                         : solver == Solver::heun3 ? 3
                         : solver == Solver::rk4   ? 4
                                                   : 2;
    const double coarse = error_of(solver, 40, exact), fine = error_of(solver, 80, exact);
    EXPECT_NEAR(std::log2(coarse / fine), order, 0.25)
        << name_of(solver) << ": " << coarse << " then " << fine;
    EXPECT_LT(fine, 0.05);
  }
}

TEST(SamplerTest, OneStepOfEachSolverByHand) {
  // dx/dt = x over one step of -0.5 from 1: partial sums of exp(-0.5).
  const auto growth = [](const Tensor<double>& x, double) { return x; };
  const std::vector<double> grid = {1.0, 0.5};
  const double h = -0.5;
  const double expected[] = {1 + h, 1 + h + h * h / 2, 1 + h + h * h / 2,
                             1 + h + h * h / 2 + h * h * h / 6,
                             1 + h + h * h / 2 + h * h * h / 6 + h * h * h * h / 24};
  for (std::size_t i = 0; i < std::size(kSamplerSolvers); ++i)
    EXPECT_NEAR(sample(growth, Tensor<double>(Shape{1}, 1.0), grid, kSamplerSolvers[i])[0],
                expected[i], 1e-15)
        << name_of(kSamplerSolvers[i]);
}

TEST(SamplerTest, EverySolverFollowsAStraightPathExactly) {
  Tensor<float> data(Shape{2, 3, 4, 4}), noise(Shape{2, 3, 4, 4});  // (2, 3, 4, 4) each
  Philox(1).fill_normal(data.span());
  Philox(2).fill_normal(noise.span());
  const Tensor<float> v =
      path_velocity(LinearPath{}, data, noise, Tensor<float>(Shape{1}, 0.5f));  // data's shape
  for (const Solver solver : kSamplerSolvers)
    expect_close(sample([&](const Tensor<float>&, float) { return v; }, noise,
                        full_time_grid(13, 6.928), solver),
                 data, 2e-6, name_of(solver));
}

TEST(SamplerTest, AgreesWithTheOfficialSamplerForOtherPathsAndPredictions) {
  test::GoldenFlow flow;
  const test::Golden golden("sample_ode/io.safetensors");
  const Tensor<float> z = golden("z");  // (B, C, h, w)
  expect_close(sample(velocity_of(GvpPath{}, Prediction::velocity, std::ref(flow)), z,
                      official_time_grid(8, 1.0)),
               golden("final.gvp_euler_8"), 2e-5);
  for (const Prediction prediction : {Prediction::noise, Prediction::score}) {
    const std::string name = concat("final.linear_", name_of(prediction), "_euler_8");
    const std::vector<float> grid = official_time_grid(8, 1.0, 0.001, 0.999);
    const Tensor<float> expected = golden(name);  // (B, C, h, w)
    float largest = 0.0f;
    for (const float e : expected.span()) largest = std::max(largest, std::abs(e));
    // The first step divides by 1 - t = 0.001, so the model, which was not trained for this
    // prediction, leads to states of about 15000.
    expect_close(sample(velocity_of(LinearPath{}, prediction, std::ref(flow)), z, grid), expected,
                 1e-6 * double{largest}, name);
  }
}

TEST(SamplerTest, EulerEqualsTheOfficialUpdate) {
  const std::vector<float> grid = official_time_grid(9, 6.928);
  const auto velocity = [](const Tensor<float>& x, float t) {
    Tensor<float> v(x.shape());  // x's shape
    for (index_t i = 0; i < x.numel(); ++i) v.data()[i] = 0.5f * x[i] - t;
    return v;
  };
  float expected = 0.8f;
  for (std::size_t i = 0; i + 1 < grid.size(); ++i)
    expected = expected + (grid[i + 1] - grid[i]) * (0.5f * expected - grid[i]);
  EXPECT_FLOAT_EQ(sample(velocity, Tensor<float>(Shape{1}, 0.8f), grid)[0], expected);
}

TEST(SamplerTest, EvaluatesAtTheExpectedTimes) {
  const std::vector<float> grid = {1.0f, 0.7f, 0.1f};
  for (const Solver solver : kSamplerSolvers) {
    std::vector<float> times;
    (void)sample(
        [&](const Tensor<float>& x, float t) {
          times.push_back(t);
          return x;
        },
        Tensor<float>(Shape{1}, 1.0f), grid, solver);
    ASSERT_EQ(static_cast<index_t>(times.size()), 2 * evaluations_per_step(solver));
    EXPECT_EQ(times[0], 1.0f);
    EXPECT_EQ(times[times.size() / 2], 0.7f);
    const float last = solver == Solver::euler      ? 0.7f
                       : solver == Solver::midpoint ? 0.4f
                       : solver == Solver::heun3    ? 0.3f
                                                    : 0.1f;
    EXPECT_FLOAT_EQ(times.back(), last) << name_of(solver);
  }
}

TEST(SamplerTest, AdamsIntegratesPolynomialsOfTimeExactly) {
  // The first two steps have order 4, step s from the third to the eleventh has order s; all
  // integrate t^2 exactly.
  const std::vector<double> grid = full_time_grid<double>(15, 1.0);
  std::vector<double> times;
  const auto square = [&](const Tensor<double>& x, double t) {
    times.push_back(t);
    return Tensor<double>(x.shape(), 3 * t * t);
  };
  EXPECT_NEAR(sample(square, Tensor<double>(Shape{1}, 1.0), grid, Solver::explicit_adams)[0], 0.0,
              1e-13);
  ASSERT_EQ(times.size(), 2u * 4 + 13);
  for (std::size_t step = 2; step < 15; ++step) EXPECT_EQ(times[6 + step], grid[step]);
}

TEST(SamplerTest, AdamsIncreasesItsOrderStepByStep) {
  // Velocities that are nonzero only at two points of the grid reveal the weights.
  const std::vector<double> grid = full_time_grid<double>(4, 1.0);
  std::vector<double> states;
  const auto late = [](const Tensor<double>& x, double t) {
    return Tensor<double>(x.shape(), t == 0.25 ? 1.0 : t == 0.5 ? -1.0 : 0.0);
  };
  (void)sample(late, Tensor<double>(Shape{1}, 0.0), grid, Solver::explicit_adams,
               [&](const BasicStepInfo<double>& info) {
                 states.push_back(info.x[0]);
                 return true;
               });
  // Step 2 (rk4) evaluates the velocity at its end, t = 0.5. Step 3 weights it by 23 / 12; step 4
  // weights it by -59 / 24, and that at t = 0.25 by 55 / 24.
  EXPECT_NEAR(states[1], 0.25 / 8, 1e-15);
  EXPECT_NEAR(states[2] - states[1], 0.25 * 23 / 12, 1e-15);
  EXPECT_NEAR(states[3] - states[2], -0.25 * (55.0 + 59.0) / 24, 1e-15);
}

TEST(SamplerTest, AdamsIsMoreAccurateThanHeunOnEqualSteps) {
  const auto wave = [](const Tensor<double>& x, double t) {
    return Tensor<double>(x.shape(), std::cos(3 * t));
  };
  const auto error = [&](Solver solver, index_t steps) {
    return std::abs(
        sample(wave, Tensor<double>(Shape{1}, 0.0), full_time_grid<double>(steps, 1.0), solver)[0] +
        std::sin(3.0) / 3);
  };
  EXPECT_LT(error(Solver::explicit_adams, 40), 0.1 * error(Solver::heun, 40));
  // The first steps have order 3 and 4, so the sum of their errors has order 4.
  EXPECT_LT(error(Solver::explicit_adams, 80), error(Solver::explicit_adams, 40) / 10);
}

// The expected states and evaluations are those of torchdiffeq in double, on torch 1.13. With tight
// tolerances or a stiff equation the corrector does not converge, and the oldest velocity is
// dropped.
TEST(SamplerTest, AdamsAgreesWithTorchdiffeq) {
  struct Case {
    double rate;
    index_t steps;
    double shift, rtol, atol;
    Solver solver;
    double x0, x1;
    int evaluations;
  };
  const Case cases[] = {
      {1, 20, 1.0, 1e-3, 1e-6, Solver::explicit_adams, 0.55520617341361522, -0.87416809046187638,
       26},
      {1, 20, 2.0, 1e-3, 1e-6, Solver::explicit_adams, 0.55554744407902956, -0.87660014180581525,
       26},
      {1, 20, 1.0, 1e-3, 1e-6, Solver::implicit_adams, 0.55539938268962386, -0.87567666087538942,
       46},
      {1, 20, 1.0, 1e-10, 1e-12, Solver::implicit_adams, 0.55540378116783895, -0.87568706664653817,
       98},
      {1, 20, 2.0, 1e-3, 1e-6, Solver::implicit_adams, 0.5554198416565308, -0.87639007563294469,
       45},
      {12, 16, 1.0, 1e-6, 1e-9, Solver::implicit_adams, 0.50702894983039615, -0.33790960037631146,
       78},
      {6, 16, 2.0, 1e-4, 1e-6, Solver::implicit_adams, 0.60641780575142445, -0.52093103706621813,
       60},
  };
  for (const Case& c : cases) {
    int evaluations = 0;
    const auto velocity = [&](const Tensor<double>& x, double t) {
      ++evaluations;
      return Tensor<double>(
          x.shape(), {c.rate * x[0] * std::cos(3 * t) + t, c.rate * x[1] * std::cos(3 * t) + t});
    };
    const std::vector<double> grid = full_time_grid<double>(c.steps, c.shift);
    const Tensor<double> x =
        sample(velocity, Tensor<double>(Shape{2}, {1.0, -0.5}), grid, c.solver,
               detail::NoCallback{}, CorrectorControl{.atol = c.atol, .rtol = c.rtol});  // (2)
    const std::string label = concat(name_of(c.solver), " ", c.rate, " ", c.shift, " ", c.rtol);
    EXPECT_NEAR(x[0], c.x0, 2e-12) << label;
    EXPECT_NEAR(x[1], c.x1, 2e-12) << label;
    EXPECT_EQ(evaluations, c.evaluations) << label;
  }
}

TEST(SamplerTest, RejectsInvalidCorrectorSettings) {
  const auto run = [](const CorrectorControl& corrector) {
    const std::vector<double> grid = {1.0, 0.5};
    return sample(curved, Tensor<double>(Shape{2}, 1.0), grid, Solver::implicit_adams,
                  detail::NoCallback{}, corrector);
  };
  EXPECT_THROW((void)run({.atol = -1.0}), ArgumentError);
  EXPECT_THROW((void)run({.rtol = std::nan("")}), ArgumentError);
  EXPECT_THROW((void)run({.max_iterations = 0}), ArgumentError);
}

TEST(SamplerTest, ReturnsToNoiseOnAnIncreasingGrid) {
  const auto velocity = [](const Tensor<double>& x, double t) { return curved(x, t); };
  std::vector<double> grid = full_time_grid<double>(200, 1.0);
  const Tensor<double> start(Shape{2}, {0.4, 0.2});                       // (2)
  const Tensor<double> end = sample(velocity, start, grid, Solver::rk4);  // start's shape
  std::reverse(grid.begin(), grid.end());
  expect_close(sample(velocity, end, grid, Solver::rk4), start, 1e-9);
}

TEST(SamplerTest, TheCallbackSeesEveryStep) {
  const std::vector<float> grid = {1.0f, 0.5f, 0.25f, 0.0f};
  std::vector<index_t> steps;
  std::vector<float> times, states;
  const auto on_step = [&](const StepInfo& info) {
    EXPECT_EQ(info.steps, 3);
    steps.push_back(info.step);
    times.push_back(info.t);
    states.push_back(info.x[0]);
    return true;
  };
  const auto one = [](const Tensor<float>& x, float) { return Tensor<float>(x.shape(), 1.0f); };
  const Tensor<float> x =
      sample(one, Tensor<float>(Shape{1}, 2.0f), grid, Solver::euler, on_step);  // (1)
  EXPECT_EQ(steps, (std::vector<index_t>{1, 2, 3}));
  EXPECT_EQ(times, (std::vector<float>{0.5f, 0.25f, 0.0f}));
  EXPECT_EQ(states, (std::vector<float>{1.5f, 1.25f, 1.0f}));
  EXPECT_EQ(x[0], 1.0f);
}

TEST(SamplerTest, TheDenoisedEstimateIsThatOfTheBeginningOfTheStep) {
  const std::vector<double> grid = full_time_grid<double>(15, 2.0);
  const auto velocity = [](const Tensor<double>& x, double t) {
    return Tensor<double>(x.shape(), {std::cos(x[0]) - t, x[0] * x[1]});
  };
  for (const Solver solver : kSamplerSolvers) {
    Tensor<double> before(Shape{2}, {0.4, -1.2});  // (2)
    index_t seen = 0;
    (void)sample(velocity, before, grid, solver, [&](const BasicStepInfo<double>& info) {
      const double t = grid[static_cast<std::size_t>(seen++)];
      EXPECT_EQ(info.start.t, t);
      EXPECT_TRUE(info.determines_data());
      const Tensor<double> v = velocity(before, t), data = info.denoised();  // (2)
      expect_close(info.start.x, before, 0.0, name_of(solver));
      expect_close(info.start.velocity, v, 0.0, name_of(solver));
      for (index_t i = 0; i < 2; ++i) EXPECT_NEAR(data[i], before[i] - t * v[i], 1e-15);
      before = info.x;
      return true;
    });
    EXPECT_EQ(seen, 15);
  }
}

TEST(SamplerTest, TheCallbackCanReplaceTheState) {
  const std::vector<double> grid = full_time_grid<double>(6, 2.0);
  const auto velocity = [](const Tensor<double>& x, double t) {
    return Tensor<double>(x.shape(), std::cos(x[0]) - t);
  };
  const Tensor<double> other(Shape{1}, -0.4);  // (1)
  for (const Solver solver : kSamplerSolvers) {
    // The rest of the steps is that of a run that begins there.
    const Tensor<double> x = sample(velocity, Tensor<double>(Shape{1}, 0.9), grid, solver,
                                    [&](const BasicStepInfo<double>& info) {
                                      if (info.step == 4) info.replace(other);
                                      return true;
                                    });  // (1)
    EXPECT_EQ(x[0], sample(velocity, other, std::span(grid).subspan(4), solver)[0]);
    EXPECT_EQ(other[0], -0.4);
  }
  for (const Solver solver : {Solver::explicit_adams, Solver::dpmpp_2m, Solver::unipc}) {
    const auto last = [&](const BasicStepInfo<double>& info) {
      if (info.step == info.steps) info.replace(other);
      return true;
    };
    EXPECT_EQ(sample(velocity, Tensor<double>(Shape{1}, 0.9), grid, solver, last)[0], other[0]);
  }
}

TEST(SamplerTest, AReplacedStateIsChecked) {
  const std::vector<float> grid = full_time_grid(3, 1.0);
  const auto identity = [](const Tensor<float>& x, float) { return x; };
  const auto replace_by = [&](const Tensor<float>& state) {
    (void)sample(identity, Tensor<float>(Shape{2}, 1.0f), grid, Solver::euler,
                 [&](const StepInfo& info) {
                   info.replace(state);
                   return true;
                 });
  };
  EXPECT_THROW(replace_by(Tensor<float>(Shape{3}, 1.0f)), ShapeError);
  EXPECT_THROW(replace_by(Tensor<float>()), ShapeError);
  EXPECT_THROW(replace_by(Tensor<float>(Shape{2}, std::nanf(""))), NumericError);
}

TEST(SamplerTest, TheCallbackCanStopAndCanBeEmpty) {
  const std::vector<float> grid = full_time_grid(10, 1.0);
  const auto identity = [](const Tensor<float>& x, float) { return x; };
  index_t calls = 0;
  const std::string message = message_of<Cancelled>([&] {
    (void)sample(identity, Tensor<float>(Shape{1}, 1.0f), grid, Solver::heun,
                 [&](const StepInfo& info) { return ++calls, info.step < 4; });
  });
  EXPECT_EQ(calls, 4);
  EXPECT_NE(message.find("step 4 of 10"), std::string::npos) << message;
  const std::function<bool(const StepInfo&)> none;
  EXPECT_NO_THROW((void)sample(identity, Tensor<float>(Shape{1}, 1.0f), grid, Solver::euler, none));
}

TEST(SamplerTest, DoesNotChangeTheCallersTensorAndKeptStates) {
  const Tensor<float> noise(Shape{2}, 1.0f);  // (2)
  std::vector<Tensor<float>> trajectory;
  const auto velocity = [](const Tensor<float>& x, float) {
    return Tensor<float>(x.shape(), 1.0f);
  };
  (void)sample(velocity, noise, std::vector<float>{1.0f, 0.5f, 0.0f}, Solver::euler,
               [&](const StepInfo& info) {
                 trajectory.push_back(info.x);
                 return true;
               });
  expect_close(noise, Tensor<float>(Shape{2}, 1.0f), 0.0);
  expect_close(trajectory[0], Tensor<float>(Shape{2}, 0.5f), 0.0);
  expect_close(trajectory[1], Tensor<float>(Shape{2}, 0.0f), 0.0);
}

TEST(SamplerTest, AllocatesNothingAfterTheFirstStep) {
  for (const Solver solver : kSamplerSolvers) {
    Workspace workspace;
    const WorkspaceScope scope(workspace);
    std::uint64_t after_first = 0, after_last = 0;
    (void)sample([](const Tensor<float>& x, float) { return Tensor<float>(x.shape(), 0.5f); },
                 Tensor<float>(Shape{2, 50}, 1.0f), full_time_grid(20, 1.0), solver,
                 [&](const StepInfo& info) {
                   if (info.step == 1) after_first = workspace.allocations();
                   after_last = workspace.allocations();
                   return true;
                 });
    EXPECT_GT(after_first, 0u);
    EXPECT_EQ(after_first, after_last) << name_of(solver);
  }
}

TEST(SamplerTest, UpdatesAMovedInTensorInPlace) {
  Tensor<float> x(Shape{100}, 1.0f);  // (100)
  const float* memory = std::as_const(x).data();
  const Tensor<float> out =
      sample([](const Tensor<float>& s, float) { return Tensor<float>(s.shape(), 1.0f); },
             std::move(x), full_time_grid(5, 1.0), Solver::rk4);  // (100)
  EXPECT_EQ(out.data(), memory);
}

TEST(SamplerTest, DoesNotDependOnTheNumberOfThreads) {
  Tensor<float> noise(Shape{4, 50000});  // (4, 50000)
  Philox(7).fill_normal(noise.span());
  const auto velocity = [](const Tensor<float>& x, float t) {
    Tensor<float> v = x;  // x's shape
    for (float& e : v.span()) e = e * t - 0.1f;
    return v;
  };
  set_num_threads(1);
  const Tensor<float> one =
      sample(velocity, noise, full_time_grid(5, 3.0), Solver::heun3);  // noise's shape
  set_num_threads(4);
  const Tensor<float> four =
      sample(velocity, noise, full_time_grid(5, 3.0), Solver::heun3);  // noise's shape
  set_num_threads(0);
  expect_close(one, four, 0.0);
}

TEST(SamplerTest, ReportsTheStepAtWhichTheStateIsNotFinite) {
  const auto velocity = [](const Tensor<float>& x, float t) {
    return Tensor<float>(x.shape(), t < 0.45f ? NAN : 1.0f);
  };
  const std::string message = message_of<NumericError>(
      [&] { (void)sample(velocity, Tensor<float>(Shape{3}, 1.0f), full_time_grid(10, 1.0)); });
  EXPECT_NE(message.find("step 7 of 10"), std::string::npos) << message;
  EXPECT_THROW((void)sample(velocity, Tensor<float>(Shape{1}, INFINITY), full_time_grid(2, 1.0)),
               NumericError);
}

TEST(SamplerTest, RejectsInvalidGridsAndShapes) {
  const auto identity = [](const Tensor<float>& x, float) { return x; };
  const Tensor<float> x(Shape{2}, 1.0f);  // (2)
  for (const std::vector<float>& grid : {std::vector<float>{},
                                         {1.0f},
                                         {1.0f, 1.0f},
                                         {1.0f, 0.5f, 0.6f},
                                         {0.0f, 0.5f, 0.5f},
                                         {1.0f, NAN},
                                         {1.0f, -INFINITY}})
    EXPECT_THROW((void)sample(identity, x, grid), ArgumentError);
  const auto wrong = [](const Tensor<float>&, float) { return Tensor<float>(Shape{3}, 0.0f); };
  EXPECT_THROW((void)sample(wrong, x, full_time_grid(2, 1.0)), ShapeError);
  const auto nothing = [](const Tensor<float>&, float) { return Tensor<float>(); };
  EXPECT_THROW((void)sample(nothing, x, full_time_grid(2, 1.0)), ShapeError);
  EXPECT_THROW((void)sample(nothing, Tensor<float>(Shape{}, 1.0f), full_time_grid(2, 1.0)),
               ShapeError);
  EXPECT_THROW((void)sample(identity, Tensor<float>(), full_time_grid(2, 1.0)), ShapeError);
}

}  // namespace
}  // namespace rae
