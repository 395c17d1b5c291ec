// The results of the official samplers through the whole Generator, and its other functions.
#include <cmath>
#include <functional>

#include "rae/core/torch_random.hpp"
#include "rae/diffusion/adaptive_sampler.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "rae/generate/generator.hpp"
#include "support/golden_flow.hpp"
#include "support/sampler_model.hpp"
#include "support/temp_folder.hpp"

namespace rae {
namespace {

using test::expect_close;
using test::Golden;
using test::message_of;

class GoldenGenerator : public testing::Test {
 protected:
  GoldenGenerator() : golden_("sample_ode/io.safetensors"), generator_(test::sampler_model()) {
    const Tensor<std::int64_t> y = golden_.get<std::int64_t>("y");  // (B)
    base_.labels.assign(y.span().begin(), y.span().end());
    base_.noise = golden_("z");
  }

  template <class Change>
  Tensor<float> with(Change change) const {
    GenerateOptions options = base_;
    change(options);
    return generator_.sample_latents(options);
  }

  Golden golden_;
  Generator generator_;
  GenerateOptions base_;
};

TEST_F(GoldenGenerator, SamplesWithEverySolver) {
  for (const char* name :
       {"euler", "midpoint", "heun2", "heun3", "rk4", "bosh3", "adaptive_heun"}) {
    const std::string solver = name;
    expect_close(with([&](GenerateOptions& o) { o.solver = parse_ode_solver(solver); }),
                 golden_("final." + solver + "_8"), 2e-5, solver);
  }
  expect_close(with([](GenerateOptions& o) { o.steps = 50; }), golden_("final.euler_50"), 2e-5);
  // With the other solvers, the length of one step is determined by rounding errors, so results
  // differ between machines. adaptive_sampler_test.cpp compares these solvers with the official
  // run. Here the Generator must give the same bits as this sampler on the same velocities.
  test::GoldenFlow flow;
  for (const AdaptiveSolver solver :
       {AdaptiveSolver::dopri5, AdaptiveSolver::dopri8, AdaptiveSolver::fehlberg2})
    expect_close(
        with([&](GenerateOptions& o) { o.solver = solver; }),
        sample(std::ref(flow), golden_("z"), official_time_grid(8, std::sqrt(48.0)), solver), 0.0,
        name_of(solver));
}

TEST_F(GoldenGenerator, SamplesWithBothKindsOfGuidance) {
  expect_close(with([](GenerateOptions& o) { o.guidance = Cfg{.scale = 2}; }),
               golden_("final.cfg2_full"), 2e-5);
  expect_close(
      with([](GenerateOptions& o) { o.guidance = Cfg{.scale = 2, .t_min = 0.1f, .t_max = 0.9f}; }),
      golden_("final.cfg2_int"), 2e-5);
  expect_close(with([](GenerateOptions& o) { o.autoguidance = AutoGuidance{.scale = 1.42f}; }),
               golden_("final.ag1.42_full"), 2e-5);
  expect_close(with([](GenerateOptions& o) {
                 o.autoguidance = AutoGuidance{.scale = 1.42f, .t_min = 0.1f, .t_max = 0.9f};
               }),
               golden_("final.ag1.42_int"), 2e-5);
}

TEST_F(GoldenGenerator, RequestedGuidanceReplacesThatOfTheModel) {
  ModelFiles files = test::sampler_model();
  files.config.sampling.autoguidance = AutoGuidance{.scale = 1.42f};
  generator_ = Generator(files);
  expect_close(with([](GenerateOptions&) {}), golden_("final.ag1.42_full"), 2e-5);
  expect_close(with([](GenerateOptions& o) { o.guidance = Cfg{.scale = 2}; }),
               golden_("final.cfg2_full"), 2e-5);
  expect_close(with([](GenerateOptions& o) { o.guidance = Cfg{}; }), golden_("final.euler_8"),
               2e-5);
  expect_close(with([](GenerateOptions& o) { o.autoguidance = AutoGuidance{}; }),
               golden_("final.euler_8"), 2e-5);
  EXPECT_THROW((void)with([](GenerateOptions& o) {
                 o.guidance = Cfg{.scale = 2};
                 o.autoguidance = AutoGuidance{.scale = 2};
               }),
               ArgumentError);
  files.guide.reset();
  files.config.guide.reset();
  files.config.sampling.autoguidance.reset();
  generator_ = Generator(files);
  const std::string message = message_of<ArgumentError>(
      [&] { (void)with([](GenerateOptions& o) { o.autoguidance = AutoGuidance{.scale = 2}; }); });
  EXPECT_NE(message.find("needs a weaker model"), std::string::npos) << message;
}

TEST_F(GoldenGenerator, LoadsNetworksOnDemand) {
  generator_ = Generator(test::sampler_model(), {.keep_loaded = false});
  expect_close(with([](GenerateOptions& o) { o.autoguidance = AutoGuidance{.scale = 1.42f}; }),
               golden_("final.ag1.42_full"), 2e-5);
  expect_close(with([](GenerateOptions&) {}), golden_("final.euler_8"), 2e-5);
  const std::string message =
      message_of<FormatError>([&] { (void)generator_.decode(golden_("z")); });
  EXPECT_NE(message.find("sample_ode: has no weights of a decoder"), std::string::npos) << message;
}

TEST_F(GoldenGenerator, VelocityIsTheOutputOfTheNetwork) {
  DitDh<Tensor<float>> dit(generator_.config().dit->get<DitDhConfig>());
  test::load(dit, Golden("sample_ode/weights.safetensors"));
  const Tensor<float> z = golden_("z");  // (B, C, h, w)
  const auto n = static_cast<std::size_t>(z.extent(0));
  expect_close(generator_.velocity(z, 0.73f, base_.labels),
               dit(z, Tensor<float>(Shape{z.extent(0)}, 0.73f), base_.labels), 1e-5);
  const std::vector<std::int64_t> null_class(n, 10);
  expect_close(generator_.velocity(z, 1.0f, null_class),
               dit(z, Tensor<float>(Shape{z.extent(0)}, 1.0f), null_class), 1e-5);
  EXPECT_THROW((void)generator_.velocity(z, 1.1f, base_.labels), ArgumentError);
  EXPECT_THROW((void)generator_.velocity(z, NAN, base_.labels), ArgumentError);
  EXPECT_THROW((void)generator_.velocity(z, 0.5f, std::vector<std::int64_t>(n, 11)), ArgumentError);
  EXPECT_THROW((void)generator_.velocity(z, 0.5f, std::vector<std::int64_t>(n + 1, 0)), ShapeError);
  EXPECT_THROW((void)generator_.velocity(Tensor<float>(Shape{1, 6, 4, 3}, 0.0f), 0.5f, {}),
               ShapeError);
}

TEST_F(GoldenGenerator, PyTorchNoiseIsDrawnForAllPicturesAtOnce) {
  Tensor<float> expected(Shape{5, 6, 4, 4});  // (5, 6, 4, 4)
  TorchCpuGenerator(42).fill_normal(expected.span());
  expect_close(generator_.noise(42, 5, 0, Rng::torch_cpu), expected, 0.0);
  // (2, 6, 4, 4)
  const Tensor<float> last(Shape{2, 6, 4, 4}, std::as_const(expected).span().subspan(3 * 96));
  expect_close(generator_.noise(42, 2, 3, Rng::torch_cpu), last, 0.0);
  const std::vector<std::int64_t> labels{1, 2, 3, 4, 5};
  // (B, C, h, w)
  const Tensor<float> z = generator_.sample_latents({.labels = labels, .noise = expected});
  expect_close(generator_.sample_latents(
                   {.labels = labels, .seed = 42, .rng = Rng::torch_cpu, .batch_size = 2}),
               z, 0.0);
  expect_close(generator_.sample_latents(
                   {.labels = {4, 5}, .seed = 42, .first_index = 3, .rng = Rng::torch_cpu}),
               Tensor<float>(Shape{2, 6, 4, 4}, z.span().subspan(3 * 96)), 0.0);
}

TEST_F(GoldenGenerator, TheStochasticSamplerDrawsByPictureOrLikePyTorch) {
  const auto run = [&](index_t batch, Rng rng, std::uint64_t first) {
    return generator_.sample_latents({.labels = {1, 2, 3},
                                      .seed = 4,
                                      .first_index = first,
                                      .kind = SamplerKind::sde,
                                      .rng = rng,
                                      .batch_size = batch});
  };
  const Tensor<float> all = run(3, Rng::philox, 0);  // (B, C, h, w)
  expect_close(run(1, Rng::philox, 0), all, 0.0);
  EXPECT_FALSE(test::close(run(3, Rng::philox, 1), all, 1e-3));
  // With PyTorch's generator, the noise of the steps continues its sequence after the initial
  // noise.
  DitDh<Tensor<float>> dit(generator_.config().dit->get<DitDhConfig>());
  test::load(dit, Golden("sample_ode/weights.safetensors"));
  pack_parameters(dit);
  TorchCpuGenerator torch(4);
  Tensor<float> noise(Shape{3, 6, 4, 4});  // (3, 6, 4, 4)
  torch.fill_normal(noise.span());
  const std::vector<std::int64_t> labels{1, 2, 3};
  const Tensor<float> expected = sample_sde(
      [&](const Tensor<float>& x, float t) { return dit(x, Tensor<float>(Shape{3}, t), labels); },
      noise,
      sampling_time_grid({.steps = 8, .kind = SamplerKind::sde, .grid = TimeGridKind::official},
                         PathKind::linear, Prediction::velocity, generator_.config().time_shift),
      [&](index_t, Tensor<float>& values) { torch.fill_normal(values.span()); });
  expect_close(run(1, Rng::torch_cpu, 0), expected, 0.0);
  EXPECT_THROW((void)run(1, Rng::torch_cpu, 1), ArgumentError);
}

TEST_F(GoldenGenerator, PngTextNamesUnusualSettings) {
  GenerateOptions options{.labels = {1}, .seed = 2, .autoguidance = AutoGuidance{.scale = 1.5f}};
  options.solver = AdaptiveSolver::dopri5;
  auto text = generator_.png_text(options, 0);
  EXPECT_EQ(text.at("grid"), "official");
  EXPECT_EQ(text.at("steps"), "8");
  EXPECT_EQ(text.at("solver"), "dopri5");
  EXPECT_EQ(text.at("tolerances"), "1e-06,0.001");
  EXPECT_EQ(text.at("autoguidance"), "1.5");
  EXPECT_EQ(text.at("autoguidance_interval"), "0,1");
  EXPECT_EQ(text.count("cfg") + text.count("rng") + text.count("sampler"), 0u);
  options.kind = SamplerKind::sde;
  options.rng = Rng::torch_cpu;
  text = generator_.png_text(options, 0);
  EXPECT_EQ(text.at("sampler"), "sde");
  EXPECT_EQ(text.at("solver"), "euler");
  EXPECT_EQ(text.at("diffusion_form"), "sigma");
  EXPECT_EQ(text.at("last_step"), "mean");
  EXPECT_EQ(text.at("last_step_size"), "0.04");
  EXPECT_EQ(text.at("rng"), "torch-cpu");
}

TEST_F(GoldenGenerator, RefusesOptionsOutOfRangeBeforeLoading) {
  generator_ = Generator(test::sampler_model(), {.keep_loaded = false});
  const auto refuses = [&](auto change) { EXPECT_THROW((void)with(change), ArgumentError); };
  refuses([](GenerateOptions& o) { o.steps = 1; });
  refuses([](GenerateOptions& o) { o.atol = -1; });
  refuses([](GenerateOptions& o) { o.autoguidance = AutoGuidance{.scale = -1}; });
  refuses([](GenerateOptions& o) {
    o.kind = SamplerKind::sde;
    o.sde = SdeOptions{.norm = -1};
  });
  refuses([](GenerateOptions& o) {
    o.kind = SamplerKind::sde;
    o.sde = SdeOptions{.last_step_size = 0};
  });
}

TEST(RngTest, NamesAreParsed) {
  for (const Rng rng : {Rng::philox, Rng::torch_cpu}) EXPECT_EQ(parse_rng(name_of(rng)), rng);
  EXPECT_THROW((void)parse_rng("torch"), ArgumentError);
}

}  // namespace
}  // namespace rae
