#include "rae/diffusion/adaptive_sampler.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "rae/core/random.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "support/golden_flow.hpp"
#include "support/temp_folder.hpp"

namespace rae {
namespace {

using test::expect_close;
using test::message_of;

constexpr AdaptiveSolver kAdaptiveSolvers[] = {AdaptiveSolver::dopri5, AdaptiveSolver::dopri8,
                                               AdaptiveSolver::bosh3, AdaptiveSolver::fehlberg2,
                                               AdaptiveSolver::adaptive_heun};

/// dx/dt = 3 x cos(3 t) with the solution x(t) = x(1) exp(sin(3 t) - sin(3)).
Tensor<double> waves(const Tensor<double>& x, double t) {
  Tensor<double> v(x.shape());  // x's shape
  for (index_t i = 0; i < x.numel(); ++i) v.data()[i] = 3 * x[i] * std::cos(3 * t);
  return v;
}

// How step control is compared with the official run on any machine: with three solvers the length
// of one early step is computed from a number that is mostly rounding error.
//
// - dopri5, dopri8: the error estimate of the first step is about 2e-4 of the allowed error, close
//   to the rounding of float, and the length of the second step follows from it. With dopri8 this
//   length is between 0.17 and 0.19, depending on the instruction set, on the compiler, and on one
//   unit in the last place of one element of the noise; in double it is 0.208.
// - fehlberg2: the first length follows from the difference of two velocities 7e-4 apart in time
//   (relative rounding 3e-5), and the next two steps are exactly 10 times longer each.
//
// All later estimates are close to the allowed error, where rounding hardly changes them, so the
// rest of the integration is a smooth function of that length. The last step goes past t = 0, and
// the interpolation back magnifies differences (by about 15 with dopri5). A tolerance for the whole
// integration would have to be so wide that it could not find an error.
//
// The test therefore sets this one step to the length that it had in the official run; the
// controller chooses all others. The length is fitted, one number for 288 golden elements: with it
// the integration in double differs from them by 6.5e-7 (dopri5), 2.1e-6 (dopri8) and 1.1e-6
// (fehlberg2). With noise that is moved by one unit in the last place (59 elements, one by one),
// the results in float with the kernels of baseline, AVX2 and AVX-512 differ by at most 7e-6. The
// second step that the controller chooses itself has its own test below.
struct OfficialStep {
  AdaptiveSolver solver;
  float begin;  // time
  double length;
};
constexpr OfficialStep kSecondSteps[] = {{AdaptiveSolver::dopri5, 0.948664486f, 0.249578564},
                                         {AdaptiveSolver::dopri8, 0.925773978f, 0.187274173}};
constexpr double kFirstStepOfFehlberg2 = 0.00059708892;

TEST(AdaptiveSamplerTest, AgreesWithTheOfficialSampler) {
  test::GoldenFlow flow;
  const test::Golden golden("sample_ode/io.safetensors");
  const ConfigNode config = test::golden_config("sample_ode");
  for (const AdaptiveSolver solver : kAdaptiveSolvers) {
    const std::string name = std::string(name_of(solver)) + "_8";
    Tensor<float> x = golden("z");  // (B, C, h, w)
    std::vector<float> grid = official_time_grid(8, std::sqrt(48.0));
    StepControl control;
    flow.evaluations = 0;
    if (solver == AdaptiveSolver::fehlberg2) {
      control.first_step = kFirstStepOfFehlberg2;
      flow.evaluations = 1;  // the official run needed one to estimate this length
    }
    for (const OfficialStep& second : kSecondSteps)
      if (second.solver == solver) {
        // A first step of length 1 is shortened to end at `begin`. Its length need not be
        // estimated, which saves one evaluation; the second start costs one, so the total is equal.
        x = sample(std::ref(flow), x, std::vector<float>{grid.front(), second.begin}, solver,
                   {.first_step = 1.0, .stop_at_end = true});
        grid = {second.begin, grid.back()};
        control.first_step = second.length;
      }
    expect_close(sample(std::ref(flow), x, grid, solver, control), golden("final." + name), 2e-5,
                 name);
    EXPECT_EQ(flow.evaluations, config.at("nfe").get<index_t>(name)) << name;
  }
}

/// The length of the second step that the controller chooses, when the first one ends at `begin`:
/// from the time of its first evaluation after `begin`, which is at c[1] of the step.
template <Real T>
double second_length(test::GoldenFlow<T>& flow, const Tensor<T>& z, AdaptiveSolver solver,
                     double begin) {
  double time = begin;
  const auto velocity = [&](const Tensor<T>& x, T t) {
    if (time == begin && static_cast<double>(t) < begin - 1e-3) time = static_cast<double>(t);
    return flow(x, t);
  };
  const std::vector<float> grid = official_time_grid(8, std::sqrt(48.0));
  (void)sample(velocity, z, std::vector<T>(grid.begin(), grid.end()), solver);
  return (begin - time) / detail::adaptive_tableau_of(solver).c[1];
}

template <Real T, Real U>
Tensor<T> converted(const Tensor<U>& x) {
  Tensor<T> out(x.shape());  // x's shape
  std::copy_n(x.span().begin(), x.span().size(), out.span().begin());
  return out;
}

TEST(AdaptiveSamplerTest, RoundingAloneSeparatesTheChosenSecondStepFromTheOfficialOne) {
  const Tensor<float> z = test::Golden("sample_ode/io.safetensors")("z");  // (B, C, h, w)
  const ConfigNode config = test::golden_config("sample_ode");
  const StepControl control;
  test::GoldenFlow<float> flow;
  test::GoldenFlow<double> exact;
  for (const OfficialStep& official : kSecondSteps) {
    const std::string name = std::string(name_of(official.solver)) + "_8";
    const detail::AdaptiveTableau& table = detail::adaptive_tableau_of(official.solver);
    const double begin = double{official.begin}, first = 1.0 - begin;
    // The error estimate of the first step, from the length of the second.
    const auto estimate = [&](double length) {
      return std::pow(control.safety * first / length, table.order);
    };
    // The difference between the velocities of the first step in float and those in double at the
    // same states, divided by the allowed error: the largest root mean square of a stage.
    double rounding = 0.0;
    const auto velocity = [&](const Tensor<float>& x, float t) {
      const Tensor<float> v = flow(x, t);                                            // x's shape
      const Tensor<double> w = exact(converted<double>(x), static_cast<double>(t));  // x's shape
      const double rms = detail::root_mean(v.numel(), [&](index_t i) {
        const double allowed = control.atol + control.rtol * std::abs(double{z[i]});
        return std::pow((double{v[i]} - w[i]) / allowed, 2);
      });
      rounding = std::max(rounding, rms);
      return v;
    };
    (void)sample(velocity, z, std::vector<float>{1.0f, official.begin}, official.solver,
                 {.first_step = 1.0, .stop_at_end = true});
    // The estimate is the root mean square of dt sum_j error[j] k_j / allowed. By the triangle
    // inequality, rounding of the velocities k_j changes it by at most dt sum_j |error[j]| times
    // their `rounding`. The states of the stages are rounded as well, and the rounding of the
    // official run may be larger than ours: twice the bound allows for both.
    double weights = 0.0;
    for (std::size_t j = 0; j < table.stages; ++j) weights += std::abs(table.error[j]);
    const double bound = 2.0 * first * weights * rounding;
    EXPECT_LT(bound, 0.02) << name << ": rounding must not decide whether a step is accepted";
    const double expected =
        estimate(second_length(exact, converted<double>(z), official.solver, begin));
    flow.evaluations = 0;
    EXPECT_NEAR(estimate(second_length(flow, z, official.solver, begin)), expected, bound) << name;
    // As many steps as the official run: true for all second lengths that the bound allows.
    EXPECT_EQ(flow.evaluations, config.at("nfe").get<index_t>(name)) << name;
    EXPECT_NEAR(estimate(official.length), expected, bound) << name;
  }
}

TEST(AdaptiveSamplerTest, IsAccurateAtEveryPointOfTheGrid) {
  const Tensor<double> start(Shape{2}, {1.0, -0.5});  // (2)
  const std::vector<double> grid = full_time_grid<double>(7, 2.0);
  for (const AdaptiveSolver solver : kAdaptiveSolvers) {
    const double tolerance =
        solver == AdaptiveSolver::dopri5 || solver == AdaptiveSolver::dopri8 ? 1e-9 : 1e-6;
    index_t seen = 0;
    (void)sample(waves, start, grid, solver, {.atol = tolerance, .rtol = tolerance},
                 [&](const BasicStepInfo<double>& info) {
                   const double growth = std::exp(std::sin(3 * info.t) - std::sin(3.0));
                   // Step control bounds the error at the ends of steps. Between them the
                   // polynomial of dopri8 has a lower order than the steps, and the polynomials of
                   // bosh3 and fehlberg2 use a midpoint of first order.
                   const bool follows =
                       solver == AdaptiveSolver::dopri5 || solver == AdaptiveSolver::adaptive_heun;
                   const double bound = follows ? 100 * tolerance : 1e-3;
                   expect_close(info.x, Tensor<double>(Shape{2}, {growth, -0.5 * growth}), bound,
                                name_of(solver));
                   EXPECT_EQ(info.step, ++seen);
                   EXPECT_EQ(info.t, grid[static_cast<std::size_t>(seen)]);
                   EXPECT_EQ(info.steps, 7);
                   return true;
                 });
    EXPECT_EQ(seen, 7);
  }
}

TEST(AdaptiveSamplerTest, TheDenoisedEstimateIsTheEndOfAStraightPath) {
  const std::vector<double> grid = full_time_grid<double>(7, 2.0);
  const auto straight = [](const Tensor<double>& x, double) {
    return Tensor<double>(x.shape(), {1.25, -3.0});
  };
  for (const AdaptiveSolver solver : kAdaptiveSolvers) {
    double begin = 1.0;
    (void)sample(straight, Tensor<double>(Shape{2}, {2.0, -2.5}), grid, solver, {},
                 [&](const BasicStepInfo<double>& info) {
                   EXPECT_GE(info.start.t, info.t);
                   EXPECT_LE(info.start.t, begin);
                   begin = info.start.t;
                   expect_close(info.denoised(), Tensor<double>(Shape{2}, {0.75, 0.5}), 1e-14,
                                name_of(solver));
                   return true;
                 });
    EXPECT_LT(begin, 1.0);
  }
}

TEST(AdaptiveSamplerTest, SmallerTolerancesGiveSmallerErrors) {
  const std::vector<double> grid = {1.0, 0.0};
  for (const AdaptiveSolver solver : kAdaptiveSolvers) {
    const auto error = [&](double tolerance) {
      const StepControl control{.atol = tolerance, .rtol = tolerance, .stop_at_end = true};
      return std::abs(sample(waves, Tensor<double>(Shape{1}, 1.0), grid, solver, control)[0] -
                      std::exp(-std::sin(3.0)));
    };
    EXPECT_LT(error(1e-7), 0.1 * error(1e-4)) << name_of(solver);
    EXPECT_LT(error(1e-7), 1e-5) << name_of(solver);
  }
}

TEST(AdaptiveSamplerTest, IntegratesInBothDirections) {
  const StepControl tight{.atol = 1e-10, .rtol = 1e-10, .stop_at_end = true};
  const Tensor<double> start(Shape{2}, {0.4, 0.2});  // (2)
  const Tensor<double> end = sample(waves, start, std::vector<double>{1.0, 0.3},
                                    AdaptiveSolver::dopri5, tight);  // start's shape
  EXPECT_GT(std::abs(end[0] - start[0]), 0.01);
  expect_close(sample(waves, end, std::vector<double>{0.3, 1.0}, AdaptiveSolver::dopri5, tight),
               start, 1e-8);
}

TEST(AdaptiveSamplerTest, StepsPastTheEndUnlessStopAtEnd) {
  for (const bool stop : {false, true}) {
    float earliest = 1.0f;
    const auto velocity = [&](const Tensor<float>& x, float t) {
      earliest = std::min(earliest, t);
      return Tensor<float>(x.shape(), 2.0f);
    };
    const Tensor<float> x = sample(velocity, Tensor<float>(Shape{3}, 1.0f), full_time_grid(4, 1.0),
                                   AdaptiveSolver::dopri5, {.stop_at_end = stop});  // (3)
    EXPECT_NEAR(x[0], -1.0f, 1e-6);
    EXPECT_EQ(earliest >= 0.0f, stop) << earliest;
  }
}

TEST(AdaptiveSamplerTest, TheFirstStepHasTheRequestedLength) {
  std::vector<double> times;
  const auto velocity = [&](const Tensor<double>& x, double t) {
    times.push_back(t);
    return waves(x, t);
  };
  const Tensor<double> x(Shape{1}, 1.0);  // (1)
  const std::vector<double> grid = {1.0, 0.5};
  (void)sample(velocity, x, grid, AdaptiveSolver::bosh3,
               {.atol = 1.0, .first_step = 0.25, .stop_at_end = true});
  ASSERT_GE(times.size(), 4u);
  EXPECT_EQ(times[0], 1.0);
  EXPECT_NEAR(times[1], 1.0 - 0.25 / 2, 1e-12);
  EXPECT_NEAR(times[3], 1.0 - 0.25, 1e-12);
  // A first step that is too long for the tolerance is shortened.
  const double expected = std::exp(std::sin(1.5) - std::sin(3.0));
  EXPECT_NEAR(sample(waves, x, grid, AdaptiveSolver::dopri5,
                     {.atol = 1e-8, .rtol = 1e-8, .first_step = 10.0, .stop_at_end = true})[0],
              expected, 1e-6);
}

TEST(AdaptiveSamplerTest, IntegratesZeroInitialVelocityAndJumps) {
  // Velocity 0 until t = 0.5, then 1.
  const auto jump = [](const Tensor<double>& x, double t) {
    return Tensor<double>(x.shape(), t > 0.5 ? 0.0 : 1.0);
  };
  const StepControl tight{.atol = 1e-7, .rtol = 1e-7, .stop_at_end = true};
  for (const AdaptiveSolver solver :
       {AdaptiveSolver::dopri5, AdaptiveSolver::dopri8, AdaptiveSolver::bosh3})
    EXPECT_NEAR(sample(jump, Tensor<double>(Shape{1}, 3.0), std::vector<double>{1.0, 0.0}, solver,
                       tight)[0],
                2.5, 1e-4)
        << name_of(solver);
}

TEST(AdaptiveSamplerTest, DoesNotChangeTheCallersTensorAndKeptStates) {
  const Tensor<float> noise(Shape{2}, 1.0f);  // (2)
  std::vector<Tensor<float>> kept;
  // A velocity that returns its argument shares memory with the states of the sampler.
  const auto identity = [](const Tensor<float>& x, float) { return x; };
  const StepControl tight{.atol = 1e-6, .rtol = 1e-6};
  (void)sample(identity, noise, std::vector<float>{1.0f, 0.5f, 0.0f}, AdaptiveSolver::dopri5, tight,
               [&](const StepInfo& info) {
                 kept.push_back(info.x);
                 return true;
               });
  expect_close(noise, Tensor<float>(Shape{2}, 1.0f), 0.0);
  expect_close(kept.at(0), Tensor<float>(Shape{2}, std::exp(-0.5f)), 1e-4);
  expect_close(kept.at(1), Tensor<float>(Shape{2}, std::exp(-1.0f)), 1e-4);
}

TEST(AdaptiveSamplerTest, DoesNotDependOnTheNumberOfThreads) {
  Tensor<float> noise(Shape{2, 20000});  // (2, 20000)
  Philox(7).fill_normal(noise.span());
  const auto velocity = [](const Tensor<float>& x, float t) {
    Tensor<float> v = x;  // x's shape
    for (float& e : v.span()) e = e * t - 0.1f;
    return v;
  };
  set_num_threads(1);
  const Tensor<float> one =
      sample(velocity, noise, full_time_grid(5, 3.0), AdaptiveSolver::dopri5);  // noise's shape
  set_num_threads(4);
  const Tensor<float> four =
      sample(velocity, noise, full_time_grid(5, 3.0), AdaptiveSolver::dopri5);  // noise's shape
  set_num_threads(0);
  expect_close(one, four, 0.0);
}

TEST(AdaptiveSamplerTest, TheCallbackCanStop) {
  const auto identity = [](const Tensor<float>& x, float) { return x; };
  const std::string message = message_of<Cancelled>([&] {
    (void)sample(identity, Tensor<float>(Shape{1}, 1.0f), full_time_grid(10, 1.0),
                 AdaptiveSolver::dopri5, {}, [](const StepInfo& info) { return info.step < 4; });
  });
  EXPECT_NE(message.find("step 4 of 10"), std::string::npos) << message;
}

TEST(AdaptiveSamplerTest, ReportsWhereItFails) {
  const std::vector<double> grid = {1.0, 0.0};
  const Tensor<double> x(Shape{1}, 1.0);  // (1)
  const auto breaks = [](const Tensor<double>& s, double t) {
    return Tensor<double>(s.shape(), t < 0.5 ? NAN : 1.0);
  };
  const std::string broken =
      message_of<NumericError>([&] { (void)sample(breaks, x, grid, AdaptiveSolver::dopri5); });
  EXPECT_NE(broken.find("not finite"), std::string::npos) << broken;
  const std::string slow = message_of<NumericError>([&] {
    (void)sample(waves, x, grid, AdaptiveSolver::adaptive_heun, {.rtol = 1e-9, .max_steps = 5});
  });
  EXPECT_NE(slow.find("5 steps"), std::string::npos) << slow;
  // The solution diverges at t = 0.5, so the steps become ever shorter.
  const auto diverges = [](const Tensor<double>& s, double) {
    Tensor<double> v(s.shape());  // (1)
    v.data()[0] = -2.0 * s[0] * s[0];
    return v;
  };
  EXPECT_THROW((void)sample(diverges, x, grid, AdaptiveSolver::dopri5), NumericError);
}

TEST(AdaptiveSamplerTest, RejectsInvalidControlsGridsAndShapes) {
  const auto identity = [](const Tensor<float>& x, float) { return x; };
  const Tensor<float> x(Shape{2}, 1.0f);  // (2)
  const std::vector<float> grid = {1.0f, 0.0f};
  for (const StepControl& control :
       {StepControl{.atol = -1.0}, StepControl{.rtol = NAN}, StepControl{.atol = 0.0, .rtol = 0.0},
        StepControl{.safety = 0.0}, StepControl{.min_factor = 1.0}, StepControl{.max_factor = 0.5},
        StepControl{.max_steps = 0}, StepControl{.first_step = -0.1},
        StepControl{.first_step = NAN}})
    EXPECT_THROW((void)sample(identity, x, grid, AdaptiveSolver::dopri5, control), ArgumentError);
  EXPECT_THROW((void)sample(identity, x, std::vector<float>{1.0f, 1.0f}, AdaptiveSolver::dopri5),
               ArgumentError);
  EXPECT_THROW((void)sample(identity, Tensor<float>(), grid, AdaptiveSolver::dopri5), ShapeError);
  EXPECT_THROW((void)sample(identity, Tensor<float>(Shape{1}, NAN), grid, AdaptiveSolver::dopri5),
               NumericError);
  const auto wrong = [](const Tensor<float>&, float) { return Tensor<float>(Shape{3}, 0.0f); };
  EXPECT_THROW((void)sample(wrong, x, grid, AdaptiveSolver::dopri5), ShapeError);
}

TEST(AdaptiveSamplerTest, StartsAnewFromAReplacedState) {
  const std::vector<double> grid = full_time_grid<double>(6, 2.0);
  const auto velocity = [](const Tensor<double>& x, double t) {
    return Tensor<double>(x.shape(), std::cos(x[0]) - t);
  };
  const Tensor<double> other(Shape{1}, -0.4);  // (1)
  const StepControl control{.stop_at_end = true};
  const Tensor<double> x =
      sample(velocity, Tensor<double>(Shape{1}, 0.9), grid, AdaptiveSolver::dopri5, control,
             [&](const BasicStepInfo<double>& info) {
               if (info.step == 4) info.replace(other);
               return true;
             });  // (1)
  EXPECT_EQ(x[0], sample(velocity, other, std::span(grid).subspan(4), AdaptiveSolver::dopri5,
                         control)[0]);
}

}  // namespace
}  // namespace rae
