#include "rae/generate/generator.hpp"

#include <limits>
#include <map>
#include <numeric>

#include "rae/core/random.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/version.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::expect_close;
using test::message_of;

Generator tiny_generator() { return Generator(test::tiny_bundle()); }

/// Large enough that products have several panels, several blocks of rows, and remainders: 16
/// tokens of 40 dimensions.
Bundle odd_bundle() {
  ModelConfig c = test::tiny_config();
  c.image_size = 16;
  EncoderConfig& encoder = test::vit_of(c);
  encoder.table_h = encoder.table_w = 4;
  encoder.hidden_size = c.decoder->in_dim = test::dit_of(c).in_channels = 40;
  c.decoder->grid_h = c.decoder->grid_w = test::dit_of(c).grid_h = test::dit_of(c).grid_w = 4;
  c.decoder->hidden_size = 56;
  test::dit_of(c).hidden_size[0] = 40;
  test::dit_of(c).hidden_size[1] = 72;
  return test::random_bundle(c);
}

/// Restores the number of threads and the instruction set.
struct Settings {
  Isa isa = active_isa();
  ~Settings() {
    set_num_threads(0);
    set_isa(isa);
  }
};

TEST(GeneratorTest, PicturesDependOnlyOnSeedAndIndex) {
  const Settings restore;
  const Bundle bundle = odd_bundle();
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < 11; ++i) labels.push_back(i % 3);
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::neon}) {
    if (!supports(isa)) continue;
    set_isa(isa);
    const Generator generator(bundle);
    set_num_threads(1);
    // (B, C, h, w)
    const Tensor<float> expected =
        generator.sample_latents({.labels = labels, .seed = 5, .steps = 2, .batch_size = 11});
    const std::vector<Image> pictures = generator.decode(expected);
    for (const int threads : {1, 2})
      for (const index_t batch : {1, 4, 10}) {
        set_num_threads(threads);
        const Tensor<float> z = generator.sample_latents(
            {.labels = labels, .seed = 5, .steps = 2, .batch_size = batch});  // (B, C, h, w)
        expect_close(z, expected, 0.0,
                     concat(name_of(isa), ", ", threads, " threads, batches of ", batch));
      }
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const std::vector<Image> alone =
          generator.sample({.labels = {labels[i]}, .seed = 5, .first_index = i, .steps = 2});
      EXPECT_EQ(alone.front(), pictures[i]) << name_of(isa) << ", picture " << i;
    }
  }
}

TEST(GeneratorTest, NoiseIsDrawnFromOneStreamPerPicture) {
  const Generator generator = tiny_generator();
  const Tensor<float> noise = generator.noise(9, 3, 4);  // (B, C, h, w)
  ASSERT_EQ(noise.shape(), (Shape{3, 16, 2, 2}));
  for (index_t b = 0; b < 3; ++b) {
    const Philox stream(9, 4 + static_cast<std::uint64_t>(b));
    for (index_t i = 0; i < 64; ++i)
      ASSERT_EQ(noise[b * 64 + i], stream.normal(static_cast<std::uint64_t>(i)));
  }
  const std::vector<std::int64_t> labels{0, 1, 2};
  expect_close(generator.sample_latents({.labels = labels, .noise = noise}),
               generator.sample_latents({.labels = labels, .seed = 9, .first_index = 4}), 0.0);
  EXPECT_THROW((void)generator.noise(9, 0), ArgumentError);
}

TEST(GeneratorTest, LabelsSeedsAndSettingsChangePictures) {
  const Generator generator = tiny_generator();
  const GenerateOptions base{.labels = {1}, .seed = 3};
  const Tensor<float> z = generator.sample_latents(base);  // (B, C, h, w)
  expect_close(generator.sample_latents(base), z, 0.0);
  const auto differs = [&](auto change) {
    GenerateOptions options = base;
    change(options);
    return !test::close(generator.sample_latents(options), z, 1e-4);
  };
  EXPECT_TRUE(differs([](GenerateOptions& o) { o.labels = {2}; }));
  EXPECT_TRUE(differs([](GenerateOptions& o) { o.seed = 4; }));
  EXPECT_TRUE(differs([](GenerateOptions& o) { o.first_index = 1; }));
  EXPECT_TRUE(differs([](GenerateOptions& o) { o.steps = 9; }));
  EXPECT_TRUE(differs([](GenerateOptions& o) { o.solver = Solver::heun; }));
  EXPECT_TRUE(differs([](GenerateOptions& o) { o.guidance = Cfg{}; }));
  // The same as the defaults of the model.
  EXPECT_FALSE(differs([](GenerateOptions& o) {
    o.steps = 4;
    o.solver = Solver::euler;
    o.guidance = Cfg{.scale = 1.5f, .t_min = 0.25f, .t_max = 0.75f};
  }));
}

TEST(GeneratorTest, IntegratesTheGuidedVelocity) {
  const Bundle bundle = test::tiny_bundle();
  DitDh<Tensor<float>> dit(bundle.config.dit->get<DitDhConfig>());
  bundle.restore("dit.", dit);
  const Generator generator(bundle);
  Tensor<float> x = generator.noise(2, 1);  // (B, C, h, w)
  const std::vector<float> grid = full_time_grid(4, 1.5);
  for (std::size_t i = 0; i + 1 < grid.size(); ++i) {
    const Tensor<float> t(Shape{1}, grid[i]);  // (1)
    const std::vector<std::int64_t> label{1}, null_class{3};
    const Tensor<float> v = dit(x, t, label), w = dit(x, t, null_class);  // (B, C, h, w) each
    const float scale = grid[i] >= 0.25f && grid[i] <= 0.75f ? 1.5f : 1.0f;
    float* state = x.data();
    for (index_t j = 0; j < x.numel(); ++j)
      state[j] += (grid[i + 1] - grid[i]) * (w[j] + scale * (v[j] - w[j]));
  }
  expect_close(generator.sample_latents({.labels = {1}, .seed = 2}), x, 1e-5);
}

TEST(GeneratorTest, SamplesWithEverySolver) {
  const Generator generator = tiny_generator();
  const Tensor<float> exact = generator.sample_latents(
      {.labels = {0}, .steps = 400, .solver = Solver::rk4, .guidance = Cfg{}});  // (B, C, h, w)
  for (const Solver solver :
       {Solver::euler, Solver::midpoint, Solver::heun, Solver::heun3, Solver::rk4})
    expect_close(generator.sample_latents(
                     {.labels = {0}, .steps = 200, .solver = solver, .guidance = Cfg{}}),
                 exact, solver == Solver::euler ? 0.05 : 1e-3, name_of(solver));
}

TEST(GeneratorTest, DecodesLikeTheAutoencoder) {
  const Bundle bundle = test::tiny_bundle();
  const Generator generator(bundle);
  const Tensor<float> z = generator.sample_latents({.labels = {0, 1, 2, 1, 0}});  // (B, C, h, w)
  const std::vector<Image> images = generator.decode(z);
  EXPECT_EQ(images, Autoencoder(bundle).decode(z));
  EXPECT_EQ(images, generator.sample({.labels = {0, 1, 2, 1, 0}}));
  ASSERT_EQ(images.size(), 5u);
  EXPECT_EQ(images[0].width(), 8);
  EXPECT_EQ(images[0].channels(), 1);
}

TEST(GeneratorTest, DoesNotNeedTheEncoder) {
  Bundle bundle = test::tiny_bundle();
  const Tensor<float> z = Generator(bundle).sample_latents({.labels = {0}});  // (B, C, h, w)
  bundle.remove("encoder.");
  expect_close(Generator(bundle).sample_latents({.labels = {0}}), z, 0.0);
}

TEST(GeneratorTest, LoadsASavedModel) {
  const test::TempFolder folder;
  const Bundle bundle = test::tiny_bundle();
  bundle.save(folder / "m.safetensors");
  EXPECT_EQ(Generator::load(folder / "m.safetensors").sample({.labels = {2}}),
            Generator(bundle).sample({.labels = {2}}));
}

TEST(GeneratorTest, TheCallbackCountsStepsOfAllBatches) {
  const Generator generator = tiny_generator();
  std::vector<index_t> steps, sizes, firsts;
  std::vector<float> times;
  (void)generator.sample({.labels = {0, 1, 2, 0, 1},
                          .steps = 2,
                          .batch_size = 2,
                          .on_step = [&](const StepInfo& info) {
                            EXPECT_EQ(info.steps, 6);
                            steps.push_back(info.step);
                            times.push_back(info.t);
                            sizes.push_back(info.x.extent(0));
                            firsts.push_back(info.first);
                            EXPECT_EQ(info.denoised().shape(), info.x.shape());
                            return true;
                          }});
  EXPECT_EQ(steps, (std::vector<index_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(std::accumulate(sizes.begin(), sizes.end(), index_t{0}), 10);
  EXPECT_EQ(firsts, (std::vector<index_t>{0, 0, sizes[0], sizes[0], sizes[0] + sizes[2],
                                          sizes[0] + sizes[2]}));
  EXPECT_EQ(times[1], 0.0f);
  EXPECT_EQ(times[4], times[0]);
}

TEST(GeneratorTest, TheCallbackCanStop) {
  const Generator generator = tiny_generator();
  index_t calls = 0;
  const std::string message = message_of<Cancelled>([&] {
    (void)generator.sample(
        {.labels = {0, 1}, .steps = 3, .batch_size = 1, .on_step = [&](const StepInfo&) {
           return ++calls < 4;
         }});
  });
  EXPECT_EQ(calls, 4);
  EXPECT_NE(message.find("step 4 of 6"), std::string::npos) << message;
}

TEST(GeneratorTest, ExceptionsOfTheCallbackReachTheCaller) {
  const GenerateOptions options{
      .labels = {0}, .on_step = [](const StepInfo&) -> bool { throw std::runtime_error("mine"); }};
  EXPECT_THROW((void)tiny_generator().sample(options), std::runtime_error);
}

TEST(GeneratorTest, RefusesOptionsOutOfRange) {
  const Generator generator = tiny_generator();
  const auto refuses = [&]<class E>(const GenerateOptions& options, const char* expected, E*) {
    const std::string message = message_of<E>([&] { (void)generator.sample(options); });
    EXPECT_NE(message.find(expected), std::string::npos) << message;
    EXPECT_EQ(message_of<E>([&] { (void)generator.png_text(options, 0); }), message);
  };
  constexpr ArgumentError* kArgument = nullptr;
  refuses({}, "no labels", kArgument);
  refuses({.labels = {0, 3}}, "there is no class 3; expected 0 to 2 (circle, square, star)",
          kArgument);
  refuses({.labels = {-1}}, "there is no class -1", kArgument);
  refuses({.labels = {0}, .steps = -1}, "1 to 100000 steps", kArgument);
  refuses({.labels = {0}, .steps = 100001}, "1 to 100000 steps", kArgument);
  refuses({.labels = {0}, .guidance = Cfg{.scale = -1}}, "scale >= 0", kArgument);
  refuses({.labels = {0}, .guidance = Cfg{.scale = 2, .t_min = 0.7f, .t_max = 0.6f}},
          "t_min <= t_max", kArgument);
  refuses({.labels = {0}, .batch_size = -1}, "batch_size", kArgument);
  constexpr ShapeError* kShape = nullptr;
  refuses({.labels = {0}, .noise = Tensor<float>(Shape{1, 16, 2, 3}, 0.0f)},
          "expected shape (B, 16, 2, 2)", kShape);
  refuses({.labels = {0}, .noise = Tensor<float>(Shape{16, 2, 2}, 0.0f)},
          "expected shape (B, 16, 2, 2)", kShape);
  refuses({.labels = {0}, .noise = Tensor<float>(Shape{2, 16, 2, 2}, 0.0f)},
          "2 pictures, but 1 labels", kShape);
  constexpr NumericError* kNumeric = nullptr;
  refuses({.labels = {0}, .noise = Tensor<float>(Shape{1, 16, 2, 2}, NAN)},
          "sample 0 of 1 contains NaN", kNumeric);
}

TEST(GeneratorTest, RefusesInvalidLatents) {
  const Generator generator = tiny_generator();
  EXPECT_THROW((void)generator.decode({}), ShapeError);
  EXPECT_THROW((void)generator.decode(Tensor<float>(Shape{0, 16, 2, 2}, 0.0f)), ShapeError);
  EXPECT_THROW((void)generator.decode(Tensor<float>(Shape{1, 16, 4, 1}, 0.0f)), ShapeError);
  Tensor<float> z(Shape{2, 16, 2, 2}, 0.0f);  // (2, 16, 2, 2)
  z[100] = std::numeric_limits<float>::infinity();
  const std::string message = message_of<NumericError>([&] { (void)generator.decode(z); });
  EXPECT_NE(message.find("sample 1 of 2"), std::string::npos) << message;
}

TEST(GeneratorTest, RefusesGuidanceWithoutANullClass) {
  ModelConfig config = test::tiny_config();
  test::dit_of(config).class_dropout_prob = 0;
  config.sampling.guidance = {};
  const Generator generator(test::random_bundle(config));
  EXPECT_NO_THROW((void)generator.sample({.labels = {2}}));
  EXPECT_THROW((void)generator.sample({.labels = {2}, .guidance = Cfg{.scale = 2}}), ArgumentError);
}

TEST(GeneratorTest, RefusesBundlesWithMissingOrWrongNetworks) {
  ModelConfig config = test::tiny_config();
  config.dit.reset();
  std::string message =
      message_of<FormatError>([&] { (void)Generator(test::random_bundle(config)); });
  EXPECT_NE(message.find("has no DiT"), std::string::npos) << message;
  config = test::tiny_config();
  config.decoder.reset();
  message = message_of<FormatError>([&] { (void)Generator(test::random_bundle(config)); });
  EXPECT_NE(message.find("has no decoder"), std::string::npos) << message;
  Bundle bundle = test::tiny_bundle();
  // The number of elements is right, but the shape is not.
  bundle.tensors["dit.pos_embed"] = bundle.tensors.at("dit.pos_embed").reshaped({1, 16, 4});
  EXPECT_THROW((void)Generator(bundle), ShapeError);
}

TEST(GeneratorTest, FindsClassesByNameAndNumber) {
  ModelConfig config = test::tiny_config();
  config.class_names = {"T-shirt", "2", "star"};
  const Generator generator(test::random_bundle(config));
  EXPECT_EQ(generator.num_classes(), 3);
  EXPECT_EQ(generator.class_names()[2], "star");
  EXPECT_EQ(generator.label_of("star"), 2);
  EXPECT_EQ(generator.label_of("t-SHIRT"), 0);
  EXPECT_EQ(generator.label_of("0"), 0);
  EXPECT_EQ(generator.label_of("2"), 1);  // names take precedence over numbers
  for (const char* bad : {"", "3", "-1", "1x", "0.5", "99999999999999999999"})
    EXPECT_THROW((void)generator.label_of(bad), ArgumentError) << bad;
  const std::string message =
      message_of<ArgumentError>([&] { (void)generator.label_of("tshirt"); });
  EXPECT_NE(message.find("there is no class 'tshirt'; expected 0 to 2 (T-shirt, 2, star); did you "
                         "mean 't-shirt'?"),
            std::string::npos)
      << message;
}

TEST(GeneratorTest, PngTextReproducesThePicture) {
  const Generator generator = tiny_generator();
  const GenerateOptions options{.labels = {0, 2},
                                .seed = 7,
                                .first_index = 30,
                                .solver = Solver::heun,
                                .guidance = Cfg{.scale = 1.1f}};
  const std::map<std::string, std::string> expected{{"Software", std::string("rae ") + kVersion},
                                                    {"model", "tiny"},
                                                    {"class", "star"},
                                                    {"label", "2"},
                                                    {"seed", "7"},
                                                    {"index", "31"},
                                                    {"steps", "4"},
                                                    {"solver", "heun"},
                                                    {"cfg", "1.1"},
                                                    {"cfg_interval", "0,1"}};
  EXPECT_EQ(generator.png_text(options, 1), expected);
  EXPECT_THROW((void)generator.png_text(options, 2), ArgumentError);
  const auto plain =
      generator.png_text({.labels = {0}, .guidance = Cfg{}, .noise = generator.noise(0, 1)}, 0);
  EXPECT_EQ(plain.at("cfg"), "1");
  EXPECT_EQ(plain.at("noise"), "given");
  EXPECT_EQ(plain.count("cfg_interval") + plain.count("seed") + plain.count("index"), 0u);
}

TEST(GeneratorTest, CopiesShareTheWeights) {
  Generator a = tiny_generator();
  const Generator b = a;
  const std::vector<Image> images = b.sample({.labels = {1}});
  a = Generator(test::tiny_bundle(50));
  EXPECT_EQ(b.sample({.labels = {1}}), images);
  EXPECT_NE(a.sample({.labels = {1}}), images);
}

}  // namespace
}  // namespace rae
