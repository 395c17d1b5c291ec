// Options of `rae generate` for pictures that begin with others, and its previews.
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/generate/interpolation.hpp"
#include "rae/generate/preset.hpp"
#include "rae/generate/token_mask.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class PictureStartTest : public ToolTest {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    Image picture(8, 8, 1), mask(8, 8, 1);
    for (std::size_t i = 0; i < 64; ++i) {
      picture.pixels()[i] = static_cast<std::uint8_t>(3 * i);
      mask.pixels()[i] = i % 8 < 4 ? 255 : 0;  // the left half changes
    }
    picture.save_png(path("in.png"));
    mask.save_png(path("mask.png"));
  }
  [[nodiscard]] ToolResult generate(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"generate", "--model", "m.safetensors"});
    return rae(arguments);
  }
  [[nodiscard]] Image picture() const { return Image::open(path("in.png")); }
};

TEST_F(PictureStartTest, BeginsWithAPicture) {
  const auto generator = Generator::load(path("m.safetensors"));
  const auto autoencoder = Autoencoder::load(path("m.safetensors"));
  GenerateOptions options{.labels = {2}, .seed = 5};
  options.init = autoencoder.encode(picture());
  for (const auto& [word, strength] :
       {std::pair("", 0.6), std::pair("0", 0.0), std::pair("0.25", 0.25), std::pair("1", 1.0)}) {
    options.strength = strength;
    std::vector<std::string> arguments{"--init", "in.png", "--class", "star", "--seed", "5"};
    if (*word != 0) arguments.insert(arguments.end(), {"--strength", word});
    const auto result = generate(arguments);
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(Image::open(path("samples.png")), generator.sample(options)[0]) << word;
    const auto text = read_png_text(path("samples.png"));
    EXPECT_EQ(text.at("init"), "in.png");
    EXPECT_EQ(text.at("seed"), "5");
  }
  // Latents are taken as they are.
  EXPECT_EQ(rae({"encode", "--model", "m.safetensors", "in.png", "z.safetensors"}).status, 0);
  EXPECT_EQ(generate({"--init", "z.safetensors", "--strength", "0", "--out", "z.png"}).status, 0);
  EXPECT_EQ(generate({"--init", "in.png", "--strength", "0", "--out", "p.png"}).status, 0);
  EXPECT_EQ(Image::open(path("z.png")), Image::open(path("p.png")));
}

TEST_F(PictureStartTest, ChangesOnlyTheTokensOfTheMask) {
  const auto generator = Generator::load(path("m.safetensors"));
  GenerateOptions options{.labels = {2}};
  options.init = Autoencoder::load(path("m.safetensors")).encode(picture());
  options.mask = token_mask(Image::open(path("mask.png")), generator.config());
  const auto result = generate({"--init", "in.png", "--mask", "mask.png", "--class", "star"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(Image::open(path("samples.png")), generator.sample(options)[0]);
  EXPECT_EQ(read_png_text(path("samples.png")).at("mask"), "mask.png");
  Image(9, 8, 1).save_png(path("wide.png"));
  const auto wrong = generate({"--init", "in.png", "--mask", "wide.png"});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_TRUE(contains(wrong.err, "'wide.png' has 9 x 8 pixels"));
}

TEST_F(PictureStartTest, VariationsOfAPictureOfASeed) {
  const auto generator = Generator::load(path("m.safetensors"));
  const auto result = generate({"--class", "star,circle", "--variations", "3", "--strength", "0.5",
                                "--seed", "7", "--out", "d"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(Image::open(path("d/000000-star.png")),
            generator.sample({.labels = {2}, .seed = 7})[0]);
  EXPECT_EQ(Image::open(path("d/000003-circle.png")),
            generator.sample({.labels = {0}, .seed = 7})[0]);
  const double share = 0.5;
  GenerateOptions second{.labels = {0}};
  second.noise = spherical_path(generator.noise(7, 1), generator.noise(7, 1, 1), {&share, 1});
  EXPECT_EQ(Image::open(path("d/000004-circle.png")), generator.sample(second)[0]);
  const auto text = read_png_text(path("d/000004-circle.png"));
  EXPECT_EQ(text.at("variation"), "0.5");
  EXPECT_EQ(text.at("seed"), "7");
}

TEST_F(PictureStartTest, WritesPreviews) {
  const auto result =
      generate({"--count", "4", "--steps", "6", "--preview", "now.png", "--preview-interval", "4"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(read_png_text(path("now.png")).at("step"), "4");
  const auto generator = Generator::load(path("m.safetensors"));
  Tensor<float> estimate;  // (B, C, h, w)
  GenerateOptions options{.labels = {0, 1, 2, 0}, .steps = 6};
  options.on_step = [&](const StepInfo& info) {
    if (info.step == 4) estimate = info.denoised();
    return true;
  };
  EXPECT_EQ(Image::open(path("samples.png")), Image::grid(generator.sample(options), 3));
  EXPECT_EQ(Image::open(path("now.png")), Image::grid(generator.decode(estimate), 4));
}

TEST_F(PictureStartTest, AppliesAPreset) {
  const auto generator = Generator::load(path("m.safetensors"));
  GenerateOptions options{.labels = {1}};
  apply_preset(Preset::fast, generator.config(), options);
  EXPECT_EQ(generate({"--class", "1", "--preset", "fast"}).status, 0);
  EXPECT_EQ(Image::open(path("samples.png")), generator.sample(options)[0]);
  EXPECT_EQ(read_png_text(path("samples.png")).at("solver"), "ab2");
  const auto wrong = generate({"--preset", "quick"});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_TRUE(contains(wrong.err, "expected exact, balanced or fast"));
}

TEST_F(PictureStartTest, RefusesOptionsThatDoNotFit) {
  EXPECT_TRUE(contains(generate({"--mask", "mask.png"}).err, "--mask: needs --init"));
  EXPECT_TRUE(contains(generate({"--strength", "0.5"}).err, "--strength: needs --init"));
  EXPECT_EQ(generate({"--variations", "3", "--count", "2"}).status, 2);
  EXPECT_EQ(generate({"--preview-interval", "3"}).status, 2);
  EXPECT_EQ(generate({"--init", "none.png"}).status, 1);
  EXPECT_FALSE(exists("samples.png"));
}

}  // namespace
}  // namespace rae::test
