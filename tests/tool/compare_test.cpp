// `rae evaluate A B`: sets of pictures in archives and folders, pairs, features, and errors.
#include <algorithm>
#include <cmath>

#include "rae/generate/features.hpp"
#include "rae/io/config.hpp"
#include "rae/io/npz.hpp"
#include "rae/metrics/frechet.hpp"
#include "rae/metrics/precision_recall.hpp"
#include "rae/metrics/psnr.hpp"
#include "rae/metrics/ssim.hpp"
#include "rae/models/inception.hpp"
#include "support/procedural_weights.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

constexpr index_t kPictures = 12;

/// Random pictures (N, 8, 8, channels) with values below `most`.
Tensor<std::uint8_t> pictures(index_t count, index_t channels, float most, std::uint64_t seed) {
  Tensor<std::uint8_t> out(Shape{count, 8, 8, channels});  // (N, 8, 8, C)
  const Philox random(seed);
  for (index_t i = 0; i < out.numel(); ++i)
    out[i] = static_cast<std::uint8_t>(most * random.uniform(static_cast<std::uint64_t>(i)));
  return out;
}

std::vector<Image> images_of(const Tensor<std::uint8_t>& pixels) {
  std::vector<Image> out;
  for (index_t i = 0; i < pixels.extent(0); ++i) {
    Image image(pixels.extent(2), pixels.extent(1), static_cast<int>(pixels.extent(3)));
    std::copy_n(pixels.data() + i * static_cast<index_t>(image.pixels().size()),
                image.pixels().size(), image.pixels().begin());
    out.push_back(image);
  }
  return out;
}

class Compare : public ToolTest {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    write_npz(path("a.npz"), a_);
    write_npz(path("b.npz"), b_);
  }
  ToolResult evaluate(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "evaluate");
    return rae(std::move(arguments));
  }
  /// The report of a run, which must succeed.
  ConfigNode report(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--out", "r.json"});
    const auto result = evaluate(std::move(arguments));
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return ConfigNode::load(path("r.json"));
  }

  const Tensor<std::uint8_t> a_ = pictures(kPictures, 1, 200, 1),
                             b_ = pictures(kPictures, 1, 255, 2);  // (N, 8, 8, 1) each
};

TEST_F(Compare, MeasuresDistributionsInFeaturesOfAnEncoder) {
  const auto network = FeatureExtractor::encoder(ModelFiles::open(path("m.safetensors")));
  const auto a = network(images_of(a_)), b = network(images_of(b_));
  FeatureStatistics first(16), second(16);
  first.update(a.view());
  second.update(b.view());
  const auto manifolds = precision_recall(a.view(), b.view(), 3);
  const auto found = report({"a.npz", "b.npz", "--features", "m.safetensors"});
  EXPECT_EQ(found.get<index_t>("pictures"), kPictures);
  EXPECT_EQ(found.get<double>("frechet_distance"), frechet_distance(first, second));
  EXPECT_EQ(found.get<double>("precision"), manifolds.precision);
  EXPECT_EQ(found.get<double>("recall"), manifolds.recall);
  EXPECT_FALSE(found.contains("psnr"));

  // A set compared with itself.
  const auto same = report({"a.npz", "a.npz", "--features", "m.safetensors"});
  EXPECT_NEAR(same.get<double>("frechet_distance"), 0, 1e-6);
  EXPECT_EQ(same.get<double>("precision"), 1);

  // Statistics instead of pictures.
  const NpzEntry statistics[] = {{"mu", second.mean()}, {"sigma", second.covariance()}};
  write_npz(path("s.npz"), statistics);
  const auto against = report({"a.npz", "s.npz", "--features", "m.safetensors"});
  EXPECT_EQ(against.get<double>("frechet_distance"), found.get<double>("frechet_distance"));
  EXPECT_FALSE(against.contains("precision"));
}

TEST_F(Compare, MeasuresPairs) {
  const auto found = report({"a.npz", "b.npz", "--paired", "--metrics", "psnr,ssim"});
  EXPECT_NEAR(found.get<double>("psnr"), psnr(a_.view(), b_.view()), 1e-9);
  EXPECT_NEAR(found.get<double>("ssim"), ssim(channels_first(a_.view()), channels_first(b_.view())),
              1e-9);
  EXPECT_FALSE(found.contains("frechet_distance"));
  // The same pictures in folders.
  for (const auto& [folder, pixels] : {std::pair(std::string("fa"), &a_), {"fb", &b_}}) {
    std::filesystem::create_directory(path(folder));
    const auto images = images_of(*pixels);
    for (std::size_t i = 0; i < images.size(); ++i)
      images[i].save_png(path(folder + "/" + std::to_string(100 + i) + ".png"));
  }
  EXPECT_EQ(report({"fa", "fb/", "--paired", "--metrics", "psnr,ssim"}), found);
  std::filesystem::rename(path("fb/105.png"), path("fb/105b.png"));
  EXPECT_TRUE(contains(evaluate({"fa", "fb", "--paired"}).err,
                       "'fa/105.png' and 'fb/105b.png' have different names"));
}

TEST_F(Compare, PhotosAreTurnedUpright) {
  const std::string photo = data_path("golden/pictures/orientation3.jpg");
  for (const char* folder : {"photos", "upright", "stored"})
    std::filesystem::create_directory(path(folder));
  std::filesystem::copy(photo, path("photos/a.jpg"));
  Image::open(photo).save_png(path("upright/a.png"));
  Image::open(photo, {.exif = false}).save_png(path("stored/a.png"));
  const auto ssim_of = [&](const std::string& other, bool ignore) {
    std::vector<std::string> arguments = {"photos", other, "--paired", "--metrics", "ssim"};
    if (ignore) arguments.push_back("--ignore-exif");
    return report(arguments).get<double>("ssim");
  };
  EXPECT_NEAR(ssim_of("upright", false), 1.0, 1e-12);
  EXPECT_NEAR(ssim_of("stored", true), 1.0, 1e-12);
  EXPECT_LT(ssim_of("upright", true), 0.9);
}

TEST_F(Compare, MeasuresWithInception) {
  const ConfigNode config = golden_config("inception");
  const ProceduralWeights weights(config);
  std::vector<SafetensorsEntry> entries;
  const auto add = [&](const std::string& name, const Shape& shape) {
    if (name == "fc.bias") return;
    entries.push_back({name, weights(name, shape)});
  };
  const Inception network(
      [&](const std::string& name, const Shape& shape) {
        add(name, shape);
        return weights(name, shape);
      },
      {.width_divisor = 16, .classes = 63});
  write_safetensors(path("i.safetensors"), entries);
  write_npz(path("c.npz"), pictures(4, 3, 255, 3));
  const auto found = report({"c.npz", "b.npz", "--inception-weights", "i.safetensors"});
  EXPECT_EQ(found.get<std::string>("features"), "Inception-v3");
  EXPECT_GT(found.get<double>("frechet_distance"), 0);
  EXPECT_GE(found.get<double>("inception_score"), 1);
  const Golden io("inception/io.safetensors");
  const auto extractor = FeatureExtractor::inception(TensorSource::open(path("i.safetensors")));
  // The features of single pictures equal those of the golden batch.
  const Tensor<float> images = io("images");  // (2, 3, 37, 50)
  std::vector<Image> list;
  for (index_t b = 0; b < 2; ++b) {
    Image image(50, 37, 3);
    for (index_t p = 0; p < 37 * 50; ++p)
      for (index_t c = 0; c < 3; ++c)
        image.pixels()[static_cast<std::size_t>(3 * p + c)] =
            static_cast<std::uint8_t>(images[(b * 3 + c) * 37 * 50 + p]);
    list.push_back(image);
  }
  expect_close(extractor(list), io("features"), 1e-5);
}

TEST_F(Compare, RejectsContradictoryOptionsAndUnfitSets) {
  write_npz(path("few.npz"), pictures(3, 1, 255, 4));
  write_npz(path("color.npz"), pictures(kPictures, 3, 255, 4));
  write_npz(path("flat.npz"), Tensor<std::uint8_t>(Shape{4, 4}, std::uint8_t{0}));
  std::filesystem::create_directory(path("empty"));
  const auto before = files();
  const std::string m = "m.safetensors";
  const std::tuple<int, std::vector<std::string>, std::string> wrong[] = {
      {2, {}, "give --data DIR and --out DIR"},
      {2, {"a.npz"}, "expected two sets of pictures, A and B"},
      {2, {"a.npz", "b.npz", "c.npz"}, "unexpected argument 'c.npz'"},
      {2, {"a.npz", "b.npz", "--data", "d"}, "--data: applies to the evaluation of a model"},
      {2, {"--paired", "--data", "d", "--out", "e"}, "--paired: applies to two sets"},
      {2, {"a.npz", "b.npz", "--out", "e"}, "ends in .json"},
      {2, {"a.npz", "b.npz", "--metrics", "ssmi"}, "did you mean 'ssim'?"},
      {2, {"a.npz", "b.npz", "--metrics", "psnr"}, "add --paired"},
      {2,
       {"a.npz", "b.npz", "--features", "inception"},
       "--inception-weights must name the weights"},
      {2,
       {"a.npz", "b.npz", "--features", m, "--metrics", "inception-score"},
       "needs --inception-weights"},
      {1, {"a.npz", "b.npz", "--inception-weights", m}, "no weights of Inception-v3"},
      {1, {"a.npz", "no.npz"}, "no.npz"},
      {1, {"a.npz", "empty"}, "'empty' holds neither pictures"},
      {1, {"a.npz", m}, "expected an .npz file or a folder of pictures"},
      {1, {"a.npz", "flat.npz"}, "expected pictures (N, H, W, channels)"},
      {1, {"a.npz", "few.npz", "--features", m}, "a set has only 3 pictures"},
      {1, {"a.npz", "few.npz", "--paired"}, "has 12 pictures and few.npz has 3"},
      {1, {"a.npz", "color.npz", "--paired"}, "a.npz, picture 0"},
  };
  for (const auto& [status, arguments, message] : wrong) {
    const auto result = evaluate(arguments);
    EXPECT_EQ(result.status, status) << message << ": " << result.err;
    EXPECT_TRUE(contains(result.err, message));
  }
  EXPECT_EQ(files(), before);
}

}  // namespace
}  // namespace rae::test
