// Conditioning computed for a whole schedule, shared evaluations, and reuse of the backbone: the
// results are the same with less work.
#include "generate/scheduled_network.hpp"

#include <cmath>
#include <memory>

#include "rae/generate/generator.hpp"
#include "support/golden.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using detail::Schedule;
using detail::ScheduledNetwork;
using Labels = std::vector<std::int64_t>;

OwnedPointer<const BackboneNetwork<Tensor<float>>> random_network(const Backbone& config) {
  OwnedPointer<BackboneNetwork<Tensor<float>>> network = config.make<Tensor<float>>();
  test::fill_random(*network, 3);
  pack_parameters(*network);
  return network;
}

Tensor<float> noise(Shape shape) {
  Tensor<float> out(shape);  // (B, C, h, w)
  Philox(5, 0).fill_normal(out.span());
  return out;
}

/// Calls at times and with labels that are in the schedule, and at others that are not.
void expect_plain_results(const Backbone& config) {
  const auto model = random_network(config);
  const Tensor<float> x = noise(Shape{2, 16, 2, 2});  // (B, C, h, w)
  // A time in the table, a time beyond the part of the schedule that fits into the small table, a
  // time that is not in the schedule, and a label that is not.
  const std::tuple<float, Labels> calls[] = {{0.9f, {2, 0}}, {0.5f, {0, 2}}, {0.9f, {2, 2}},
                                             {0.1f, {2, 0}}, {0.7f, {2, 0}}, {0.5f, {1, 0}}};
  for (const index_t bytes : {index_t{1}, index_t{1} << 20}) {
    SamplingWork work;
    ScheduledNetwork network(
        model, {.times = {0.9f, 0.5f, 0.1f}, .labels = {2, 0, 2}, .conditioning_bytes = bytes},
        work);
    for (const auto& [t, labels] : calls)
      test::expect_close(network(x, t, labels), (*model)(x, Tensor<float>(Shape{2}, t), labels),
                         1e-6);
    EXPECT_EQ(work.evaluations, 12);
    EXPECT_EQ(work.backbones, 12);
    // Two labels at each of three times, and two pairs outside the schedule, each computed twice.
    // With the small table, the first time is computed again.
    EXPECT_EQ(work.conditionings, bytes == 1 ? 12 : 10);
  }
}

TEST(ScheduledNetwork, EqualsTheNetwork) {
  expect_plain_results(*test::tiny_config().dit);
  expect_plain_results(test::tiny_lightning_dit());
}

TEST(ScheduledNetwork, EvaluatesEachImageUnderSeveralLabels) {
  const auto check = [](const auto& model) {
    const Tensor<float> x = noise(Shape{2, 16, 2, 2});  // (B, C, h, w)
    const Labels first{2, 0}, second{1, 1}, both{2, 0, 1, 1};
    const Tensor<float> together =
        model(x, model.conditioning(Tensor<float>(Shape{4}, 0.5f), both));  // (2 B, C, h, w)
    const Tensor<float> t(Shape{2}, 0.5f);                                  // (2)
    const auto half = [&](index_t i) {
      return Tensor<float>(x.shape(),
                           together.span().subspan(static_cast<std::size_t>(i * x.numel()),
                                                   static_cast<std::size_t>(x.numel())));
    };
    test::expect_close(half(0), model(x, t, first), 1e-6);
    test::expect_close(half(1), model(x, t, second), 1e-6);
    EXPECT_THROW((void)model(x, model.conditioning(Tensor<float>(Shape{3}, 0.5f), Labels{0, 1, 2})),
                 ShapeError);
  };
  check(*random_network(*test::tiny_config().dit));
  check(*random_network(test::tiny_lightning_dit()));
}

TEST(SamplingReportTest, CountsTheWorkOfGuidanceAndSchedule) {
  ModelConfig config = test::tiny_config();
  config.guide = config.dit;
  const Generator generator(test::random_bundle(config));
  const auto work = [&](GenerateOptions options) {
    SamplingReport report;
    options.labels = {0, 1, 1};
    options.steps = 10;
    options.grid = TimeGridKind::full;
    options.report = &report;
    (void)generator.sample_latents(options);
    return report;
  };
  // Two labels at ten times and at the end of the grid, for every solver.
  SamplingReport r = work({.solver = Solver::euler, .guidance = Cfg{}});
  EXPECT_EQ(r.model.evaluations, 30);
  EXPECT_EQ(r.model.conditionings, 22);
  r = work({.solver = Solver::heun, .guidance = Cfg{}});
  EXPECT_EQ(r.model.evaluations, 60);
  EXPECT_EQ(r.model.conditionings, 22);
  // The null class is evaluated as well where guidance is active.
  r = work({.solver = Solver::euler, .guidance = Cfg{.scale = 2.0f}});
  EXPECT_EQ(r.model.evaluations, 60);
  EXPECT_EQ(r.model.conditionings, 33);
  r = work({.solver = Solver::euler, .guidance = Cfg{.scale = 2.0f, .t_min = 1.0f, .t_max = 1.0f}});
  EXPECT_EQ(r.model.evaluations, 33);
  r = work({.solver = Solver::euler,
            .autoguidance = AutoGuidance{.scale = 2.0f, .t_min = 1.0f, .t_max = 1.0f}});
  EXPECT_EQ(r.model.evaluations, 30);
  EXPECT_EQ(r.guide.evaluations, 3);
}

TEST(ReuseTest, SavesBackboneEvaluationsWithinABoundPerPicture) {
  const Generator generator(test::tiny_bundle());
  SamplingReport report;
  GenerateOptions options{.labels = {0, 1, 2, 1},
                          .steps = 20,
                          .guidance = Cfg{.scale = 1.5f, .t_min = 0.25f, .t_max = 0.75f},
                          .report = &report};
  const auto run = [&](double bound, index_t batch) {
    report = {};
    options.reuse_error = bound;
    options.batch_size = batch;
    return generator.sample_latents(options);
  };
  const auto distance = [](const Tensor<float>& a, const Tensor<float>& b) {
    double sum = 0, square = 0;
    for (index_t i = 0; i < a.numel(); ++i) {
      sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
      square += std::pow(static_cast<double>(b[i]), 2);
    }
    return std::sqrt(sum / square);
  };
  const Tensor<float> exact = run(0, 4);  // (B, C, h, w)
  const SamplingWork all = report.model;
  EXPECT_EQ(all.backbones, all.evaluations);
  test::expect_close(run(1e-9, 4), exact, 1e-6);  // no evaluation is close enough to be reused
  EXPECT_EQ(report.model.backbones, all.evaluations);
  index_t before = all.evaluations;
  for (const double bound : {0.05, 0.3}) {
    const Tensor<float> z = run(bound, 4);  // (B, C, h, w)
    EXPECT_LT(report.model.backbones, before) << bound;
    EXPECT_EQ(report.model.evaluations, all.evaluations);
    EXPECT_LT(distance(z, exact), bound) << bound;
    before = report.model.backbones;
    const Tensor<float> one_by_one = run(bound, 1);  // (B, C, h, w)
    test::expect_close(one_by_one, z, 1e-6);
    EXPECT_EQ(report.model.backbones, before) << bound;
  }
  EXPECT_EQ(generator.png_text(options, 0).at("reuse_error"), "0.3");
  options.reuse_error = -1;
  EXPECT_THROW((void)generator.sample_latents(options), ArgumentError);
  ModelConfig plain = test::tiny_config();
  plain.dit = test::tiny_lightning_dit();
  options.reuse_error = 0.1;
  EXPECT_THROW((void)Generator(test::random_bundle(plain)).sample_latents(options), ArgumentError);
}

}  // namespace
}  // namespace rae
