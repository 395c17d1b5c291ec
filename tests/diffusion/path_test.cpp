#include "rae/diffusion/path.hpp"

#include <algorithm>
#include <cmath>

#include "rae/core/random.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae {
namespace {

using test::expect_close;
using test::Golden;
using test::message_of;

template <Path P>
void expect_golden_coefficients(const P& path, const std::string& name, double tolerance) {
  const Golden golden("transport_paths/io.safetensors");
  const Tensor<float> t = golden("t");  // (5)
  for (index_t i = 0; i < t.numel(); ++i) {
    const double s = static_cast<double>(t[i]);
    const auto near = [&](double actual, const std::string& quantity) {
      const Tensor<float> expected = golden.part(name + "." + quantity, i);  // ()
      EXPECT_TRUE(test::near(actual, expected,
                             tolerance * std::max(1.0, std::abs(static_cast<double>(expected[0])))))
          << name << "." << quantity << " at t = " << s;
    };
    near(path.alpha(s), "alpha");
    near(path.sigma(s), "sigma");
    near(path.d_alpha(s), "d_alpha");
    near(path.d_sigma(s), "d_sigma");
  }
  expect_close(interpolate(path, golden("x1"), golden("x0"), t), golden(name + ".xt"),
               2 * tolerance, name + ".xt");
  expect_close(path_velocity(path, golden("x1"), golden("x0"), t), golden(name + ".ut"),
               6 * tolerance, name + ".ut");
  // The official compute_drift: the velocity is var score - mean.
  const Tensor<float> x = golden(name + ".xt");  // (5, 3, 2, 2)
  Tensor<float> mean(x.shape());                 // (5, 3, 2, 2)
  const index_t inner = x.numel() / t.numel();
  for (index_t i = 0; i < t.numel(); ++i) {
    const detail::Factors f =
        detail::velocity_of_score(OfficialPath<P>{path}, static_cast<double>(t[i]));
    EXPECT_TRUE(test::near(f.second, golden.part(name + ".drift_var", i),
                           2e-6 * std::max(1.0, std::abs(f.second))))
        << name;
    for (index_t j = i * inner; j < (i + 1) * inner; ++j)
      mean.data()[j] = static_cast<float>(-f.first) * x[j];
  }
  const auto bound = [&](index_t i) {
    return 2e-6 * std::max(1.0, std::abs(static_cast<double>(mean[i])));
  };
  EXPECT_TRUE(test::close_each(mean, golden(name + ".drift_mean"), bound)) << name;
}

TEST(PathTest, LinearAgreesWithTheOfficialPath) {
  expect_golden_coefficients(LinearPath{}, "Linear", 5e-7);
}
TEST(PathTest, GvpAgreesWithTheOfficialPath) { expect_golden_coefficients(GvpPath{}, "GVP", 5e-7); }
// The reference computes sqrt(1 - sigma^2) in float; at t = 0.98 the difference is 0.006, so that a
// rounding of 2^-24 is up to 5e-6 of alpha.
TEST(PathTest, VpAgreesWithTheOfficialPath) { expect_golden_coefficients(VpPath{}, "VP", 2e-6); }

template <Path P>
void expect_true_derivatives(const P& path) {
  constexpr double kStep = 1e-6;
  for (double t = 0.05; t < 0.96; t += 0.05) {
    EXPECT_NEAR(path.d_alpha(t), (path.alpha(t + kStep) - path.alpha(t - kStep)) / (2 * kStep),
                1e-8);
    EXPECT_NEAR(path.d_sigma(t), (path.sigma(t + kStep) - path.sigma(t - kStep)) / (2 * kStep),
                1e-8);
  }
}

TEST(PathTest, DerivativesMatchTheCoefficients) {
  expect_true_derivatives(LinearPath{});
  expect_true_derivatives(GvpPath{});
  expect_true_derivatives(VpPath{});
}

TEST(PathTest, FormulasHaveNames) {
  for (const PathFormulas f : {PathFormulas::exact, PathFormulas::official})
    EXPECT_EQ(parse_path_formulas(name_of(f)), f);
  EXPECT_THROW((void)parse_path_formulas("Official"), ArgumentError);
  const auto official = [](PathKind kind, PathFormulas f) {
    return with_path(kind, f, [](const auto& path) {
      return detail::kIsOfficial<std::remove_cvref_t<decltype(path)>>;
    });
  };
  for (const PathKind kind : {PathKind::linear, PathKind::gvp, PathKind::vp}) {
    EXPECT_TRUE(official(kind, PathFormulas::official));
    EXPECT_FALSE(official(kind, PathFormulas::exact));
  }
}

TEST(PathTest, EndsAreDataAndNoise) {
  EXPECT_EQ(LinearPath{}.alpha(1.0), 0.0);
  EXPECT_EQ(LinearPath{}.sigma(0.0), 0.0);
  EXPECT_EQ(GvpPath{}.alpha(1.0), 0.0);
  EXPECT_EQ(GvpPath{}.alpha(0.0), 1.0);
  EXPECT_EQ(GvpPath{}.sigma(1.0), 1.0);
  EXPECT_EQ(VpPath{}.alpha(1.0), 0.0);
  EXPECT_EQ(VpPath{}.sigma(1.0), 1.0);
  EXPECT_LT(VpPath{}.sigma(0.0), 0.007);
}

TEST(PathTest, HandlesOneTimeForAllSamplesAndManyElements) {
  // More elements than one thread handles, so that samples are split across threads.
  const Shape shape{3, 7, 41, 61};
  Tensor<double> data(shape), noise(shape);  // (3, 7, 41, 61)
  const Philox random(1);
  for (index_t i = 0; i < data.numel(); ++i) {
    data.data()[i] = static_cast<double>(random.normal(static_cast<std::uint64_t>(i)));
    noise.data()[i] = static_cast<double>(random.uniform(static_cast<std::uint64_t>(i)));
  }
  const Tensor<double> t(Shape{3}, {0.1, 0.5, 0.9});                   // (3)
  const Tensor<double> x = interpolate(LinearPath{}, data, noise, t);  // data's shape
  const Tensor<double> y =
      interpolate(LinearPath{}, data, noise, Tensor<double>(Shape{1}, {0.5}));  // data's shape
  const index_t inner = x.numel() / 3;
  for (index_t i = 0; i < x.numel(); ++i) {
    const double s = t[i / inner];
    ASSERT_DOUBLE_EQ(x[i], (1 - s) * data[i] + s * noise[i]) << i;
    ASSERT_DOUBLE_EQ(y[i], 0.5 * data[i] + 0.5 * noise[i]) << i;
  }
}

TEST(PathTest, DoesNotDependOnTheNumberOfThreads) {
  Tensor<float> data(Shape{2, 50000}), noise(Shape{2, 50000});  // (2, 50000) each
  Philox(3).fill_normal(data.span());
  Philox(4).fill_normal(noise.span());
  const Tensor<float> t(Shape{2}, {0.3f, 0.6f});  // (2)
  set_num_threads(1);
  const Tensor<float> one = interpolate(GvpPath{}, data, noise, t);  // data's shape
  set_num_threads(5);
  const Tensor<float> five = interpolate(GvpPath{}, data, noise, t);  // data's shape
  set_num_threads(0);
  expect_close(one, five, 0.0);
}

TEST(PathTest, RejectsWrongShapesAndTimes) {
  const Tensor<float> x(Shape{2, 3}, 1.0f), y(Shape{3, 2}, 1.0f);  // (2, 3), (3, 2)
  const auto at = [](float t) { return Tensor<float>(Shape{1}, t); };
  EXPECT_THROW((void)interpolate(LinearPath{}, x, y, at(0.5f)), ShapeError);
  EXPECT_THROW((void)interpolate(LinearPath{}, x, x, Tensor<float>(Shape{3}, 0.5f)), ShapeError);
  EXPECT_THROW((void)interpolate(LinearPath{}, x, x, Tensor<float>()), ShapeError);
  EXPECT_THROW((void)interpolate(LinearPath{}, Tensor<float>(), Tensor<float>(), at(0.5f)),
               ShapeError);
  EXPECT_THROW((void)interpolate(LinearPath{}, x, x, at(1.5f)), ArgumentError);
  EXPECT_THROW((void)interpolate(LinearPath{}, x, x, at(-0.1f)), ArgumentError);
  EXPECT_THROW((void)interpolate(LinearPath{}, x, x, at(NAN)), ArgumentError);
  const std::string message =
      message_of<ArgumentError>([&] { (void)path_velocity(VpPath{}, x, x, at(1.0f)); });
  EXPECT_NE(message.find("t[0] = 1"), std::string::npos) << message;
}

}  // namespace
}  // namespace rae
