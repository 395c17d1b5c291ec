#include "rae/diffusion/multistep.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "rae/core/random.hpp"
#include "rae/diffusion/sampler.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

constexpr Solver kMultistep[] = {Solver::dpmpp_2m, Solver::dpmpp_3m, Solver::unipc, Solver::ab2};

/// Data from a normal distribution with this mean and deviation: the flow is known.
template <class P = LinearPath>
struct NormalData {
  double mean = 0.7, deviation = 0.4;
  P path{};

  [[nodiscard]] double spread(double t) const {
    return std::hypot(path.alpha(t) * deviation, path.sigma(t));
  }
  /// x(t) of the trajectory that begins with the noise z.
  [[nodiscard]] double state(double t, double z) const {
    return path.alpha(t) * mean + spread(t) * z;
  }
  Tensor<double> operator()(const Tensor<double>& x, double t) const {
    const double s = spread(t);
    const double slope = (path.alpha(t) * path.d_alpha(t) * deviation * deviation +
                          path.sigma(t) * path.d_sigma(t)) /
                         (s * s);
    Tensor<double> v(x.shape());  // x's shape
    for (index_t i = 0; i < x.numel(); ++i)
      v.data()[i] = path.d_alpha(t) * mean + slope * (x[i] - path.alpha(t) * mean);
    return v;
  }
};

/// Error at the end of the grid of a trajectory that is followed from its beginning.
template <class P = LinearPath>
double error_of(Solver solver, const std::vector<double>& grid, const NormalData<P>& data = {}) {
  constexpr double kNoise = 1.3;
  const Tensor<double> x(Shape{1}, data.state(grid.front(), kNoise));  // (1)
  const double end = sample(data, x, grid, solver, {}, {}, data.path)[0];
  return std::abs(end - data.state(grid.back(), kNoise));
}

/// `steps` steps from `from` to `to`, with a time shift.
std::vector<double> grid_between(double from, double to, index_t steps, double shift) {
  std::vector<double> grid = full_time_grid<double>(steps, shift);
  for (double& t : grid) t = to + (from - to) * t;
  return grid;
}

TEST(MultistepTest, WeightsIntegratePolynomialsExactly) {
  const double nodes[] = {0.3, -0.2, -1.1};
  for (const double h : {0.01, 0.3, 2.0, 9.0})
    for (std::size_t count = 1; count <= 3; ++count) {
      const auto w = detail::exponential_weights(std::span(nodes).first(count), h);
      for (std::size_t power = 0; power < count; ++power) {
        double sum = 0, expected = 0;
        for (std::size_t j = 0; j < count; ++j)
          sum += w[j] * std::pow(nodes[j], static_cast<double>(power));
        constexpr int kParts = 20000;  // midpoint rule
        for (int i = 0; i < kParts; ++i) {
          const double r = h * (i + 0.5) / kParts;
          expected += h / kParts * std::exp(r - h) * std::pow(r, static_cast<double>(power));
        }
        EXPECT_NEAR(sum, expected, 1e-7 * (1 + std::abs(expected)))
            << "h " << h << ", " << count << " nodes, r^" << power;
      }
    }
}

TEST(MultistepTest, AStepOfOneEstimateIsAnEulerStep) {
  // The first step, and the last one to t = 0, where lambda is infinite.
  const NormalData<> data;
  for (const Solver solver : {Solver::dpmpp_2m, Solver::dpmpp_3m, Solver::unipc, Solver::ab2}) {
    const std::vector<double> first{1.0, 0.8}, only{1.0, 0.0}, inside{0.7, 0.5};
    for (const auto& grid : {first, only, inside}) {
      const Tensor<double> x(Shape{2}, {0.3, -1.7});  // (2)
      const Tensor<double> euler = sample(data, x, grid), other = sample(data, x, grid, solver);
      for (index_t i = 0; i < 2; ++i) EXPECT_NEAR(other[i], euler[i], 1e-15) << name_of(solver);
    }
  }
}

TEST(MultistepTest, ConvergesWithItsOrderFromNoiseToData) {
  // The steps at the ends of the path are Euler steps, whose error is of second order in all. In
  // lambda, the steps near t = 0 do not become shorter, so the error of dpmpp_2m falls as n^-2 log
  // n: its order is 2 - 1 / log(n), 1.87 here.
  for (const double shift : {1.0, 2.0, 6.93})
    for (const Solver solver : kMultistep) {
      const double coarse = error_of(solver, full_time_grid<double>(2560, shift)),
                   fine = error_of(solver, full_time_grid<double>(5120, shift));
      EXPECT_GT(std::log2(coarse / fine), solver == Solver::dpmpp_2m ? 1.75 : 1.95)
          << name_of(solver) << ", shift " << shift;
      EXPECT_LT(fine, error_of(Solver::euler, full_time_grid<double>(5120, shift)) / 20)
          << name_of(solver) << ", shift " << shift;
    }
}

TEST(MultistepTest, FewStepsAreCloserThanAsManyEulerSteps) {
  for (const Solver solver : kMultistep)
    for (const index_t steps : {8, 12, 24})
      EXPECT_LT(error_of(solver, full_time_grid<double>(steps, 2.0)),
                error_of(Solver::euler, full_time_grid<double>(steps, 2.0)))
          << name_of(solver) << ", " << steps << " steps";
}

TEST(MultistepTest, ThirdOrderInsideThePathWithAnExactBeginning) {
  // Short first steps make the errors of their lower order negligible.
  const auto grid = [](index_t steps) {
    std::vector<double> out;
    const double step = 0.7 / static_cast<double>(steps);
    for (int i = 0; i < 3; ++i) out.push_back(0.9 - step * (i * step * step));
    for (index_t i = 1; i <= steps; ++i) out.push_back(0.9 - step * static_cast<double>(i));
    return out;
  };
  for (const Solver solver : {Solver::dpmpp_3m, Solver::unipc}) {
    const double coarse = error_of(solver, grid(80)), fine = error_of(solver, grid(160));
    EXPECT_GT(std::log2(coarse / fine), 2.7) << name_of(solver) << " " << coarse << " " << fine;
  }
  for (const Solver solver : {Solver::dpmpp_2m, Solver::ab2}) {
    const double coarse = error_of(solver, grid(80)), fine = error_of(solver, grid(160));
    EXPECT_GT(std::log2(coarse / fine), 1.8) << name_of(solver);
  }
}

TEST(MultistepTest, FollowsOtherPaths) {
  for (const Solver solver : kMultistep) {
    const NormalData<GvpPath> gvp;
    const double coarse = error_of(solver, full_time_grid<double>(640, 1.0), gvp),
                 fine = error_of(solver, full_time_grid<double>(1280, 1.0), gvp);
    EXPECT_GT(std::log2(coarse / fine), 1.75) << name_of(solver);
    const NormalData<VpPath> vp;
    const double coarse_vp = error_of(solver, grid_between(0.99, 0.0, 320, 1.0), vp),
                 fine_vp = error_of(solver, grid_between(0.99, 0.0, 640, 1.0), vp);
    EXPECT_GT(std::log2(coarse_vp / fine_vp), 1.8) << name_of(solver);
  }
}

TEST(MultistepTest, OneEvaluationPerStepAtTheTimesOfTheGrid) {
  const std::vector<double> grid = official_time_grid<double>(9, 2.0);
  for (const Solver solver : kMultistep) {
    std::vector<double> times;
    (void)sample(
        [&](const Tensor<double>& x, double t) {
          times.push_back(t);
          return NormalData<>{}(x, t);
        },
        Tensor<double>(Shape{1}, 1.0), grid, solver);
    EXPECT_EQ(times, std::vector<double>(grid.begin(), grid.end() - 1)) << name_of(solver);
    EXPECT_EQ(evaluations_per_step(solver), 1);
  }
}

TEST(MultistepTest, StatesThatCallbacksHoldDoNotChange) {
  const std::vector<double> grid = full_time_grid<double>(7, 2.0);
  for (const Solver solver : kMultistep) {
    const Tensor<double> x(Shape{3}, {0.1, 0.9, -2.0});  // (3)
    std::vector<Tensor<double>> states;
    std::vector<double> values;
    const Tensor<double> watched =
        sample(NormalData<>{}, x, grid, solver, [&](const BasicStepInfo<double>& info) {
          states.push_back(info.x);
          values.push_back(info.x[2]);
          for (index_t i = 0; i < 3; ++i)
            EXPECT_NEAR(info.denoised()[i], info.start.x[i] - info.start.t * info.start.velocity[i],
                        1e-15);
          return true;
        });
    for (std::size_t i = 0; i < states.size(); ++i) EXPECT_EQ(states[i][2], values[i]);
    const Tensor<double> alone = sample(NormalData<>{}, x, grid, solver);
    for (index_t i = 0; i < 3; ++i) EXPECT_EQ(watched[i], alone[i]) << name_of(solver);
  }
}

TEST(MultistepTest, RefusesGridsThatItCannotFollow) {
  const auto refuse = [](const std::vector<double>& grid, Solver solver, const auto& path) {
    return message_of<ArgumentError>([&] {
      (void)sample([](const Tensor<double>& x, double) { return x; }, Tensor<double>(Shape{1}, 1.0),
                   grid, solver, {}, {}, path);
    });
  };
  for (const Solver solver : kMultistep)
    EXPECT_NE(refuse({0.0, 0.5, 1.0}, solver, LinearPath{}).find("descends"), std::string::npos);
  EXPECT_NE(refuse({1.0, 0.5, 0.0}, Solver::unipc, VpPath{}).find("t = 1"), std::string::npos);
}

}  // namespace
}  // namespace rae::test
