// `rae encode`, `rae decode`, `rae reconstruct`, `rae stats`.
#include "rae/diffusion/latent_statistics.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "rae/generate/autoencoder.hpp"
#include "rae/io/image.hpp"
#include "rae/io/npz.hpp"
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

TEST_F(Encode, FoldersAreReconstructedAndContinued) {
  const auto autoencoder = Autoencoder::load(path("m.safetensors"));
  std::filesystem::create_directories(path("pictures/.hidden"));
  std::vector<Image> originals;
  for (std::uint64_t i = 0; i < 5; ++i) {
    const Image picture = noisy_image(i, 9);
    picture.save_png(path(concat("pictures/", i, ".png")));
    originals.push_back(autoencoder.prepare(picture));
  }
  const auto result =
      run("reconstruct", {"pictures", "--out", "recon.npz", "--originals-out", "orig.npz"});
  EXPECT_EQ(result.out, "recon.npz: 5 pictures, 8 x 8\n");
  const auto recon = NpzFile::open(path("recon.npz")).read<std::uint8_t>("arr_0"),
             before = NpzFile::open(path("orig.npz")).read<std::uint8_t>("arr_0");
  EXPECT_EQ(recon.shape(), (Shape{5, 8, 8, 1}));
  for (std::size_t i = 0; i < 5; ++i) {
    const auto at = static_cast<std::ptrdiff_t>(64 * i);
    const Image again = autoencoder.reconstruct(originals[i]);
    EXPECT_TRUE(std::equal(again.pixels().begin(), again.pixels().end(), recon.data() + at));
    EXPECT_TRUE(
        std::equal(originals[i].pixels().begin(), originals[i].pixels().end(), before.data() + at));
  }
  EXPECT_TRUE(contains(
      rae({"evaluate", "recon.npz", "orig.npz", "--paired", "--metrics", "psnr"}).out, "PSNR"));

  // A run that was stopped after some pictures is continued, with the same bytes.
  const std::string whole = slurp(path("recon.npz"));
  std::vector<std::string> many{"reconstruct", "pictures", "-m", "m.safetensors",
                                "--batch",     "1",        "-o", "part.npz"};
  for (std::uint64_t i = 5; i < 400; ++i)
    noisy_image(i, 64).save_png(path(concat("pictures/", i, ".png")));
  const pid_t child = start(many);
  for (int i = 0; i < 20000 && !exists("part.npz.partial"); ++i) ::usleep(500);
  ::kill(child, SIGINT);
  const ToolResult stopped = finish(child);
  const ToolResult continued = rae(many);
  EXPECT_EQ(continued.status, 0) << stopped.err << continued.err;
  run("reconstruct", {"pictures", "whole.npz"});
  EXPECT_EQ(slurp(path("part.npz")), slurp(path("whole.npz")));
  EXPECT_FALSE(exists("part.npz.partial"));
}

TEST_F(Encode, FoldersAreEncodedIntoSeveralFiles) {
  const auto autoencoder = Autoencoder::load(path("m.safetensors"));
  std::filesystem::create_directories(path("pictures"));
  for (std::uint64_t i = 0; i < 5; ++i)
    noisy_image(i).save_png(path(concat("pictures/", i, ".png")));
  EXPECT_EQ(run("encode", {"pictures", "all.safetensors"}).out,
            "all.safetensors: 5 latents (16, 2, 2)\n");
  const auto all =
      SafetensorsFile::open(path("all.safetensors")).read<float>("latent", Shape{5, 16, 2, 2});
  const auto third = autoencoder.encode(Image::open(path("pictures/2.png")));  // (1, C, h, w)
  EXPECT_TRUE(std::equal(third.span().begin(), third.span().end(), all.data() + 2 * 64));

  run("encode", {"pictures", "z.safetensors", "--per-file", "2"});
  EXPECT_FALSE(exists("z.safetensors"));
  index_t first = 0;
  const ConfigNode list = ConfigNode::load(path("z.safetensors.index.json"));
  for (const ConfigNode& part : list.at("files").elements()) {
    EXPECT_EQ(part.get<index_t>("first"), first);
    const auto count = part.get<index_t>("count");
    const SafetensorsFile file = SafetensorsFile::open(path(part.get<std::string>("file")));
    const auto latents = file.read<float>("latent", Shape{count, 16, 2, 2});
    EXPECT_TRUE(std::equal(latents.span().begin(), latents.span().end(), all.data() + first * 64));
    first += count;
  }
  EXPECT_EQ(first, 5);
  EXPECT_EQ(SafetensorsFile::open(path("z-00002-of-00003.safetensors")).metadata().at("names"),
            R"(["2","3"])");

  // Complete files are kept; those of other pictures are refused.
  std::filesystem::remove(path("z-00002-of-00003.safetensors"));
  EXPECT_TRUE(contains(run("encode", {"pictures", "z.safetensors", "--per-file", "2"}).out,
                       "3 of them from an earlier run"));
  EXPECT_TRUE(exists("z-00002-of-00003.safetensors"));
  std::filesystem::rename(path("pictures/4.png"), path("pictures/5.png"));
  const ToolResult refused = rae({"encode", "-m", "m.safetensors", "pictures", "all.safetensors"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(contains(refused.err, "all.safetensors: holds latents of another model"))
      << refused.err;
}

TEST_F(Encode, SeveralPicturesNeedAFileForThem) {
  std::filesystem::create_directories(path("pictures"));
  noisy_image(1).save_png(path("pictures/1.png"));
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"reconstruct", "pictures", "out.png"},
        {"encode", "pictures", "out.npz"},
        {"reconstruct", "in.png", "out.png", "--originals-out", "o.npz"},
        {"reconstruct", "pictures", "o.npz", "--originals-out", "o.npz"}}) {
    const ToolResult result = rae(arguments);
    EXPECT_NE(result.status, 0) << arguments[0];
    EXPECT_FALSE(exists("out.png") || exists("out.npz") || exists("o.npz"));
  }
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
