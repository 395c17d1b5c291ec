#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/generate/interpolation.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class Interpolate : public ToolTest {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    Image(8, 8, 1, 40).save_png(path("a.png"));
    Image(8, 8, 1, 200).save_png(path("b.png"));
  }
  [[nodiscard]] ToolResult interpolate(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"interpolate", "--model", "m.safetensors"});
    return rae(arguments);
  }
  std::vector<double> shares_{0.0, 0.5, 1.0};
};

TEST_F(Interpolate, BetweenPicturesOnTheLine) {
  const auto model = Autoencoder::load(path("m.safetensors"));
  const auto result = interpolate({"a.png", "b.png", "--count", "3"});
  EXPECT_EQ(result.status, 0) << result.err;
  const Tensor<float> z = linear_path(model.encode(Image::open(path("a.png"))),
                                      model.encode(Image::open(path("b.png"))), shares_);
  EXPECT_EQ(Image::open(path("interpolation.png")), Image::grid(model.decode(z), 3));
  EXPECT_EQ(read_png_text(path("interpolation.png")).at("from"), "a.png");
}

TEST_F(Interpolate, BetweenSeedsOnTheGreatCircle) {
  const auto generator = Generator::load(path("m.safetensors"));
  const auto result = interpolate({"3", "4", "--count", "3", "--class", "star", "--out", "d"});
  EXPECT_EQ(result.status, 0) << result.err;
  GenerateOptions options{.labels = {2, 2, 2}};
  options.noise = spherical_path(generator.noise(3, 1), generator.noise(4, 1), shares_);
  const auto images = generator.sample(options);
  EXPECT_EQ(images[0], generator.sample({.labels = {2}, .seed = 3})[0]);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(Image::open(path("d/00000" + std::to_string(i) + ".png")), images[i]);
  EXPECT_EQ(read_png_text(path("d/000001.png")).at("share"), "0.5");
}

TEST_F(Interpolate, BetweenClassesByTheirLatents) {
  const auto generator = Generator::load(path("m.safetensors"));
  EXPECT_EQ(interpolate({"circle@3", "star@3", "--count", "3", "--out", "d"}).status, 0);
  const Tensor<float> a = generator.sample_latents({.labels = {0}, .seed = 3}),
                      b = generator.sample_latents({.labels = {2}, .seed = 3});  // (1, C, h, w)
  const auto images = generator.decode(linear_path(a, b, shares_));
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(Image::open(path("d/00000" + std::to_string(i) + ".png")), images[i]);
}

TEST_F(Interpolate, RefusesEndsThatDoNotFit) {
  EXPECT_EQ(interpolate({"a.png", "4"}).status, 2);
  EXPECT_EQ(interpolate({"a.png", "b.png", "--steps", "4"}).status, 2);
  EXPECT_EQ(interpolate({"star@x", "star@2"}).status, 2);
  EXPECT_TRUE(contains(interpolate({"stor@1", "star@2"}).err, "star"));
  EXPECT_EQ(interpolate({"a.png", "none.png"}).status, 1);
  EXPECT_FALSE(exists("interpolation.png"));
}

}  // namespace
}  // namespace rae::test
