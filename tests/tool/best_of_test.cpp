#include <algorithm>
#include <cmath>

#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/io/dataset.hpp"
#include "rae/train/classifier_trainer.hpp"
#include "support/picture_folder.hpp"
#include "support/tiny_bundle.hpp"
#include "support/tiny_classifier.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class BestOf : public ToolTest {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    Image(8, 8, 1, 90).save_png(path("in.png"));
  }
  [[nodiscard]] ToolResult generate(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"generate", "--model", "m.safetensors"});
    return rae(arguments);
  }
};

TEST_F(BestOf, KeepsTheNearestToThePicture) {
  const auto generator = Generator::load(path("m.safetensors"));
  GenerateOptions all{.labels = {2, 2, 2, 0, 0, 0}};
  all.init = Autoencoder::load(path("m.safetensors")).encode(Image::open(path("in.png")));
  all.strength = 0.5;
  const Tensor<float> z = generator.sample_latents(all);  // (B, C, h, w)
  const auto result = generate({"--init", "in.png", "--strength", "0.5", "--class", "star,circle",
                                "--best-of", "3", "--out", "d"});
  EXPECT_EQ(result.status, 0) << result.err;
  const std::vector<Image> images = generator.decode(z);
  const char* const names[] = {"d/000000-star.png", "d/000001-circle.png"};
  for (index_t picture = 0; picture < 2; ++picture) {
    index_t best = 0;
    double nearest = 1e9;
    for (index_t number = 3 * picture; number < 3 * picture + 3; ++number) {
      double distance = 0;
      for (index_t i = 0; i < 64; ++i)
        distance += std::pow(static_cast<double>(z[64 * number + i] - all.init[i]), 2);
      if (distance < nearest) best = number;
      nearest = std::min(nearest, distance);
    }
    EXPECT_EQ(Image::open(path(names[picture])), images[static_cast<std::size_t>(best)]);
    const auto text = read_png_text(path(names[picture]));
    EXPECT_EQ(text.at("index"), std::to_string(best));
    EXPECT_EQ(text.at("best_of"), "3");
  }
}

TEST_F(BestOf, KeepsTheOneThatTheClassifierFindsMostLikeItsClass) {
  const TempFolder data;
  write_picture_folder(data);
  const auto pictures = open_dataset(data.path(), Split::train, {.size = 8, .channels = 1});
  const auto classifier =
      cached_classifier(path("c.safetensors"), pictures, tiny_classifier_options(10));
  const auto result =
      generate({"--class", "square", "--best-of", "5", "--classifier", "c.safetensors"});
  EXPECT_EQ(result.status, 0) << result.err;
  const auto generator = Generator::load(path("m.safetensors"));
  const auto images = generator.sample({.labels = {1, 1, 1, 1, 1}});
  std::size_t best = 0;
  double highest = -1;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const Tensor<float> logits = classifier(images[i].to_tensor());  // (1, classes)
    double sum = 0;
    for (index_t c = 0; c < 3; ++c) sum += std::exp(static_cast<double>(logits[c] - logits[1]));
    if (1 / sum > highest) best = i;
    highest = std::max(highest, 1 / sum);
  }
  EXPECT_EQ(Image::open(path("samples.png")), images[best]);
  EXPECT_EQ(read_png_text(path("samples.png")).at("index"), std::to_string(best));
}

TEST_F(BestOf, OneCandidateIsPlainSampling) {
  EXPECT_EQ(generate({"--best-of", "1", "--out", "a.png"}).status, 0);
  EXPECT_EQ(generate({"--out", "b.png"}).status, 0);
  EXPECT_EQ(slurp(path("a.png")), slurp(path("b.png")));
}

TEST_F(BestOf, NeedsAJudge) {
  EXPECT_TRUE(contains(generate({"--best-of", "3"}).err, "--best-of: needs --classifier"));
  EXPECT_EQ(generate({"--classifier", "c.safetensors"}).status, 2);
  EXPECT_EQ(generate({"--best-of", "2", "--classifier", "none.safetensors"}).status, 1);
  const auto many = generate({"--init", "in.png", "--count", "600000", "--best-of", "2"});
  EXPECT_EQ(many.status, 1);
  EXPECT_TRUE(contains(many.err, "at most 1000000 pictures, with all candidates; got 600000 x 2"));
  EXPECT_TRUE(contains(generate({"--variations", "1000000"}).err, "got 3000000"));
  EXPECT_FALSE(exists("samples.png"));
}

}  // namespace
}  // namespace rae::test
