// A whole official model from its files, compared with the official code; and its variants,
// compared with the networks and samplers of this library.
#include <algorithm>
#include <cmath>
#include <memory>

#include "rae/diffusion/sampler.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "rae/formats/bundle_writer.hpp"
#include "rae/formats/official/open.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "support/official_files.hpp"
#include "support/tiny_bundle.hpp"

namespace rae::test {
namespace {

// The tolerances are those in the README of the golden data: about ten times the difference between
// f32 and f64 in the official code.
constexpr double kLatent = 5e-5, kPixels = 2e-5;

/// Inputs and outputs of the golden model.
struct Expected {
  Golden golden{"e2e_dinov2_ag/expected.safetensors"};
  std::vector<std::int64_t> labels = [this] {
    const auto stored = golden.get<std::int64_t>("labels");  // (B)
    return std::vector<std::int64_t>(stored.data(), stored.data() + stored.numel());
  }();
};

TEST(OfficialEndToEnd, AutoencoderAgreesWithTheOfficialCode) {
  const Expected expected;
  const Autoencoder autoencoder(open_official(golden_model_path("config.yaml"), {.dit = false}));
  const Tensor<float> latent = autoencoder.encode(expected.golden("input"));  // (1, C, h, w)
  EXPECT_TRUE(close(latent, expected.golden("latent"), kLatent));
  EXPECT_TRUE(
      close(autoencoder.encode(Image::open(golden_model_path("input.png"), {.exif = false})),
            expected.golden("latent"), kLatent));
  EXPECT_TRUE(close(autoencoder.decode_pixels(expected.golden("latent")),
                    expected.golden("reconstruction"), kPixels));
}

TEST(OfficialEndToEnd, GeneratorAgreesWithTheOfficialCode) {
  const Expected expected;
  const Generator generator(open_official(golden_model_path("config.yaml"), {.encoder = false}));
  const Tensor<float> noise = expected.golden("noise");  // (B, C, h, w)
  EXPECT_TRUE(close(generator.velocity(noise, 0.73f, expected.labels), expected.golden("velocity"),
                    kLatent));
  const Tensor<float> latents =
      generator.sample_latents({.labels = expected.labels, .noise = noise});  // (B, C, h, w)
  EXPECT_TRUE(close(latents, expected.golden("sample_latent"), kLatent));
  EXPECT_TRUE(close(generator.decode_pixels(latents), expected.golden("sample_image"), kPixels));
  const GenerateOptions unguided{
      .labels = expected.labels, .autoguidance = AutoGuidance{}, .noise = noise};
  EXPECT_TRUE(close(generator.sample_latents(unguided), expected.golden("sample_latent_unguided"),
                    kLatent));
}

TEST(OfficialEndToEnd, WithoutGuidanceNoGuideIsNeeded) {
  const Expected expected;
  const OfficialFolder folder;
  std::filesystem::remove(folder / "guide");
  const Generator generator(open_official(folder.config({"guidance.scale=1.0"})));
  const GenerateOptions options{.labels = expected.labels, .noise = expected.golden("noise")};
  EXPECT_TRUE(
      close(generator.sample_latents(options), expected.golden("sample_latent_unguided"), kLatent));
}

/// The golden diffusion transformer as a callable (x, t), with one label for each sample.
class GoldenDit {
 public:
  GoldenDit()
      : files_(open_official(golden_model_path("config.yaml"))),
        dit_(std::make_shared<DitDh<Tensor<float>>>(files_.config.dit->get<DitDhConfig>())) {
    dit_->parameters([&](const std::string& name, auto& parameter) {
      parameter.set(files_.dit->tensors.read<float>(name).reshaped(parameter.shape()));
    });
  }

  [[nodiscard]] auto operator()(std::vector<std::int64_t> labels) const {
    return [dit = dit_, labels = std::move(labels)](const Tensor<float>& x, float t) {
      return (*dit)(x, Tensor<float>(Shape{x.extent(0)}, t), labels);
    };
  }

 private:
  ModelFiles files_;
  std::shared_ptr<DitDh<Tensor<float>>> dit_;
};

TEST(OfficialEndToEnd, ClassifierFreeGuidance) {
  const Expected expected;
  const OfficialFolder folder;
  const ModelFiles files =
      open_official(folder.config({"guidance={method: cfg, scale: 2.5, t-min: 0.3, t-max: 0.8}",
                                   "sampler.params={sampling_method: heun2, num_steps: 9}"}));
  const GoldenDit dit;
  const std::vector<std::int64_t> null(expected.labels.size(), 10);
  const auto grid = official_time_grid(9, std::sqrt(12.0));
  const Tensor<float> wanted =
      sample<float>(guided(dit(expected.labels), dit(null), Cfg{2.5f, 0.3f, 0.8f}),
                    expected.golden("noise"), grid, Solver::heun);  // (B, C, h, w)
  EXPECT_TRUE(close(Generator(files).sample_latents(
                        {.labels = expected.labels, .noise = expected.golden("noise")}),
                    wanted, kLatent));
}

TEST(OfficialEndToEnd, StochasticSampler) {
  const Expected expected;
  const OfficialFolder folder;
  const ModelFiles files = open_official(folder.config(
      {"guidance={}",
       "sampler={mode: SDE, params: {sampling_method: heun, diffusion_form: linear, "
       "diffusion_norm: 0.5, last_step: Euler, last_step_size: 0.05, num_steps: 7}}"}));
  const SdeOptions how{.solver = SdeSolver::heun,
                       .form = DiffusionForm::linear,
                       .norm = 0.5,
                       .last_step = SdeLastStep::euler,
                       .last_step_size = 0.05};
  const auto grid = official_time_grid(7, std::sqrt(12.0), 0.0, 0.95);
  // (B, C, h, w)
  const Tensor<float> wanted = sample_sde<float>(
      GoldenDit()(expected.labels), expected.golden("noise"), grid, PhiloxNoise{.seed = 5}, how);
  const GenerateOptions options{
      .labels = expected.labels, .seed = 5, .noise = expected.golden("noise")};
  EXPECT_TRUE(close(Generator(files).sample_latents(options), wanted, kLatent));
}

TEST(OfficialEndToEnd, LightningDit) {
  const Expected expected;
  const OfficialFolder folder;
  LightningDit<Tensor<float>> dit({.input_h = 4,
                                   .input_w = 4,
                                   .patch_size = 2,
                                   .in_channels = 48,
                                   .hidden_size = 32,
                                   .depth = 2,
                                   .num_heads = 4,
                                   .num_classes = 10,
                                   .learn_sigma = true});
  fill_random(dit, 3);
  std::vector<SafetensorsEntry> entries;
  dit.parameters([&](const std::string& name, auto& parameter) {
    if (parameter.empty()) return;
    const bool kernel = name == "x_embedder.proj.weight";  // a convolution in the official code
    entries.push_back({"module." + name,
                       kernel ? parameter.tensor().reshaped({32, 48, 2, 2}) : parameter.tensor()});
  });
  write_safetensors(folder / "lightning.safetensors", entries);
  const std::string described =
      "{target: stage2.models.lightningDiT.LightningDiT, ckpt: lightning.safetensors, params: "
      "{input_size: 4, patch_size: 2, in_channels: "
      "48, hidden_size: 32, depth: 2, num_heads: 4, num_classes: 10, learn_sigma: true}}";
  const std::string euler = "sampler.params={sampling_method: euler, num_steps: 5}";
  const ModelFiles files = open_official(
      folder.config({"guidance={method: cfg, scale: 1.5}", "stage_2=" + described, euler}));
  const auto at = [&](std::vector<std::int64_t> labels) {
    return [&dit, labels = std::move(labels)](const Tensor<float>& x, float t) {
      return dit(x, Tensor<float>(Shape{x.extent(0)}, t), labels);
    };
  };
  const Generator generator(files);
  const Tensor<float> noise = expected.golden("noise");  // (B, C, h, w)
  EXPECT_TRUE(close(generator.velocity(noise, 0.73f, expected.labels),
                    at(expected.labels)(noise, 0.73f), kLatent));
  const std::vector<std::int64_t> null(expected.labels.size(), 10);
  const auto grid = official_time_grid(5, std::sqrt(12.0));
  // (B, C, h, w)
  const Tensor<float> wanted =
      sample<float>(guided(at(expected.labels), at(null), Cfg{.scale = 1.5f}), noise, grid);
  EXPECT_TRUE(close(generator.sample_latents({.labels = expected.labels, .noise = noise}), wanted,
                    kLatent));

  // As the guide of a DiT^DH, read from these files and from files that were written from them.
  const ModelFiles by_guide = open_official(folder.config(
      {"guidance={method: autoguidance, scale: 1.5, guidance_model: " + described + "}", euler}));
  ASSERT_TRUE(by_guide.config.guide);
  EXPECT_EQ(by_guide.config.guide->guide_name(), "lightning_guide");
  const Tensor<float> away = sample<float>(
      guided(GoldenDit()(expected.labels), at(expected.labels), AutoGuidance{.scale = 1.5f}), noise,
      grid);  // (B, C, h, w)
  const TempFolder out;
  (void)save_official(by_guide, out / "o");
  save_bundle(by_guide, out / "bundle.safetensors", DType::f32);
  for (const ModelFiles& each : {by_guide, open_official(out / "o/config.yaml"),
                                 ModelFiles::open(out / "bundle.safetensors")})
    EXPECT_TRUE(close(Generator(each).sample_latents({.labels = expected.labels, .noise = noise}),
                      away, kLatent))
        << each.origin;
}

}  // namespace
}  // namespace rae::test
