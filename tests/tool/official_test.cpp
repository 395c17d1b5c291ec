// Official configurations on the command line: every command reproduces the numbers of the official
// code.
#include "rae/formats/official/open.hpp"

#include <algorithm>
#include <filesystem>
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/io/image.hpp"
#include "rae/io/npz.hpp"
#include "rae/spec/auto_dtype.hpp"
#include "support/official_files.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

// As in tests/formats/official/end_to_end_test.cpp.
constexpr double kLatent = 5e-5, kPixels = 2e-5;

class Official : public ToolTest {
 protected:
  /// Runs a command with the golden configuration; it must succeed. Commands that use the diffusion
  /// network print a note about the guidance interval on stderr.
  ToolResult run(const std::string& command, std::vector<std::string> arguments) const {
    const bool samples = command == "generate" || command == "velocity";
    arguments.insert(arguments.begin(), {command, "--config", golden_model_path("config.yaml")});
    auto result = rae(std::move(arguments));
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.err.rfind("rae: note: ", 0) == 0, samples) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), samples ? 1 : 0)
        << result.err;
    return result;
  }

  [[nodiscard]] Tensor<float> read(const std::string& file, const std::string& name) const {
    return SafetensorsFile::open(path(file)).read<float>(name);
  }

  Golden expected_{"e2e_dinov2_ag/expected.safetensors"};
  const std::string noise_ = golden_model_path("expected.safetensors"), labels_ = "3,7";
};

TEST_F(Official, Generate) {
  const auto result =
      run("generate", {"--labels", labels_, "--noise-in", noise_, "--latent-out", "l.safetensors",
                       "--images-out", "i.safetensors", "--out", "grid.png"});
  EXPECT_TRUE(contains(result.out, "grid.png: 2 pictures, 64 x 64 each"));
  EXPECT_TRUE(close(read("l.safetensors", "sample_latent"), expected_("sample_latent"), kLatent));
  EXPECT_TRUE(close(read("i.safetensors", "sample_image"), expected_("sample_image"), kPixels));
  EXPECT_EQ(Image::open(path("grid.png")).width() >= 128, true);
}

TEST_F(Official, StatisticsOfAFolder) {
  Image picture(64, 64, 3);
  for (std::size_t i = 0; i < picture.pixels().size(); ++i)
    picture.pixels()[i] = static_cast<std::uint8_t>(i * i % 251);
  std::filesystem::create_directories(path("pictures/class"));
  picture.save_png(path("pictures/class/1.png"));
  run("stats", {"--data", "pictures", "--out", "s.safetensors"});
  ModelFiles files =
      open_official(golden_model_path("config.yaml"), {.decoder = false, .dit = false});
  files.latent_norm = {};
  const auto latent = Autoencoder(files, {.keep_loaded = false}).encode(picture);  // (1, C, h, w)
  const SafetensorsFile file = SafetensorsFile::open(path("s.safetensors"));
  const auto mean = file.read<double>("mean"), var = file.read<double>("var");  // (C, h, w)
  ASSERT_EQ(mean.numel(), latent.numel());
  for (index_t i = 0; i < mean.numel(); ++i) {
    EXPECT_NEAR(mean[i], static_cast<double>(latent[i]), 1e-6);
    EXPECT_EQ(var[i], 0);
  }
}

// As in sample_ddp.py; pictures of sample.py, and PNG files here, are rounded to the nearest value.
TEST_F(Official, ArchivesAreRoundedDown) {
  run("generate", {"--class", labels_, "--seed", "5", "--steps", "4", "--out", "x.npz"});
  const Generator generator(open_official(golden_model_path("config.yaml"), {.encoder = false}));
  const auto pixels = generator.decode_pixels(
      generator.sample_latents({.labels = {3, 7}, .seed = 5, .steps = 4}));       // (2, 3, 64, 64)
  const auto archive = NpzFile::open(path("x.npz")).read<std::uint8_t>("arr_0");  // (2, 64, 64, 3)
  const auto down = Image::from_batch(pixels, Rounding::truncate);
  std::vector<std::uint8_t> expected;
  for (const Image& image : down)
    expected.insert(expected.end(), image.pixels().begin(), image.pixels().end());
  EXPECT_TRUE(
      std::equal(expected.begin(), expected.end(), archive.span().begin(), archive.span().end()));
  EXPECT_NE(down, Image::from_batch(pixels));
}

TEST_F(Official, OptionsOverrideTheFile) {
  run("generate", {"--class", labels_, "--noise-in", noise_, "--autoguidance", "1", "--latent-out",
                   "l.safetensors", "--out", "x.png"});
  EXPECT_TRUE(
      close(read("l.safetensors", "sample_latent"), expected_("sample_latent_unguided"), kLatent));

  const Generator generator(open_official(golden_model_path("config.yaml"), {.encoder = false}));
  GenerateOptions options{.labels = {3, 7}, .steps = 6, .noise = expected_("noise")};
  options.solver = OdeSolver(Solver::midpoint);
  options.guidance = Cfg{.scale = 2.0f, .t_min = 0.25f, .t_max = 0.75f};
  run("generate",
      {"--class", labels_, "--noise-in", noise_, "--cfg", "2", "--cfg-interval", "0.25,0.75",
       "--steps", "6", "--sampler", "midpoint", "--latent-out", "l.safetensors", "--out", "x.png"});
  EXPECT_TRUE(close(read("l.safetensors", "sample_latent"), generator.sample_latents(options), 0));

  GenerateOptions stochastic{.labels = {3, 7}, .seed = 4, .steps = 5, .kind = SamplerKind::sde};
  stochastic.sde = generator.config().sampling.sde;
  stochastic.sde->solver = SdeSolver::heun;
  run("generate", {"--class", labels_, "--seed", "4", "--steps", "5", "--sampler", "sde_heun",
                   "--latent-out", "l.safetensors", "--out", "x.png"});
  EXPECT_TRUE(
      close(read("l.safetensors", "sample_latent"), generator.sample_latents(stochastic), 0));
}

// Pictures to look at take the fastest type; everything to compare is exact, as the tests above
// show.
TEST_F(Official, PicturesTakeTheFastestType) {
  const std::string config = golden_model_path("config.yaml");
  const auto draw = [&](const std::string& type, const std::string& out) {
    std::vector<std::string> arguments{"generate", "--config", config,  "--class", "3",
                                       "--steps",  "3",        "--out", out};
    if (!type.empty()) arguments.insert(arguments.end(), {"--dtype", type});
    const auto result = rae(arguments);
    EXPECT_EQ(result.status, 0) << result.err;
    return result;
  };
  const std::string type(name_of(fastest_dtype()));
  const auto result = draw("", "default.png");
  EXPECT_EQ(contains(result.err, "rae: note: products of type " + type), type != "f32")
      << result.err;
  EXPECT_FALSE(contains(draw(type, "given.png").err, "products of type"));
  draw("f32", "f32.png");
  const auto text = read_png_text(path("default.png"));
  EXPECT_EQ(text.count("dtype") == 0 ? "f32" : text.at("dtype"), type);
  EXPECT_EQ(Image::open(path("default.png")), Image::open(path("given.png")));
  EXPECT_EQ(read_png_text(path("f32.png")).count("dtype"), 0u);
  const auto between = rae({"interpolate", "3@1", "3@2", "--config", config, "--steps", "3",
                            "--count", "2", "--out", "between.png"});
  EXPECT_EQ(contains(between.err, "products of type " + type), type != "f32") << between.err;
}

TEST_F(Official, EncodeAndDecode) {
  const std::string picture = golden_model_path("input.png");
  run("encode", {"--image", picture, "--out", "z.safetensors"});
  EXPECT_TRUE(close(read("z.safetensors", "latent"), expected_("latent"), kLatent));
  run("decode", {"--latent", "z.safetensors", "--out", "out.png", "--images-out", "r.safetensors"});
  EXPECT_TRUE(close(read("r.safetensors", "reconstruction"), expected_("reconstruction"), kPixels));
  EXPECT_EQ(Image::open(path("out.png")),
            Image::from_batch(read("r.safetensors", "reconstruction")).front());
  run("reconstruct", {picture, "again.png"});
  EXPECT_EQ(Image::open(path("again.png")), Image::open(path("out.png")));
}

TEST_F(Official, Velocity) {
  const auto result = run("velocity", {"--noise-in", noise_, "--t", "0.73", "--labels", labels_,
                                       "--out", "v.safetensors"});
  EXPECT_TRUE(contains(result.out, "v.safetensors: velocity (2, 48, 4, 4)"));
  EXPECT_TRUE(close(read("v.safetensors", "velocity"), expected_("velocity"), kLatent));
}

TEST_F(Official, VelocityOfABundleAndOfTheNullClass) {
  tiny_bundle().save(path("m.safetensors"));
  const Tensor<float> noise(Shape{2, 16, 2, 2}, 0.5f);  // (B, C, h, w)
  const SafetensorsEntry entry{"noise", noise};
  write_safetensors(path("n.safetensors"), {&entry, 1});
  const auto result = rae({"velocity", "-m", "m.safetensors", "--noise-in", "n.safetensors", "--t",
                           "0.5", "--labels", "3", "--out", "v.safetensors"});
  EXPECT_EQ(result.status, 0) << result.err;
  const std::vector<std::int64_t> null{3, 3};
  EXPECT_TRUE(close(read("v.safetensors", "velocity"),
                    Generator(tiny_bundle()).velocity(noise, 0.5f, null), 0));
}

TEST_F(Official, ListsMissingFiles) {
  write("c.yaml", changed_golden_config({}).to_json(1));
  const auto result =
      rae({"generate", "--config", "c.yaml", "--models", "nowhere", "--class", "1"});
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "parts of the model are missing"));
  EXPECT_TRUE(contains(result.err, "stage_1.params.pretrained_decoder_path"));
  EXPECT_TRUE(contains(result.err, "guidance.guidance_model.ckpt"));
  EXPECT_EQ(files(), std::vector<std::string>{"c.yaml"});
}

TEST_F(Official, ModelAndConfigurationExcludeEachOther) {
  const auto result = rae({"generate", "--model", "builtin", "--config", "c.yaml"});
  EXPECT_EQ(result.status, 2);
  EXPECT_TRUE(contains(result.err, "--config"));
  EXPECT_EQ(rae({"generate", "--models", "m"}).status, 2);
  EXPECT_EQ(rae({"generate", "--cfg", "2", "--autoguidance", "2"}).status, 2);
}

TEST_F(Official, NoGuideForAutoguidance) {
  tiny_bundle().save(path("m.safetensors"));
  const auto result = rae({"generate", "-m", "m.safetensors", "--autoguidance", "1.5"});
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "'tiny' has no guide"));
}

}  // namespace
}  // namespace rae::test
