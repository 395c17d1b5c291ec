// `rae encode`, `rae decode`, `rae reconstruct`, `rae stats`.
#include "rae/diffusion/latent_statistics.hpp"

#include <algorithm>
#include "rae/generate/autoencoder.hpp"
#include "rae/io/image.hpp"
#include "rae/io/safetensors.hpp"
#include "support/golden.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

/// A picture with random pixels that depend on the seed.
Image noisy_image(std::uint64_t seed, index_t side = 8) {
  Image image(side, side, 1);
  for (std::size_t i = 0; i < image.pixels().size(); ++i)
    image.pixels()[i] =
        static_cast<std::uint8_t>(255 * Philox(seed, 0).uniform(static_cast<std::uint64_t>(i)));
  return image;
}

class Encode : public ToolTest {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    noisy_image(1, 11).save_png(path("in.png"));
  }

  /// Runs `rae COMMAND --model m.safetensors ...`; it must succeed.
  ToolResult run(const std::string& command, std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {command, "--model", "m.safetensors"});
    auto result = rae(std::move(arguments));
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return result;
  }
};

TEST_F(Encode, LatentsAndPicturesEqualThoseOfTheLibrary) {
  const auto autoencoder = Autoencoder::load(path("m.safetensors"));
  const auto latent = autoencoder.encode(Image::open(path("in.png")));  // (1, C, h, w)
  run("encode", {"in.png", "z.safetensors"});
  const auto stored =
      SafetensorsFile::open(path("z.safetensors")).read<float>("latent", Shape{1, 16, 2, 2});
  EXPECT_TRUE(std::equal(latent.span().begin(), latent.span().end(), stored.data()));
  run("decode", {"z.safetensors", "out.png"});
  EXPECT_EQ(Image::open(path("out.png")), autoencoder.decode(latent)[0]);
}

TEST_F(Encode, ReconstructPrintsThePsnr) {
  const auto result = run("reconstruct", {"in.png", "again.png"});
  EXPECT_EQ(Image::open(path("again.png")),
            Autoencoder::load(path("m.safetensors")).reconstruct(Image::open(path("in.png"))));
  EXPECT_TRUE(contains(result.out, "again.png: 8 x 8, PSNR "));
}

TEST_F(Encode, PhotosAreTurnedUpright) {
  const std::string photo = data_path("golden/pictures/orientation5.jpg");
  const Image upright = Image::open(photo), stored = Image::open(photo, {.exif = false});
  ASSERT_NE(upright.width(), stored.width());
  const auto autoencoder = Autoencoder::load(path("m.safetensors"));
  for (const auto& [flag, picture] :
       {std::pair(std::string(), &upright), std::pair(std::string("--ignore-exif"), &stored)}) {
    std::vector<std::string> encode = {photo, "z.safetensors"}, again = {photo, "again.png"};
    if (!flag.empty()) {
      encode.push_back(flag);
      again.push_back(flag);
    }
    run("encode", encode);
    run("reconstruct", again);
    EXPECT_EQ(Image::open(path("again.png")), autoencoder.reconstruct(*picture)) << flag;
    const auto latent = autoencoder.encode(*picture);  // (1, C, h, w)
    const auto written = SafetensorsFile::open(path("z.safetensors"))
                             .read<float>("latent", Shape{1, 16, 2, 2});  // (1, C, h, w)
    EXPECT_TRUE(std::equal(latent.span().begin(), latent.span().end(), written.data())) << flag;
  }
}

TEST_F(Encode, StatisticsAreExactAndMerge) {
  LatentStatistics wanted;
  Bundle bundle = tiny_bundle();
  bundle.remove("latent_norm.");  // the statistics are those of latents before normalisation
  const Autoencoder autoencoder(bundle);
  for (std::uint64_t i = 0; i < 7; ++i) {
    const std::string folder = i < 4 ? "a" : "b";
    std::filesystem::create_directories(path(folder));
    noisy_image(i).save_png(path(folder + "/" + std::to_string(i) + ".png"));
    wanted.update(autoencoder.encode(noisy_image(i)));
  }
  run("stats", {"--data", "a", "--out", "a.safetensors", "--batch", "3"});
  const auto result =
      run("stats", {"--data", "b", "--merge", "a.safetensors", "--out", "b.safetensors"});
  EXPECT_TRUE(contains(result.out, "b.safetensors: 7 pictures, latents (16, 2, 2)"));
  const auto file = SafetensorsFile::open(path("b.safetensors"));
  EXPECT_EQ(file.read<std::int64_t>("count")[0], 7);
  const auto mean = file.read<double>("mean", Shape{16, 2, 2}),
             var = file.read<double>("var", Shape{16, 2, 2});  // (C, h, w)
  const auto wanted_mean = wanted.mean<double>(), wanted_var = wanted.variance<double>();
  for (index_t i = 0; i < mean.numel(); ++i) {
    EXPECT_NEAR(mean[i], wanted_mean[i], 1e-13);
    EXPECT_NEAR(var[i], wanted_var[i], 1e-13);
  }
}

TEST_F(Encode, StatisticsNameOrSkipBrokenPictures) {
  for (std::uint64_t i = 0; i < 3; ++i) {
    std::filesystem::create_directories(path("a"));
    noisy_image(i).save_png(path("a/" + std::to_string(i) + ".png"));
  }
  write("a/._0.png", "hidden");
  write("a/8.png", "broken");
  write("a/9.jpg", "");
  write("a/film.gif", "x");
  const std::vector<std::string> command{"stats", "--model", "m.safetensors", "--data",
                                         "a",     "--out",   "a.safetensors"};
  const auto refused = rae(command);
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(contains(refused.err, "2 pictures in 'a' cannot be read (--skip-broken goes on"));
  EXPECT_TRUE(contains(refused.err, "\n  a/9.jpg: the file is empty"));
  EXPECT_FALSE(exists("a.safetensors"));
  auto skipping = command;
  skipping.push_back("--skip-broken");
  const auto result = rae(skipping);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "a.safetensors: 3 pictures"));
  EXPECT_TRUE(contains(result.err, "note: skipped a/9.jpg: the file is empty"));
  EXPECT_TRUE(contains(result.err, "1 .gif without support"));
}

}  // namespace
}  // namespace rae::test
