// rae_generator against Generator, with a tiny random model and with the built-in one.
#include "rae/generate/generator.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "capi/model_file.hpp"
#include "rae/generate/preset.hpp"
#include "rae/models/token_dit_dh.hpp"
#include "rae/rae.h"
#include "rae/spec/auto_dtype.hpp"

namespace rae::test {
namespace {

constexpr std::int64_t kLabels[] = {2, 0, 1};

class CGenerator : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(rae_generator_load(file_.path().c_str(), nullptr, &generator_), RAE_OK)
        << rae_last_error();
    ASSERT_EQ(rae_sample_options_init(&options_, sizeof options_), RAE_OK);
    options_.labels = kLabels;
    options_.label_count = 3;
    options_.seed = 4;
  }
  void TearDown() override { EXPECT_EQ(rae_generator_free(generator_), RAE_OK); }

  [[nodiscard]] std::vector<Image> sample(rae_status expected = RAE_OK) {
    rae_image* images[3];
    EXPECT_EQ(rae_generator_sample(generator_, &options_, images, 3), expected) << rae_last_error();
    return taken(images, 3);
  }

  ModelFile file_;
  Generator expected_ = Generator::load(file_.path());
  rae_generator* generator_ = nullptr;
  rae_sample_options options_;
};

TEST_F(CGenerator, SamplesThePicturesOfTheGenerator) {
  const GenerateOptions same{.labels = {2, 0, 1}, .seed = 4};
  EXPECT_EQ(sample(), expected_.sample(same));
  GenerateOptions other = same;
  options_.steps = other.steps = 3;
  options_.first_index = other.first_index = 7;
  options_.solver = "heun";
  other.solver = Solver::heun;
  options_.guidance = RAE_GUIDANCE_CFG;
  options_.guidance_scale = 2;
  options_.guidance_t_min = 0.25;
  options_.guidance_t_max = 0.5;
  other.guidance = Cfg{2.0f, 0.25f, 0.5f};
  options_.rng = "torch-cpu";
  other.rng = Rng::torch_cpu;
  EXPECT_EQ(sample(), expected_.sample(other));
  options_.guidance = RAE_GUIDANCE_NONE;
  other.guidance = Cfg{};
  options_.solver = "dopri5";
  other.solver = AdaptiveSolver::dopri5;
  options_.atol = 1e-3;
  other.atol = 1e-3;
  EXPECT_EQ(sample(), expected_.sample(other));
}

TEST(CInternalGuidance, IsThatOfTheGenerator) {
  const TempFolder folder;
  ModelConfig config = wide_config();
  const Shape latent = config.latent_shape();  // (C, h, w)
  TokenDitDhConfig network;
  network.input_h = latent[1];
  network.input_w = latent[2];
  network.in_channels = latent[0];
  network.hidden_size = network.head_hidden_size = 16;
  network.depth = 2;
  network.num_heads = network.head_num_heads = 2;
  network.head_depth = network.base_depth = 1;
  network.num_classes = config.dit->num_classes();
  config.dit = network;
  const std::string path = folder / "m.safetensors";
  random_bundle(config).save(path);
  const Generator expected = Generator::load(path);
  rae_generator* generator = nullptr;
  ASSERT_EQ(rae_generator_load(path.c_str(), nullptr, &generator), RAE_OK) << rae_last_error();
  rae_sample_options options;
  ASSERT_EQ(rae_sample_options_init(&options, sizeof options), RAE_OK);
  options.labels = kLabels;
  options.label_count = 3;
  options.guidance = RAE_GUIDANCE_INTERNAL;
  options.guidance_scale = 2.5;
  options.guidance_t_min = 0.25;
  rae_image* images[3];
  EXPECT_EQ(rae_generator_sample(generator, &options, images, 3), RAE_OK) << rae_last_error();
  GenerateOptions same{.labels = {2, 0, 1}};
  const std::vector<Image> unguided = expected.sample(same);
  same.internal_guidance = InternalGuidance{.scale = 2.5f, .t_min = 0.25f, .t_max = 1.0f};
  const std::vector<Image> guided = expected.sample(same);
  EXPECT_EQ(taken(images, 3), guided);
  EXPECT_NE(guided, unguided);
  EXPECT_EQ(rae_generator_free(generator), RAE_OK);
}

TEST_F(CGenerator, SamplesStochastically) {
  GenerateOptions same{.labels = {2, 0, 1}, .seed = 4, .kind = SamplerKind::sde};
  options_.sampler = "sde";
  EXPECT_EQ(sample(), expected_.sample(same));
  same.sde = expected_.config().sampling.sde;
  same.sde->solver = SdeSolver::heun;
  same.sde->norm = 0.5;
  same.sde->last_step = SdeLastStep::tweedie;
  same.sde->last_step_size = 0.1;
  options_.sde_solver = "heun";
  options_.diffusion_norm = 0.5;
  options_.last_step = "tweedie";
  options_.last_step_size = 0.1;
  EXPECT_EQ(sample(), expected_.sample(same));
}

TEST_F(CGenerator, LatentsVelocityAndNoiseAreThoseOfTheGenerator) {
  const GenerateOptions same{.labels = {2, 0, 1}, .seed = 4};
  rae_latents *z = nullptr, *noise = nullptr, *velocity = nullptr;
  ASSERT_EQ(rae_generator_sample_latents(generator_, &options_, &z), RAE_OK);
  EXPECT_TRUE(has_values(z, expected_.sample_latents(same)));
  ASSERT_EQ(rae_generator_noise(generator_, 4, 2, 3, &noise), RAE_OK);
  const Tensor<float> start = expected_.noise(4, 3, 2);  // (B, C, h, w)
  EXPECT_TRUE(has_values(noise, start));
  ASSERT_EQ(rae_generator_velocity(generator_, noise, 0.5, kLabels, 3, &velocity), RAE_OK);
  EXPECT_TRUE(has_values(velocity, expected_.velocity(start, 0.5f, kLabels)));
  rae_image* images[3];
  ASSERT_EQ(rae_generator_decode(generator_, z, images, 3), RAE_OK);
  EXPECT_EQ(taken(images, 3), expected_.sample(same));
  options_.noise = noise;
  GenerateOptions given = same;
  given.noise = start;
  EXPECT_EQ(sample(), expected_.sample(given));
  for (rae_latents* each : {z, noise, velocity}) EXPECT_EQ(rae_latents_free(each), RAE_OK);
}

TEST_F(CGenerator, DescribesItsModel) {
  rae_model_info info{};
  info.size = sizeof info;
  ASSERT_EQ(rae_generator_info(generator_, &info), RAE_OK);
  EXPECT_STREQ(info.name, "tiny");
  EXPECT_STREQ(info.dtype, "f32");
  EXPECT_EQ(info.classes, 3);
  EXPECT_EQ(info.null_class, 3);
  EXPECT_EQ(info.image_channels, 1);
  EXPECT_EQ(info.image_height, 8);
  EXPECT_EQ(info.image_width, 12);
  EXPECT_EQ(info.latent_channels, 16);
  EXPECT_EQ(info.latent_height, 2);
  EXPECT_EQ(info.latent_width, 3);
  EXPECT_EQ(info.steps, 4);
  const char* name = nullptr;
  ASSERT_EQ(rae_generator_class_name(generator_, 2, &name), RAE_OK);
  EXPECT_STREQ(name, "star");
  EXPECT_EQ(rae_generator_class_name(generator_, 3, &name), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(name, nullptr);
  std::int64_t label = -1;
  ASSERT_EQ(rae_generator_label(generator_, "Square", &label), RAE_OK);
  EXPECT_EQ(label, 1);
  EXPECT_EQ(rae_generator_label(generator_, "squares", &label), RAE_ERROR_ARGUMENT);
  EXPECT_NE(std::strstr(rae_last_error(), "square"), nullptr);
}

TEST_F(CGenerator, LoadsInANarrowerType) {
  rae_load_options load;
  ASSERT_EQ(rae_load_options_init(&load, sizeof load), RAE_OK);
  EXPECT_EQ(load.keep_loaded, 1);
  load.dtype = "bf16";
  load.keep_loaded = 0;
  rae_generator* narrow = nullptr;
  ASSERT_EQ(rae_generator_load(file_.path().c_str(), &load, &narrow), RAE_OK);
  rae_model_info info{};
  info.size = sizeof info;
  ASSERT_EQ(rae_generator_info(narrow, &info), RAE_OK);
  EXPECT_STREQ(info.dtype, "bf16");
  rae_image* images[3];
  ASSERT_EQ(rae_generator_sample(narrow, &options_, images, 3), RAE_OK);
  EXPECT_EQ(taken(images, 3), Generator::load(file_.path(), {.dtype = DType::bf16})
                                  .sample({.labels = {2, 0, 1}, .seed = 4}));
  EXPECT_EQ(rae_generator_free(narrow), RAE_OK);
  load.dtype = "auto";
  ASSERT_EQ(rae_generator_load(file_.path().c_str(), &load, &narrow), RAE_OK);
  ASSERT_EQ(rae_generator_info(narrow, &info), RAE_OK);
  EXPECT_EQ(info.dtype, name_of(fastest_dtype()));
  EXPECT_EQ(rae_generator_free(narrow), RAE_OK);
  load.dtype = "bf61";
  EXPECT_EQ(rae_generator_load(file_.path().c_str(), &load, &narrow), RAE_ERROR_ARGUMENT);
  load.dtype = nullptr;
  load.available_memory = 1;
  EXPECT_EQ(rae_generator_load(file_.path().c_str(), &load, &narrow), RAE_ERROR_MEMORY);
  EXPECT_EQ(narrow, nullptr);
}

TEST_F(CGenerator, BeginsWithPictures) {
  rae_autoencoder* autoencoder = nullptr;
  ASSERT_EQ(rae_autoencoder_load(file_.path().c_str(), nullptr, &autoencoder), RAE_OK);
  Image picture(12, 8, 1);
  for (std::size_t i = 0; i < 96; ++i) picture.pixels()[i] = static_cast<std::uint8_t>(2 * i);
  rae_image *image = nullptr, *white = nullptr;
  ASSERT_EQ(rae_image_create(picture.pixels().data(), RAE_PIXELS_GRAY8, 12, 8, 0, &image), RAE_OK);
  std::vector<std::uint8_t> left(96);
  for (std::size_t i = 0; i < 96; ++i) left[i] = i % 12 < 4 ? 255 : 0;
  ASSERT_EQ(rae_image_create(left.data(), RAE_PIXELS_GRAY8, 12, 8, 0, &white), RAE_OK);
  rae_latents *init = nullptr, *mask = nullptr;
  ASSERT_EQ(rae_autoencoder_encode(autoencoder, &image, 1, &init), RAE_OK);
  ASSERT_EQ(rae_autoencoder_mask(autoencoder, white, &mask), RAE_OK);
  GenerateOptions same{.labels = {2, 0, 1}, .seed = 4};
  EXPECT_EQ(options_.strength, 1);
  options_.init = init;
  same.init = copied(init);
  options_.strength = same.strength = 0.5;
  EXPECT_EQ(sample(), expected_.sample(same));
  options_.mask = mask;
  same.mask = copied(mask);
  EXPECT_EQ(same.mask.shape(), (Shape{1, 1, 2, 3}));
  EXPECT_EQ(same.mask[0], 1.0f);
  EXPECT_EQ(same.mask[1], 0.0f);
  EXPECT_EQ(sample(), expected_.sample(same));
  options_.init = nullptr;
  rae_image* images[3];
  EXPECT_EQ(rae_generator_sample(generator_, &options_, images, 3), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(rae_autoencoder_mask(autoencoder, nullptr, &mask), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(mask, nullptr);
  EXPECT_EQ(rae_latents_free(init), RAE_OK);
  EXPECT_EQ(rae_image_free(image), RAE_OK);
  EXPECT_EQ(rae_image_free(white), RAE_OK);
  EXPECT_EQ(rae_autoencoder_free(autoencoder), RAE_OK);
}

TEST_F(CGenerator, AppliesAPreset) {
  GenerateOptions same{.labels = {2, 0, 1}, .seed = 4};
  apply_preset(Preset::fast, expected_.config(), same);
  options_.preset = "fast";
  EXPECT_EQ(sample(), expected_.sample(same));
  options_.preset = "quick";
  rae_image* images[3];
  EXPECT_EQ(rae_generator_sample(generator_, &options_, images, 3), RAE_ERROR_ARGUMENT);
}

/// Replaces the state of the second step by the one after the first.
struct Replacement {
  rae_latents* first = nullptr;
  const rae_step* outside = nullptr;
};

int replace_state(const rae_step* step, void* data) {
  auto* replacement = static_cast<Replacement*>(data);
  if (step->step == 1) {
    const Tensor<float> state = copied(step->state);  // (B, C, h, w)
    const std::int64_t shape[4] = {state.extent(0), state.extent(1), state.extent(2),
                                   state.extent(3)};
    EXPECT_EQ(rae_latents_create(state.data(), shape, &replacement->first), RAE_OK);
  }
  if (step->step == 2) {
    EXPECT_EQ(rae_step_replace(step, nullptr), RAE_ERROR_ARGUMENT);
    EXPECT_EQ(rae_step_replace(step, replacement->first), RAE_OK);
  }
  replacement->outside = step;
  return 0;
}

TEST_F(CGenerator, ACallbackReplacesTheState) {
  Replacement replacement;
  options_.on_step = replace_state;
  options_.user_data = &replacement;
  GenerateOptions same{.labels = {2, 0, 1}, .seed = 4};
  Tensor<float> first;  // (B, C, h, w)
  same.on_step = [&](const StepInfo& info) {
    if (info.step == 1) first = info.x;
    if (info.step == 2) info.replace(first);
    return true;
  };
  EXPECT_EQ(sample(), expected_.sample(same));
  // Outside of the callback there is no step.
  EXPECT_EQ(rae_step_replace(replacement.outside, replacement.first), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(rae_step_replace(nullptr, replacement.first), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(rae_latents_free(replacement.first), RAE_OK);
}

/// The steps that a callback has seen, and the action that it takes.
struct Watch {
  rae_generator* generator = nullptr;
  std::vector<rae_step> steps{};
  std::vector<Tensor<float>> denoised{};  // (b, C, h, w) each
  std::vector<Image> previews{};
  std::int64_t stop_after = -1;
  bool cancel = false;
};

int watch_step(const rae_step* step, void* user_data) {
  auto& seen = *static_cast<Watch*>(user_data);
  seen.steps.push_back(*step);
  seen.denoised.push_back(copied(step->denoised));
  rae_image* picture = nullptr;
  EXPECT_EQ(rae_generator_preview(seen.generator, step, step->pictures - 1, &picture), RAE_OK);
  seen.previews.push_back(taken(&picture, 1).at(0));
  EXPECT_EQ(rae_generator_preview(seen.generator, step, step->pictures, &picture),
            RAE_ERROR_ARGUMENT);
  EXPECT_EQ(rae_generator_free(seen.generator), RAE_ERROR_BUSY);
  if (seen.cancel) {
    // Another thread may cancel, but not compute.
    std::thread other([&] {
      rae_image* images[3];
      EXPECT_EQ(rae_generator_decode(seen.generator, step->denoised, images, 3), RAE_ERROR_BUSY);
      EXPECT_EQ(rae_last_status(), RAE_ERROR_BUSY);
      EXPECT_EQ(rae_generator_cancel(seen.generator), RAE_OK);
    });
    other.join();
  }
  return step->step == seen.stop_after ? 1 : 0;
}

TEST_F(CGenerator, ReportsStepsWithTheDenoisedEstimate) {
  Watch seen{.generator = generator_};
  options_.on_step = watch_step;
  options_.user_data = &seen;
  options_.batch_size = 2;
  EXPECT_EQ(sample().size(), 3u);
  std::size_t at = 0;
  (void)expected_.sample(
      {.labels = {2, 0, 1}, .seed = 4, .batch_size = 2, .on_step = [&](const StepInfo& info) {
         const rae_step& step = seen.steps.at(at);
         EXPECT_EQ(step.size, sizeof(rae_step));
         EXPECT_EQ(step.step, info.step);
         EXPECT_EQ(step.steps, info.steps);
         EXPECT_EQ(step.time, static_cast<double>(info.t));
         EXPECT_EQ(step.first_picture, info.first);
         EXPECT_EQ(step.pictures, info.x.extent(0));
         const Tensor<float> data = info.denoised();  // (b, C, h, w)
         EXPECT_TRUE(equal_values(seen.denoised[at], data));
         EXPECT_EQ(seen.previews[at], expected_.decode(data).back());
         ++at;
         return true;
       }});
  EXPECT_EQ(at, seen.steps.size());
  EXPECT_EQ(at, 8u);
  EXPECT_EQ(seen.steps[7].first_picture, 1);
  EXPECT_EQ(seen.steps[7].pictures, 2);
  // The handle was freed after its call.
  std::int64_t shape[4];
  EXPECT_EQ(rae_latents_shape(seen.steps[0].denoised, shape), RAE_ERROR_ARGUMENT);
}

TEST_F(CGenerator, StopsWhereTheCallbackAsks) {
  Watch seen{.generator = generator_, .stop_after = 2};
  options_.on_step = watch_step;
  options_.user_data = &seen;
  rae_image* images[3];
  EXPECT_EQ(rae_generator_sample(generator_, &options_, images, 3), RAE_CANCELLED);
  EXPECT_EQ(seen.steps.size(), 2u);
  for (const rae_image* image : images) EXPECT_EQ(image, nullptr);
}

TEST_F(CGenerator, OtherThreadsCanCancelButNotCompute) {
  Watch seen{.generator = generator_, .cancel = true};
  options_.on_step = watch_step;
  options_.user_data = &seen;
  rae_latents* z = nullptr;
  EXPECT_EQ(rae_generator_sample_latents(generator_, &options_, &z), RAE_CANCELLED);
  EXPECT_EQ(z, nullptr);
  EXPECT_EQ(seen.steps.size(), 1u);
  // The next call is not cancelled, and a cancellation without a call has no effect.
  EXPECT_EQ(rae_generator_cancel(generator_), RAE_OK);
  options_.on_step = nullptr;
  EXPECT_EQ(sample().size(), 3u);
}

TEST_F(CGenerator, CopiesSampleAtTheSameTime) {
  const std::vector<Image> first = expected_.sample({.labels = {2, 0, 1}, .seed = 4}),
                           second = expected_.sample({.labels = {2, 0, 1}, .seed = 5});
  rae_generator* copy = nullptr;
  ASSERT_EQ(rae_generator_copy(generator_, &copy), RAE_OK);
  std::thread other([&] {
    rae_sample_options options = options_;
    options.seed = 5;
    for (int i = 0; i < 20; ++i) {
      rae_image* images[3];
      EXPECT_EQ(rae_generator_sample(copy, &options, images, 3), RAE_OK);
      EXPECT_EQ(taken(images, 3), second);
    }
  });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(sample(), first);
  other.join();
  EXPECT_EQ(rae_generator_free(copy), RAE_OK);
}

TEST_F(CGenerator, RefusesWrongArguments) {
  rae_image* images[3] = {};
  EXPECT_EQ(rae_generator_sample(generator_, nullptr, images, 3), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(rae_generator_sample(generator_, &options_, nullptr, 3), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(rae_generator_sample(generator_, &options_, images, 2), RAE_ERROR_ARGUMENT);
  const auto refused = [&](auto member, auto value) {
    rae_sample_options wrong = options_;
    wrong.*member = value;
    return rae_generator_sample(generator_, &wrong, images, 3) == RAE_ERROR_ARGUMENT;
  };
  EXPECT_TRUE(refused(&rae_sample_options::labels, nullptr));
  EXPECT_TRUE(refused(&rae_sample_options::steps, -1));
  EXPECT_TRUE(refused(&rae_sample_options::solver, "rk5"));
  EXPECT_TRUE(refused(&rae_sample_options::sampler, "odd"));
  EXPECT_TRUE(refused(&rae_sample_options::grid, "empty"));
  EXPECT_TRUE(refused(&rae_sample_options::guidance, 5));
  EXPECT_TRUE(refused(&rae_sample_options::rng, "dice"));
  EXPECT_TRUE(refused(&rae_sample_options::reuse_error, -1.0));
  const std::int64_t unknown[] = {0, 1, 3};
  EXPECT_TRUE(refused(&rae_sample_options::labels, unknown));
  rae_latents* z = nullptr;
  const float zeros[16] = {};
  const std::int64_t shape[] = {1, 16, 1, 1};
  ASSERT_EQ(rae_latents_create(zeros, shape, &z), RAE_OK);
  EXPECT_EQ(rae_generator_decode(generator_, z, images, 1), RAE_ERROR_SHAPE);
  options_.noise = z;
  EXPECT_EQ(rae_generator_sample(generator_, &options_, images, 3), RAE_ERROR_SHAPE);
  EXPECT_EQ(rae_latents_free(z), RAE_OK);
  EXPECT_EQ(rae_generator_sample(generator_, &options_, images, 3), RAE_ERROR_ARGUMENT) << "freed";
  for (const rae_image* image : images) EXPECT_EQ(image, nullptr);
}

int throw_exception(const rae_step*, void*) { throw std::runtime_error("mine"); }

TEST_F(CGenerator, ExceptionsOfACallbackBecomeAnError) {
  options_.on_step = throw_exception;
  rae_latents* z = nullptr;
  EXPECT_EQ(rae_generator_sample_latents(generator_, &options_, &z), RAE_ERROR_INTERNAL);
  EXPECT_STREQ(rae_last_error(), "mine");
}

TEST(CBuiltinModel, AProgramInC89DrawsThePictureOfTheGenerator) {
  const TempFolder folder;
  const std::string out = folder / "c.png", steps = folder / "steps";
  ASSERT_EQ(std::system((std::string(RAE_DRAW_IN_C) + " " + out + " > " + steps).c_str()), 0);
  EXPECT_EQ(slurp(steps), "1/4\n2/4\n3/4\n4/4\n");
  const Generator generator = Generator::builtin();
  const GenerateOptions same{.labels = {7}, .seed = 5, .steps = 4};
  EXPECT_EQ(Image::open(out), generator.sample(same).front());
  EXPECT_EQ(read_png_text(out), generator.png_text(same, 0));
}

TEST(CBuiltinModel, IsFoundByName) {
  rae_generator* generator = nullptr;
  EXPECT_EQ(rae_generator_builtin("fashion-mnist", nullptr, &generator), RAE_OK);
  EXPECT_EQ(rae_generator_free(generator), RAE_OK);
  EXPECT_EQ(rae_generator_builtin("fashion", nullptr, &generator), RAE_ERROR_FILE);
  EXPECT_EQ(generator, nullptr);
}

}  // namespace
}  // namespace rae::test
