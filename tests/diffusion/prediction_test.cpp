#include "rae/diffusion/prediction.hpp"

#include <algorithm>
#include <cmath>

#include "rae/core/random.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae {
namespace {

using test::close;
using test::expect_close;
using test::Golden;

constexpr Prediction kAllPredictions[] = {Prediction::velocity, Prediction::data, Prediction::noise,
                                          Prediction::score};

/// Compares each sample relative to its largest value, since 1 / alpha reaches 50 in these cases.
void expect_relative(const Tensor<float>& actual, const Tensor<float>& expected, double tolerance,
                     const std::string& label) {
  ASSERT_EQ(actual.shape(), expected.shape());
  const index_t inner = actual.numel() / actual.extent(0);
  std::vector<double> scales(static_cast<std::size_t>(actual.extent(0)), 1.0);
  const auto scale = [&](index_t i) -> double& {
    return scales[static_cast<std::size_t>(i / inner)];
  };
  for (index_t i = 0; i < expected.numel(); ++i)
    scale(i) = std::max(scale(i), std::abs(static_cast<double>(expected[i])));
  EXPECT_TRUE(test::close_each(actual, expected, [&](index_t i) { return tolerance * scale(i); }))
      << label;
}

template <Path P>
void expect_golden_drifts(const P& path, const std::string& name) {
  const Golden golden("transport_paths/io.safetensors");
  const Tensor<float> x = golden(name + ".xt"), t = golden("t"),
                      output = golden("model_output");  // (5, 3, 2, 2), (5), (5, 3, 2, 2)
  for (const Prediction p : {Prediction::velocity, Prediction::noise, Prediction::score})
    expect_relative(to_velocity(path, p, output, x, t),
                    golden(name + "." + std::string(name_of(p)) + ".ode_drift"), 2e-6,
                    name + " " + std::string(name_of(p)));
}

TEST(PredictionTest, DriftsAgreeWithTheOfficialTransport) {
  expect_golden_drifts(LinearPath{}, "Linear");
  expect_golden_drifts(GvpPath{}, "GVP");
  expect_golden_drifts(OfficialPath<LinearPath>{}, "Linear");
  expect_golden_drifts(OfficialPath<GvpPath>{}, "GVP");
  expect_golden_drifts(OfficialPath<VpPath>{}, "VP");
}

template <Path P>
void expect_golden_conversions(const P& path, const std::string& name) {
  const Golden golden("transport_paths/io.safetensors");
  const Tensor<float> x = golden(name + ".xt"), t = golden("t"),
                      output = golden("model_output");  // (5, 3, 2, 2), (5), (5, 3, 2, 2)
  // Dividing by sigma = 0.007 .. 0.01 in float, as the reference does, costs digits.
  expect_relative(from_velocity(path, Prediction::score, output, x, t),
                  golden(name + ".score_from_velocity"), 2e-5, name + " score");
  expect_relative(from_velocity(path, Prediction::noise, output, x, t),
                  golden(name + ".noise_from_velocity"), 2e-5, name + " noise");
}

TEST(PredictionTest, ConversionsAgreeWithTheOfficialTransport) {
  expect_golden_conversions(LinearPath{}, "Linear");
  expect_golden_conversions(GvpPath{}, "GVP");
  expect_golden_conversions(VpPath{}, "VP");
}

template <Path P>
void expect_golden_scores(const P& path, const std::string& name) {
  const Golden golden("transport_paths/io.safetensors");
  const Tensor<float> x = golden(name + ".xt"), t = golden("t"),
                      output = golden("model_output");  // (5, 3, 2, 2), (5), (5, 3, 2, 2)
  for (const Prediction p : {Prediction::velocity, Prediction::noise, Prediction::score}) {
    const Tensor<float> velocity = to_velocity(path, p, output, x, t);  // (5, 3, 2, 2)
    expect_relative(from_velocity(path, Prediction::score, velocity, x, t),
                    golden(concat(name, ".", name_of(p), ".score")), 2e-5, name);
  }
}

// Computed through the velocity, whose rounding error is multiplied by alpha / sigma.
TEST(PredictionTest, ScoresAgreeWithTheOfficialTransport) {
  expect_golden_scores(LinearPath{}, "Linear");
  expect_golden_scores(GvpPath{}, "GVP");
  expect_golden_scores(VpPath{}, "VP");
}

// The score that the stochastic sampler computes from the official velocity of a network that
// predicts noise or score.
TEST(PredictionTest, ScoresFromOfficialVelocitiesAreThoseOfTheNetwork) {
  const OfficialPath<VpPath> path;
  for (const double t : {0.01, 0.5, 0.98})
    for (const Prediction p : {Prediction::noise, Prediction::score}) {
      const detail::Factors velocity = detail::velocity_factors(path, p, t, 0.0),
                            score = detail::score_factors(path, p, t);
      EXPECT_NEAR(score.first + score.second * velocity.first, 0.0, 1e-12);
      EXPECT_NEAR(score.second * velocity.second,
                  p == Prediction::score ? 1.0 : -1.0 / path.sigma(t), 1e-9);
    }
  const detail::Factors exact = detail::prediction_factors(VpPath{}, Prediction::score, 0.5);
  EXPECT_EQ(detail::score_factors(path, Prediction::velocity, 0.5).second, exact.second);
  EXPECT_EQ(detail::score_factors(VpPath{}, Prediction::noise, 0.5).second, exact.second);
}

TEST(PredictionTest, VelocityOfAScoreAgreesWithTheOfficialTransport) {
  const Golden golden("transport_paths/io.safetensors");
  const Tensor<float> t = golden("t"), output = golden("model_output");  // (5), (5, 3, 2, 2)
  const auto expect = [&](const auto& path, const std::string& name) {
    expect_relative(to_velocity(path, Prediction::score, output, golden(name + ".xt"), t),
                    golden(name + ".velocity_from_score"), 2e-6, name);
  };
  expect(LinearPath{}, "Linear");
  expect(GvpPath{}, "GVP");
  expect(OfficialPath<VpPath>{}, "VP");
}

template <Path P>
void expect_golden_losses(const P& path, const std::string& name, double tolerance) {
  constexpr const char* kWeightings[] = {".none", ".velocity", ".likelihood"};
  const Golden golden("transport_paths/io.safetensors");
  const Tensor<float> t = golden("t"), output = golden("model_output");  // (5), (5, 3, 2, 2)
  for (const Prediction p : {Prediction::velocity, Prediction::noise, Prediction::score}) {
    const Tensor<float> target =
        training_target(path, p, golden("x1"), golden("x0"), t);  // (5, 3, 2, 2)
    for (const LossWeighting weighting :
         {LossWeighting::none, LossWeighting::velocity, LossWeighting::likelihood}) {
      if (p == Prediction::velocity && weighting != LossWeighting::none)
        continue;  // not in the reference
      const std::string loss_name =
          concat(name, ".", name_of(p), kWeightings[static_cast<int>(weighting)], ".loss");
      const index_t inner = target.numel() / t.numel();
      for (index_t b = 0; b < t.numel(); ++b) {
        double sum = 0.0;
        for (index_t i = b * inner; i < (b + 1) * inner; ++i) {
          const double d = static_cast<double>(output[i]) - static_cast<double>(target[i]);
          sum += d * d;
        }
        const double loss = loss_weight(path, p, weighting, static_cast<double>(t[b])) * sum /
                            static_cast<double>(inner);
        EXPECT_TRUE(
            test::near(loss, golden.part(loss_name, b), tolerance * std::max(1.0, std::abs(loss))))
            << name << " " << name_of(p) << " sample " << b;
      }
    }
  }
}

TEST(PredictionTest, LossesAgreeWithTheOfficialTransport) {
  expect_golden_losses(OfficialPath<LinearPath>{}, "Linear", 2e-6);
  expect_golden_losses(OfficialPath<GvpPath>{}, "GVP", 2e-6);
  // The tolerance allows for cancellation in the reference's alpha and its derivative, see
  // path_test.cpp.
  expect_golden_losses(OfficialPath<VpPath>{}, "VP", 5e-6);
}

TEST(PredictionTest, OnlyTheSignOfLikelihoodDependsOnTheFormulas) {
  const auto expect = [](const auto& path, const auto& official) {
    for (const LossWeighting weighting :
         {LossWeighting::none, LossWeighting::velocity, LossWeighting::likelihood})
      for (const Prediction p : {Prediction::noise, Prediction::score})
        EXPECT_EQ(loss_weight(path, p, weighting, 0.3),
                  (weighting == LossWeighting::likelihood ? -1.0 : 1.0) *
                      loss_weight(official, p, weighting, 0.3));
  };
  expect(LinearPath{}, OfficialPath<LinearPath>{});
  expect(GvpPath{}, OfficialPath<GvpPath>{});
}

template <Path P>
void expect_consistency(const P& path) {
  Tensor<double> data(Shape{4, 6}), noise(Shape{4, 6});  // (4, 6) each
  for (index_t i = 0; i < data.numel(); ++i) {
    data.data()[i] = static_cast<double>(Philox(5).normal(static_cast<std::uint64_t>(i)));
    noise.data()[i] = static_cast<double>(Philox(6).normal(static_cast<std::uint64_t>(i)));
  }
  const Tensor<double> t(Shape{4}, {0.1, 0.4, 0.7, 0.9});  // (4)
  const Tensor<double> x = interpolate(path, data, noise, t),
                       v = path_velocity(path, data, noise, t);  // data's shape
  for (const Prediction p : kAllPredictions) {
    const Tensor<double> target = training_target(path, p, data, noise, t);  // data's shape
    expect_close(to_velocity(path, p, target, x, t, 0.0), v, 1e-11, name_of(p));
    expect_close(from_velocity(path, p, v, x, t), target, 1e-11, name_of(p));
  }
}

TEST(PredictionTest, AnExactNetworkGivesThePathVelocityForEveryPrediction) {
  expect_consistency(LinearPath{});
  expect_consistency(GvpPath{});
  expect_consistency(VpPath{});
}

TEST(PredictionTest, DataPredictionDividesByAtLeastTheFloor) {
  const Tensor<float> x(Shape{3, 1}, {1.0f, 1.0f, 1.0f}), output(Shape{3, 1}, 0.5f);  // (3, 1)
  const Tensor<float> t(Shape{3}, {0.0f, 0.01f, 0.5f});                               // (3)
  expect_close(to_velocity(LinearPath{}, Prediction::data, output, x, t),
               Tensor<float>(Shape{3, 1}, {10.0f, 10.0f, 1.0f}), 1e-5);
  expect_close(to_velocity(LinearPath{}, Prediction::data, output, x, t.reshaped({3}), 0.005),
               Tensor<float>(Shape{3, 1}, {100.0f, 50.0f, 1.0f}), 1e-4);
  EXPECT_NEAR(loss_weight(LinearPath{}, Prediction::data, LossWeighting::velocity, 0.5), 4.0,
              1e-12);
  EXPECT_NEAR(loss_weight(LinearPath{}, Prediction::data, LossWeighting::velocity, 0.0), 400.0,
              1e-9);
  EXPECT_EQ(loss_weight(LinearPath{}, Prediction::data, LossWeighting::none, 0.0), 1.0);
}

TEST(PredictionTest, OneTimeForAllSamplesGivesTheSameResult) {
  Tensor<float> x(Shape{2, 5}), output(Shape{2, 5});  // (2, 5) each
  Philox(1).fill_normal(x.span());
  Philox(2).fill_normal(output.span());
  const Tensor<float> t(Shape{2}, 0.25f);  // (2)
  for (const Prediction p : kAllPredictions) {
    expect_close(to_velocity(GvpPath{}, p, output, x, 0.25f),
                 to_velocity(GvpPath{}, p, output, x, t), 0.0);
    expect_close(from_velocity(GvpPath{}, p, output, x, 0.25f),
                 from_velocity(GvpPath{}, p, output, x, t), 0.0);
  }
  auto velocity = velocity_of(LinearPath{}, Prediction::data,
                              [&](const Tensor<float>&, float) { return output; });
  expect_close(velocity(x, 0.5f), to_velocity(LinearPath{}, Prediction::data, output, x, 0.5f),
               0.0);
}

TEST(PredictionTest, ReusesTheMemoryOfTheOutputButNotSharedMemory) {
  const Tensor<float> x(Shape{4}, 1.0f);  // (4)
  Tensor<float> output(Shape{4}, 2.0f);   // (4)
  const Tensor<float> kept = output;      // output's shape
  const Tensor<float> v =
      to_velocity(LinearPath{}, Prediction::noise, output, x, 0.5f);  // x's shape
  expect_close(kept, Tensor<float>(Shape{4}, 2.0f), 0.0);
  Tensor<float> own(Shape{4}, 2.0f);  // (4)
  const float* memory = std::as_const(own).data();
  const Tensor<float> w =
      to_velocity(LinearPath{}, Prediction::noise, std::move(own), x, 0.5f);  // x's shape
  EXPECT_EQ(w.data(), memory);
  expect_close(w, v, 0.0);
}

/// For an output of a network at x, the data that its velocity means on a path.
template <Path P>
double data_of(const P& path, Prediction network, double x, double output, double t) {
  const detail::Factors v = detail::velocity_factors(path, network, t, kDataPredictionFloor);
  const detail::Factors data = detail::data_factors(path, network, t);
  return data.first * x + data.second * (v.first * x + v.second * output);
}

TEST(PredictionTest, DataFollowFromTheVelocityOfEveryPrediction) {
  const auto check = [](const auto& path) {
    for (const double t : {0.01, 0.3, 0.9}) {
      const double data = 0.7, noise = -1.3, alpha = path.alpha(t), sigma = path.sigma(t),
                   x = alpha * data + sigma * noise,
                   v = path.d_alpha(t) * data + path.d_sigma(t) * noise;
      EXPECT_NEAR(data_of(path, Prediction::velocity, x, v, t), data, 1e-9) << t;
      EXPECT_NEAR(data_of(path, Prediction::noise, x, noise, t), data, 1e-9) << t;
      EXPECT_NEAR(data_of(path, Prediction::score, x, -noise / sigma, t), data, 1e-9) << t;
      // The output itself, also below the floor and if it does not fit x.
      EXPECT_NEAR(data_of(path, Prediction::data, x, 0.4, t), 0.4, 1e-9) << t;
    }
  };
  check(LinearPath{});
  check(GvpPath{});
  check(VpPath{});
  // The velocity that the official formulas compute from noise or score is another one, but the
  // same data follow from it.
  check(OfficialPath<LinearPath>{});
  check(OfficialPath<GvpPath>{});
  check(OfficialPath<VpPath>{});
  EXPECT_EQ(detail::data_factors(LinearPath{}, Prediction::velocity, 1.0).second, -1.0);
  EXPECT_FALSE(std::isfinite(detail::data_factors(VpPath{}, Prediction::velocity, 1.0).second));
}

TEST(PredictionTest, RejectsSingularTimesAndWrongShapes) {
  const Tensor<float> x(Shape{2, 2}, 1.0f), wrong(Shape{2, 3}, 1.0f);  // (2, 2), (2, 3)
  const Tensor<float> zero(Shape{1}, 0.0f), one(Shape{1}, 1.0f);       // (1)
  EXPECT_THROW((void)to_velocity(LinearPath{}, Prediction::noise, x, x, 1.0f), ArgumentError);
  EXPECT_THROW((void)to_velocity(GvpPath{}, Prediction::score, x, x, one), ArgumentError);
  EXPECT_THROW((void)to_velocity(LinearPath{}, Prediction::data, x, x, 0.0f, 0.0), ArgumentError);
  EXPECT_THROW((void)from_velocity(LinearPath{}, Prediction::score, x, x, zero), ArgumentError);
  EXPECT_THROW((void)training_target(LinearPath{}, Prediction::score, x, x, zero), ArgumentError);
  EXPECT_THROW((void)loss_weight(LinearPath{}, Prediction::noise, LossWeighting::velocity, 1.0),
               ArgumentError);
  for (const Prediction p : kAllPredictions) {
    EXPECT_THROW((void)to_velocity(LinearPath{}, p, wrong, x, 0.5f), ShapeError);
    EXPECT_THROW((void)from_velocity(LinearPath{}, p, wrong, x, 0.5f), ShapeError);
    EXPECT_THROW((void)training_target(LinearPath{}, p, wrong, x, Tensor<float>(Shape{1}, 0.5f)),
                 ShapeError);
  }
}

TEST(PredictionTest, NamesAreParsed) {
  for (const Prediction p : kAllPredictions) EXPECT_EQ(parse_prediction(name_of(p)), p);
  EXPECT_THROW((void)parse_prediction("epsilon"), ArgumentError);
}

}  // namespace
}  // namespace rae
