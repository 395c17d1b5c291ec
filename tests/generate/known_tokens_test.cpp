#include "generate/known_tokens.hpp"

#include <vector>

#include "rae/diffusion/time_grid.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::expect_close;
using test::message_of;

/// A picture whose pixels differ.
Image gradient() {
  Image out(8, 8, 1);
  for (std::size_t i = 0; i < 64; ++i) out.pixels()[i] = static_cast<std::uint8_t>(4 * i);
  return out;
}

class PictureStart : public testing::Test {
 protected:
  Bundle bundle_ = test::tiny_bundle();
  Generator generator_{bundle_};
  Autoencoder autoencoder_{bundle_};
  Tensor<float> init_ = autoencoder_.encode(gradient());  // (1, C, h, w)
  GenerateOptions plain_{.labels = {0, 2, 1}, .seed = 4, .steps = 10};
};

TEST(KnownTokens, TheLastStepsOfAGridAreKept) {
  const std::vector<float> grid{1.0f, 0.8f, 0.5f, 0.2f, 0.0f};
  const auto kept = [&](double strength) {
    std::vector<float> out = grid;
    detail::keep_last_steps(out, strength);
    return out;
  };
  EXPECT_EQ(kept(1.0), grid);
  EXPECT_EQ(kept(0.5), (std::vector<float>{0.5f, 0.2f, 0.0f}));
  EXPECT_EQ(kept(0.6), (std::vector<float>{0.5f, 0.2f, 0.0f}));
  EXPECT_EQ(kept(0.7), (std::vector<float>{0.8f, 0.5f, 0.2f, 0.0f}));
  EXPECT_EQ(kept(1e-9), (std::vector<float>{0.2f, 0.0f}));
}

TEST_F(PictureStart, StrengthOneIsPlainSampling) {
  GenerateOptions options = plain_;
  options.init = init_;
  expect_close(generator_.sample_latents(options), generator_.sample_latents(plain_), 0.0);
}

TEST_F(PictureStart, StrengthZeroIsTheReconstruction) {
  GenerateOptions options = plain_;
  options.init = init_;
  options.strength = 0;
  SamplingReport report;
  options.report = &report;
  for (const Image& image : generator_.sample(options))
    EXPECT_EQ(image, autoencoder_.reconstruct(gradient()));
  EXPECT_EQ(report.model.evaluations, 0);
}

TEST_F(PictureStart, BeginsWithTheNoisedLatentsOfATimeOfTheShiftedGrid) {
  GenerateOptions options = plain_;
  options.labels = {2};
  options.init = init_;
  options.strength = 0.3;
  std::vector<float> times;
  Tensor<float> first;  // (1, C, h, w)
  options.on_step = [&](const StepInfo& info) {
    if (info.step == 1) {
      first = info.start.x;
      times.push_back(info.start.t);
    }
    times.push_back(info.t);
    EXPECT_EQ(info.steps, 3);
    return true;
  };
  (void)generator_.sample_latents(options);
  const std::vector<float> grid = full_time_grid(10, bundle_.config.time_shift);
  EXPECT_EQ(times, std::vector<float>(grid.begin() + 7, grid.end()));
  const Tensor<float> noise = generator_.noise(4, 1);  // (1, C, h, w)
  for (index_t i = 0; i < first.numel(); ++i)
    EXPECT_NEAR(first[i], (1 - times[0]) * init_[i] + times[0] * noise[i], 1e-6);
}

TEST_F(PictureStart, DoesNotDependOnBatchesAndThreads) {
  GenerateOptions options = plain_;
  options.strength = 0.5;
  options.init = init_;
  options.mask = Tensor<float>(Shape{1, 1, 2, 2}, {1.0f, 0.0f, 0.0f, 1.0f});
  const Tensor<float> expected = generator_.sample_latents(options);  // (B, C, h, w)
  for (const index_t batch : {1, 2})
    for (const int threads : {1, 2}) {
      set_num_threads(threads);
      options.batch_size = batch;
      expect_close(generator_.sample_latents(options), expected, 0.0);
    }
  set_num_threads(0);
  // One for each picture is the same as one for all.
  options.init = Tensor<float>(init_.shape().with(0, 3));
  for (index_t i = 0; i < options.init.numel(); ++i)
    options.init.data()[i] = init_[i % init_.numel()];
  expect_close(generator_.sample_latents(options), expected, 0.0);
}

TEST_F(PictureStart, KnownTokensAreKeptAndTheOthersFollowTheFlow) {
  const Tensor<float> mask(Shape{1, 1, 2, 2}, {1.0f, 0.0f, 1.0f, 0.0f});  // (1, 1, h, w)
  for (const OdeSolver solver :
       {OdeSolver(Solver::euler), OdeSolver(Solver::unipc), OdeSolver(AdaptiveSolver::bosh3)})
    for (const double strength : {0.5, 1.0}) {
      GenerateOptions options = plain_;
      options.solver = solver;
      options.strength = strength;
      options.init = init_;
      options.mask = mask;
      const Tensor<float> noise = generator_.noise(4, 3);  // (B, C, h, w)
      options.on_step = [&](const StepInfo& info) {
        // The callback sees the known tokens with the noise of the time.
        for (index_t i = 0; i < info.x.numel(); ++i) {
          if (mask[i % 4] == 1.0f) continue;
          const index_t at = info.first * init_.numel() + i;
          const float known = init_[i % init_.numel()], t = info.step == info.steps ? 0.0f : info.t;
          EXPECT_NEAR(info.x[i], (1 - t) * known + t * noise[at], 2e-6) << name_of(solver);
        }
        return true;
      };
      const Tensor<float> z = generator_.sample_latents(options);  // (B, C, h, w)
      index_t changed = 0;
      for (index_t i = 0; i < z.numel(); ++i)
        if (mask[i % 4] == 0.0f) {
          EXPECT_EQ(z[i], init_[i % init_.numel()]) << name_of(solver);
        } else {
          changed += z[i] != init_[i % init_.numel()] ? 1 : 0;
        }
      EXPECT_GT(changed, z.numel() / 2 - 8);
    }
}

TEST_F(PictureStart, AMaskOfOnesIsNoMask) {
  GenerateOptions options = plain_;
  options.strength = 0.5;
  options.init = init_;
  const Tensor<float> expected = generator_.sample_latents(options);  // (B, C, h, w)
  options.mask = Tensor<float>(Shape{3, 1, 2, 2}, 1.0f);
  expect_close(generator_.sample_latents(options), expected, 0.0);
}

TEST_F(PictureStart, TheStochasticSamplerBeginsThereToo) {
  GenerateOptions options = plain_;
  options.kind = SamplerKind::sde;
  options.grid = TimeGridKind::official;
  const Tensor<float> plain = generator_.sample_latents(options);  // (B, C, h, w)
  options.init = init_;
  expect_close(generator_.sample_latents(options), plain, 0.0);
  options.strength = 0.5;
  EXPECT_FALSE(test::close(generator_.sample_latents(options), plain, 1e-3));
}

TEST_F(PictureStart, TheSettingsAreInThePng) {
  GenerateOptions options = plain_;
  options.init = init_;
  options.strength = 0.25;
  const auto text = generator_.png_text(options, 1);
  EXPECT_EQ(text.at("init"), "given");
  EXPECT_EQ(text.at("strength"), "0.25");
  EXPECT_EQ(text.count("mask"), 0u);
  EXPECT_EQ(generator_.png_text(plain_, 1).count("strength"), 0u);
}

TEST_F(PictureStart, WrongOptionsAreRefused) {
  const auto refuse = [&]<class E>(std::type_identity<E>, auto change) {
    GenerateOptions options = plain_;
    options.init = init_;
    options.strength = 0.5;
    change(options);
    return message_of<E>([&] { (void)generator_.sample_latents(options); });
  };
  const std::type_identity<ArgumentError> argument;
  const std::type_identity<ShapeError> shape;
  for (const double strength : {-0.1, 1.5, std::nan("")})
    EXPECT_NE(refuse(argument, [&](GenerateOptions& o) { o.strength = strength; })
                  .find("strength in [0, 1]"),
              std::string::npos);
  EXPECT_NE(refuse(argument, [](GenerateOptions& o) { o.init = {}; }).find("needs `init`"),
            std::string::npos);
  EXPECT_NE(refuse(argument,
                   [](GenerateOptions& o) {
                     o.mask = Tensor<float>(Shape{1, 1, 2, 2}, 1.5f);
                   })
                .find("values in [0, 1]"),
            std::string::npos);
  (void)refuse(shape, [](GenerateOptions& o) { o.mask = Tensor<float>(Shape{1, 1, 2, 3}, 1.0f); });
  (void)refuse(shape, [](GenerateOptions& o) { o.mask = Tensor<float>(Shape{2, 1, 2, 2}, 1.0f); });
  (void)refuse(shape, [](GenerateOptions& o) { o.init = Tensor<float>(Shape{2, 16, 2, 2}, 0.f); });
  (void)refuse(shape, [](GenerateOptions& o) { o.init = Tensor<float>(Shape{1, 16, 2, 3}, 0.f); });
}

}  // namespace
}  // namespace rae
