#include "generate/flow_sampling.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "rae/diffusion/time_grid.hpp"
#include "support/golden_model.hpp"

namespace rae {
namespace {

using detail::FlowSampling;
using detail::Network;
using detail::sample_flow;
using test::expect_close;
using test::Golden;

/// The results of the official sampler with a tiny DiT^DH, whose time shift is sqrt(48).
class SampleOde : public testing::Test {
 protected:
  SampleOde()
      : model_(test::dit_dh_config(test::golden_config("sample_ode").at("model"))),
        golden_("sample_ode/io.safetensors") {
    test::load(model_, Golden("sample_ode/weights.safetensors"));
    pack_parameters(model_);
    const Tensor<std::int64_t> y = golden_.get<std::int64_t>("y");  // (B)
    labels_.assign(y.span().begin(), y.span().end());
  }

  Tensor<float> run(index_t points, Solver solver, Cfg guidance = {}) const {
    const ConfigNode config = test::golden_config("sample_ode");
    const Network network = [this](const Tensor<float>& x, float t,
                                   std::span<const std::int64_t> y) {
      return model_(
          x, model_.conditioning(Tensor<float>(Shape{static_cast<index_t>(y.size())}, t), y));
    };
    const FlowSampling how{official_time_grid(points, config.get<double>("time_dist_shift")),
                           solver, Prediction::velocity, guidance,
                           config.get<std::int64_t>("null_label")};
    return sample_flow(network, how, golden_("z"), labels_, {});
  }

  DitDh<Tensor<float>> model_;
  Golden golden_;
  std::vector<std::int64_t> labels_;
};

TEST_F(SampleOde, AgreesWithEverySolver) {
  expect_close(run(50, Solver::euler), golden_("final.euler_50"), 2e-5);
  expect_close(run(8, Solver::euler), golden_("final.euler_8"), 2e-5);
  expect_close(run(8, Solver::midpoint), golden_("final.midpoint_8"), 2e-5);
  expect_close(run(8, Solver::heun), golden_("final.heun2_8"), 2e-5);
  expect_close(run(8, Solver::heun3), golden_("final.heun3_8"), 2e-5);
  expect_close(run(8, Solver::rk4), golden_("final.rk4_8"), 2e-5);
}

/// The golden tensor is a trajectory (steps + 1, B, C, h, w) that begins with the noise.
TEST_F(SampleOde, AgreesAfterEveryStep) {
  const auto follow = [&](Solver solver, const std::string& name) {
    const auto velocity = [&](const Tensor<float>& x, float t) {
      return model_(x, Tensor<float>(Shape{x.extent(0)}, t), labels_);
    };
    index_t seen = 0;
    (void)sample(velocity, golden_("z"), official_time_grid(8, std::sqrt(48.0)), solver,
                 [&](const StepInfo& info) {
                   expect_close(info.x, golden_.part("traj." + name, info.step), 2e-5, name);
                   ++seen;
                   return true;
                 });
    EXPECT_EQ(seen, 7);
  };
  follow(Solver::euler, "euler_8");
  follow(Solver::heun, "heun2_8");
}

TEST_F(SampleOde, AgreesWithoutTimeShift) {
  const auto velocity = [&](const Tensor<float>& x, float t) {
    return model_(x, Tensor<float>(Shape{x.extent(0)}, t), labels_);
  };
  expect_close(sample(velocity, golden_("z"), official_time_grid(8, 1.0)),
               golden_("final.euler_8_noshift"), 2e-5);
}

TEST_F(SampleOde, AgreesWithAutoGuidance) {
  DitDh<Tensor<float>> weaker(
      test::dit_dh_config(test::golden_config("sample_ode").at("guide_model")));
  test::load(weaker, Golden("sample_ode/guide_weights.safetensors"));
  const auto of = [&](const DitDh<Tensor<float>>& model) {
    return [&](const Tensor<float>& x, float t) {
      return model(x, Tensor<float>(Shape{x.extent(0)}, t), labels_);
    };
  };
  const auto run_guided = [&](AutoGuidance guidance) {
    return sample(guided(of(model_), of(weaker), guidance), golden_("z"),
                  official_time_grid(8, std::sqrt(48.0)));
  };
  expect_close(run_guided({.scale = 1.42f}), golden_("final.ag1.42_full"), 2e-5);
  expect_close(run_guided({.scale = 1.42f, .t_min = 0.1f, .t_max = 0.9f}),
               golden_("final.ag1.42_int"), 2e-5);
}

TEST_F(SampleOde, AgreesWithGuidanceEverywhereAndInsideAnInterval) {
  expect_close(run(8, Solver::euler, {.scale = 2.0f}), golden_("final.cfg2_full"), 2e-5);
  // The seven steps begin at t = 1, 0.977, ..., 0.54: the interval leaves out those above 0.9.
  expect_close(run(8, Solver::euler, {.scale = 2.0f, .t_min = 0.1f, .t_max = 0.9f}),
               golden_("final.cfg2_int"), 2e-5);
}

/// Counts its evaluations of one image, with and without a label; its velocity is the label.
struct CountingNetwork {
  index_t calls = 0;
  std::vector<float> with_label, without;  // times of the evaluations
  Tensor<float> operator()(const Tensor<float>& x, float t, std::span<const std::int64_t> y) {
    ++calls;
    Tensor<float> out(x.shape().with(0, static_cast<index_t>(y.size())));  // (B, C, h, w)
    for (std::size_t i = 0; i < y.size(); ++i) {
      (y[i] == 9 ? without : with_label).push_back(t);
      out[static_cast<index_t>(i)] = static_cast<float>(y[i]);
    }
    return out;
  }
};

TEST(FlowSamplingTest, EvaluatesTheNullClassOnlyInsideTheInterval) {
  CountingNetwork network;
  const FlowSampling how{{1.0f, 0.75f, 0.5f, 0.25f, 0.0f},
                         Solver::euler,
                         Prediction::velocity,
                         {.scale = 3.0f, .t_min = 0.4f, .t_max = 0.75f},
                         9};
  const std::vector<std::int64_t> labels{1};
  // (B, C, h, w)
  const Tensor<float> x =
      sample_flow(std::ref(network), how, Tensor<float>(Shape{1, 1, 1, 1}, 0.0f), labels, {});
  EXPECT_EQ(network.with_label, (std::vector<float>{1.0f, 0.75f, 0.5f, 0.25f}));
  EXPECT_EQ(network.without, (std::vector<float>{0.75f, 0.5f}));
  EXPECT_EQ(network.calls, 4);  // with and without label in one call
  // Unguided the velocity is 1, guided it is 9 + 3 (1 - 9) = -15.
  EXPECT_FLOAT_EQ(x[0], -0.25f * (1 - 15 - 15 + 1));
}

TEST(FlowSamplingTest, EvaluatesOnceWithoutGuidance) {
  CountingNetwork network;
  const std::vector<std::int64_t> labels{1};
  const FlowSampling how{{1.0f, 0.5f, 0.0f}, Solver::heun, Prediction::velocity, {}, 9};
  (void)sample_flow(std::ref(network), how, Tensor<float>(Shape{1, 1, 1, 1}, 0.0f), labels, {});
  EXPECT_EQ(network.with_label.size(), 4u);
  EXPECT_TRUE(network.without.empty());
}

TEST(FlowSamplingTest, FollowsADataPrediction) {
  const Network network = [](const Tensor<float>& x, float, std::span<const std::int64_t>) {
    return Tensor<float>(x.shape(), 0.5f);
  };
  const std::vector<std::int64_t> labels{0};
  // x moves on a straight line to the data, until the floor of the divisor shortens the last step
  // to 0.04 / 0.05 of its length.
  const FlowSampling how{{1.0f, 0.5f, 0.04f, 0.0f}, Solver::euler, Prediction::data, {}, 9};
  // (B, C, h, w)
  const Tensor<float> x =
      sample_flow(network, how, Tensor<float>(Shape{1, 1, 1, 1}, 2.0f), labels, {});
  EXPECT_NEAR(x[0], 0.5 + 1.5 * 0.04 * 0.2, 1e-6);
}

TEST_F(SampleOde, AgreesWithTheOfficialStochasticSampler) {
  const Golden golden("sample_sde/io.safetensors");
  const Network network = [this](const Tensor<float>& x, float t, std::span<const std::int64_t> y) {
    return model_(x, Tensor<float>(Shape{x.extent(0)}, t), y);
  };
  const ConfigNode runs = test::golden_config("sample_sde").at("runs");
  for (const std::string name : {"euler.sigma.Mean.n8.noshift", "euler.linear.Tweedie.n8.noshift",
                                 "euler.decreasing.Mean.n8.shift", "heun.sigma.Mean.n8.noshift",
                                 "euler.sigma.None.n6.noshift"}) {
    const ConfigNode& run = runs.at(name);
    const bool none = run.at("last_step").is_null();
    SamplingDefaults sampling{.steps = run.get<index_t>("num_steps"),
                              .kind = SamplerKind::sde,
                              .grid = TimeGridKind::official};
    sampling.sde = {.solver = parse_sde_solver(run.get<std::string>("method")),
                    .form = parse_diffusion_form(run.get<std::string>("form")),
                    .norm = run.get<double>("norm"),
                    .last_step = none ? SdeLastStep::none
                                      : parse_sde_last_step(run.get<std::string>("last_step")),
                    .last_step_size = run.get<double>("last_step_size")};
    FlowSampling how;
    how.grid = sampling_time_grid(sampling, PathKind::linear, Prediction::velocity,
                                  run.get<double>("shift"));
    how.kind = sampling.kind;
    how.sde = sampling.sde;
    index_t seen = 0;
    const Tensor<float> x = sample_flow(
        network, how, golden("z"), labels_,
        [&](const StepInfo& info) { return info.steps == how.steps() && ++seen > 0; }, {},
        GivenNoise<float>{golden(name + ".noise")});
    const Tensor<float> states = golden(name + ".traj");  // (points, B, C, h, w)
    const std::span<const float> last = states.span().last(static_cast<std::size_t>(x.numel()));
    expect_close(x, Tensor<float>(x.shape(), last), 2e-5, name);
    EXPECT_EQ(seen, how.steps());
  }
}

/// The output of an exact network for data that are a single point.
Tensor<float> exact(PathKind kind, Prediction prediction, const Tensor<float>& x, double t,
                    double data) {
  return with_path(kind, PathFormulas::exact, [&](const auto& path) {
    Tensor<float> out(x.shape());  // (B, C, h, w)
    float* target = out.data();
    for (index_t i = 0; i < x.numel(); ++i) {
      const double noise = (static_cast<double>(x[i]) - path.alpha(t) * data) / path.sigma(t);
      const double velocity = path.d_alpha(t) * data + path.d_sigma(t) * noise;
      target[i] = static_cast<float>(prediction == Prediction::noise   ? noise
                                     : prediction == Prediction::score ? -noise / path.sigma(t)
                                     : prediction == Prediction::data  ? data
                                                                       : velocity);
    }
    return out;
  });
}

TEST(FlowSamplingTest, EveryPathAndPredictionReachesTheData) {
  const std::vector<std::int64_t> labels{0};
  const Tensor<float> noise(Shape{1, 1, 1, 3}, {-1.5f, 0.3f, 2.0f});  // (1, 1, 1, 3)
  for (const PathKind path : {PathKind::linear, PathKind::gvp, PathKind::vp})
    for (const Prediction prediction : {Prediction::velocity, Prediction::noise, Prediction::score})
      for (const bool stochastic : {false, true}) {
        // The velocity of the VP path is infinite at its beginning.
        if (path == PathKind::vp && prediction == Prediction::velocity) continue;
        SamplingDefaults sampling{.steps = 400, .grid = TimeGridKind::official};
        if (stochastic) {
          sampling.kind = SamplerKind::sde;
          sampling.sde = {.norm = 0.3, .last_step = SdeLastStep::tweedie, .last_step_size = 0.02};
        }
        const Network network = [&](const Tensor<float>& x, float t,
                                    std::span<const std::int64_t>) {
          return exact(path, prediction, x, static_cast<double>(t), 0.75);
        };
        FlowSampling how;
        how.grid = sampling_time_grid(sampling, path, prediction, 1.0);
        how.kind = sampling.kind;
        how.sde = sampling.sde;
        how.solver = Solver::midpoint;
        how.path = path;
        how.prediction = prediction;
        require_flow_sampling(how);
        // (B, C, h, w)
        const Tensor<float> x = sample_flow(network, how, noise, labels, {}, {}, PhiloxNoise{3});
        expect_close(x, Tensor<float>(noise.shape(), 0.75f), path == PathKind::vp ? 0.05 : 0.01,
                     concat(name_of(path), " ", name_of(prediction), stochastic ? " sde" : " ode"));
      }
}

TEST(FlowSamplingTest, TheDenoisedEstimateOfAnExactNetworkIsTheData) {
  const std::vector<std::int64_t> labels{0};
  const Tensor<float> noise(Shape{1, 1, 1, 3}, {-1.5f, 0.3f, 2.0f});  // (1, 1, 1, 3)
  const OdeSolver solvers[] = {Solver::euler, Solver::rk4, Solver::implicit_adams,
                               AdaptiveSolver::dopri5};
  for (const PathKind path : {PathKind::linear, PathKind::gvp, PathKind::vp})
    for (const Prediction prediction :
         {Prediction::velocity, Prediction::data, Prediction::noise, Prediction::score})
      for (int run = 0; run < 6; ++run) {
        // The velocity of the VP path is infinite at its beginning.
        if (path == PathKind::vp &&
            (prediction == Prediction::velocity || prediction == Prediction::data))
          continue;
        SamplingDefaults sampling{.steps = 25, .grid = TimeGridKind::official};
        if (run >= 4) {
          sampling.kind = SamplerKind::sde;
          sampling.sde = {.solver = run == 4 ? SdeSolver::euler : SdeSolver::heun,
                          .norm = 0.3,
                          .last_step_size = 0.04};
        }
        const Network network = [&](const Tensor<float>& x, float t,
                                    std::span<const std::int64_t>) {
          return exact(path, prediction, x, static_cast<double>(t), 0.75);
        };
        FlowSampling how;
        how.grid = sampling_time_grid(sampling, path, prediction, 1.0);
        how.kind = sampling.kind;
        how.sde = sampling.sde;
        if (run < 4) how.solver = solvers[run];
        how.control.stop_at_end = true;
        how.path = path;
        how.prediction = prediction;
        index_t seen = 0;
        const auto on_step = [&](const StepInfo& info) {
          EXPECT_TRUE(info.determines_data());
          // The estimate divides by alpha(t), which is small at the noisy end.
          const double alpha = with_path(path, PathFormulas::exact, [&](const auto& p) {
            return p.alpha(static_cast<double>(info.start.t));
          });
          const double bound = prediction == Prediction::data ? 1e-6 : 1e-6 + 2e-6 / alpha;
          expect_close(
              info.denoised(), Tensor<float>(noise.shape(), 0.75f), bound,
              concat(name_of(path), " ", name_of(prediction), " run ", run, " t ", info.start.t));
          return ++seen > 0;
        };
        (void)sample_flow(network, how, noise, labels, on_step, {}, PhiloxNoise{3});
        EXPECT_EQ(seen, how.steps());
      }
}

/// The official stochastic sampler (transport.py, integrators.py) for one number on the VP path,
/// with the official formulas.
double official_vp_sde(Prediction prediction, DiffusionForm form, SdeLastStep last_step,
                       const std::vector<float>& grid, double last, double x,
                       std::span<const double> draws) {
  const VpPath path;
  const auto velocity_and_score = [&](double t) {
    const double output = 0.4 * x - 0.3 * t, sigma = path.sigma(t), half_beta = 0.5 * path.beta(t);
    const double r = path.alpha(t) / path.d_alpha(t);
    const double score = prediction == Prediction::noise ? output / -sigma
                         : prediction == Prediction::score
                             ? output
                             : (r * output - x) / (sigma * sigma - r * path.d_sigma(t) * sigma);
    const double velocity =
        prediction == Prediction::velocity ? output : half_beta * x + half_beta * score;
    return std::pair(velocity, score);
  };
  const auto diffusion = [&](double t) {
    return 0.5 * (form == DiffusionForm::sbdm ? 0.5 * path.beta(t) : path.sigma(t));
  };
  for (std::size_t i = 0; i + 1 < grid.size(); ++i) {
    const double t = static_cast<double>(grid[i]), dt = t - static_cast<double>(grid[i + 1]);
    const auto [velocity, score] = velocity_and_score(t);
    x += -(velocity - diffusion(t) * score) * dt +
         std::sqrt(2 * diffusion(t)) * std::sqrt(dt) * draws[i];
  }
  const auto [velocity, score] = velocity_and_score(last);
  if (last_step == SdeLastStep::mean) return x - (velocity - diffusion(last) * score) * last;
  return x / path.alpha(last) + path.sigma(last) * path.sigma(last) / path.alpha(last) * score;
}

TEST(FlowSamplingTest, OfficialFormulasGiveTheOfficialSamplesOfTheVpPath) {
  const std::vector<std::int64_t> labels{0};
  const Network network = [](const Tensor<float>& x, float t, std::span<const std::int64_t>) {
    return Tensor<float>(x.shape(), 0.4f * x[0] - 0.3f * t);
  };
  const std::vector<double> draws{0.3, -1.2, 0.7, 0.1};
  Tensor<float> noise(Shape{4, 1, 1, 1, 1});  // (4, 1, 1, 1, 1)
  std::copy(draws.begin(), draws.end(), noise.data());
  for (const Prediction prediction : {Prediction::velocity, Prediction::noise, Prediction::score})
    for (const DiffusionForm form : {DiffusionForm::sbdm, DiffusionForm::sigma})
      for (const SdeLastStep last_step : {SdeLastStep::mean, SdeLastStep::tweedie}) {
        SamplingDefaults sampling{
            .steps = 5, .kind = SamplerKind::sde, .grid = TimeGridKind::official};
        sampling.sde = {.form = form, .norm = 0.5, .last_step = last_step};
        FlowSampling how;
        how.grid =
            sampling_time_grid(sampling, PathKind::vp, prediction, 2.0, PathFormulas::official);
        EXPECT_EQ(how.grid.front(), 1.0f);
        how.kind = sampling.kind;
        how.sde = sampling.sde;
        how.path = PathKind::vp;
        how.formulas = PathFormulas::official;
        how.prediction = prediction;
        require_flow_sampling(how);
        // (B, C, h, w)
        const Tensor<float> x = sample_flow(network, how, Tensor<float>(Shape{1, 1, 1, 1}, 0.8f),
                                            labels, {}, {}, GivenNoise<float>{noise});
        const double expected = official_vp_sde(prediction, form, last_step, how.grid, 0.04,
                                                static_cast<double>(0.8f), draws);
        EXPECT_NEAR(static_cast<double>(x[0]), expected, 2e-5 * std::max(1.0, std::abs(expected)))
            << name_of(prediction) << " " << name_of(form) << " " << name_of(last_step);
      }
  FlowSampling negative;
  negative.grid = {0.9f, 0.5f, 0.1f};
  negative.kind = SamplerKind::sde;
  negative.sde.form = DiffusionForm::sbdm;
  EXPECT_NO_THROW(require_flow_sampling(negative));
  negative.formulas = PathFormulas::official;
  EXPECT_THROW(require_flow_sampling(negative), ArgumentError);
}

TEST(FlowSamplingTest, TheOfficialAdaptiveSamplerStepsPastTheLastPointOfANoisePrediction) {
  float earliest = 1.0f;
  const Network network = [&](const Tensor<float>& x, float t, std::span<const std::int64_t>) {
    earliest = std::min(earliest, t);
    return x;
  };
  const std::vector<std::int64_t> labels{0};
  FlowSampling how;
  how.grid = {0.9f, 0.001f};
  how.solver = AdaptiveSolver::bosh3;
  how.prediction = Prediction::noise;
  how.formulas = PathFormulas::official;
  // The predicted noise is x, so dx/dt = x ((1 - t) - 1) / (1 - t) + x = 0.
  EXPECT_NEAR(sample_flow(network, how, Tensor<float>(Shape{1, 1, 1, 1}, 0.8f), labels, {})[0],
              0.8f, 1e-6);
  EXPECT_LT(earliest, 0.0f);
  how.formulas = PathFormulas::exact;
  EXPECT_THROW((void)sample_flow(network, how, Tensor<float>(Shape{1, 1, 1, 1}, 0.8f), labels, {}),
               ArgumentError);
}

TEST(FlowSamplingTest, EvaluatesTheGuideOnlyInsideTheInterval) {
  CountingNetwork main, weaker;
  FlowSampling how;
  how.grid = {1.0f, 0.75f, 0.5f, 0.25f, 0.0f};
  how.autoguidance = AutoGuidance{.scale = 3.0f, .t_min = 0.4f, .t_max = 0.75f};
  const std::vector<std::int64_t> labels{1};
  const Network half = [&](const Tensor<float>& x, float t, std::span<const std::int64_t> y) {
    (void)weaker(x, t, y);
    return Tensor<float>(x.shape(), 0.5f);
  };
  // (B, C, h, w)
  const Tensor<float> x =
      sample_flow(std::ref(main), how, Tensor<float>(Shape{1, 1, 1, 1}, 0.0f), labels, {}, half);
  EXPECT_EQ(main.with_label, (std::vector<float>{1.0f, 0.75f, 0.5f, 0.25f}));
  EXPECT_EQ(weaker.with_label, (std::vector<float>{0.75f, 0.5f}));
  EXPECT_TRUE(main.without.empty());
  // Unguided the velocity is 1, guided it is 0.5 + 3 (1 - 0.5) = 2.
  EXPECT_FLOAT_EQ(x[0], -0.25f * (1 + 2 + 2 + 1));
}

}  // namespace
}  // namespace rae
