#include "rae/generate/features.hpp"

#include <gtest/gtest.h>

#include "rae/formats/official/open.hpp"
#include "support/official_files.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae::test {
namespace {

Image random_image(index_t width, index_t height, int channels, std::uint64_t seed) {
  Image image(width, height, channels);
  const Philox random(seed);
  for (std::size_t i = 0; i < image.pixels().size(); ++i)
    image.pixels()[i] = static_cast<std::uint8_t>(255 * random.uniform(i));
  return image;
}

/// The tiny bundle as a file.
struct TinyFile {
  TempFolder folder;
  std::string path = folder / "m.safetensors";
  TinyFile() { tiny_bundle().save(path); }
};

TEST(Features, AreTheMeanOfTheTokens) {
  const TinyFile file;
  const auto network = FeatureExtractor::encoder(ModelFiles::open(file.path));
  EXPECT_EQ(network.dimension(), 16);
  EXPECT_FALSE(network.is_inception());
  const Image image = random_image(8, 8, 1, 1);
  const Bundle bundle = tiny_bundle();
  Encoder<Tensor<float>> encoder(vit_of(bundle.config));
  bundle.restore("encoder.", encoder);
  const Tensor<float> tokens =
      encoder(normalize_pixels(image.to_tensor(), bundle.config.pixels));  // (1, 4, 16)
  const Tensor<float> features = network(std::span(&image, 1));            // (1, 16)
  ASSERT_EQ(features.shape(), (Shape{1, 16}));
  for (index_t j = 0; j < 16; ++j) {
    double mean = 0;
    for (index_t i = 0; i < 4; ++i) mean += static_cast<double>(tokens[i * 16 + j]) / 4;
    EXPECT_NEAR(features[j], mean, 1e-6) << j;
  }
}

TEST(Features, PicturesAreCroppedAndIndependentOfEachOther) {
  const TinyFile file;
  const auto network = FeatureExtractor::encoder(ModelFiles::open(file.path));
  const std::vector<Image> images{random_image(8, 8, 1, 1), random_image(20, 31, 3, 2),
                                  random_image(9, 8, 1, 3)};
  const std::vector<Image> cut{images[0], images[1].to_gray().center_crop(8),
                               images[2].center_crop(8)};
  const auto all = network(images), of_cut = network(cut);
  for (index_t i = 0; i < 3; ++i) {
    const auto one = network(std::span(&images[static_cast<std::size_t>(i)], 1));
    for (index_t j = 0; j < 16; ++j) {
      EXPECT_EQ(one[j], all[i * 16 + j]);
      EXPECT_EQ(of_cut[i * 16 + j], all[i * 16 + j]);
    }
  }
}

TEST(Features, AreComputedFromOfficialFiles) {
  const auto files = open_official(golden_model_path("config.yaml"));
  const auto network = FeatureExtractor::encoder(files);
  const Image image = random_image(64, 48, 3, 4);
  const auto features = network(std::span(&image, 1));
  EXPECT_EQ(features.shape(), (Shape{1, files.config.encoder.width()}));
  // The same encoder without the rest of the model uses the grid of its own position table.
  const auto alone = FeatureExtractor::encoder(
      PretrainedEncoder{vit_of(files.config), files.config.pixels, *files.encoder}, "alone");
  EXPECT_EQ(alone.dimension(), network.dimension());
  EXPECT_EQ(alone(std::span(&image, 1)).shape(), features.shape());
  EXPECT_NE(alone.name().find("alone"), std::string::npos);
}

TEST(Features, RefuseMissingInputsAndNetworks) {
  const TinyFile file;
  ModelFiles files = ModelFiles::open(file.path);
  const auto network = FeatureExtractor::encoder(files);
  EXPECT_THROW((void)network({}), ArgumentError);
  const Image empty;
  EXPECT_THROW((void)network(std::span(&empty, 1)), ArgumentError);
  EXPECT_THROW((void)network.logits(Tensor<float>(Shape{1, 16}, 0.0f)), ArgumentError);
  files.encoder.reset();
  EXPECT_NE(message_of<FormatError>([&] {
              (void)FeatureExtractor::encoder(files);
            }).find("has no encoder"),
            std::string::npos);
  const auto message = message_of<FormatError>(
      [&] { (void)FeatureExtractor::inception(TensorSource::open(file.path)); });
  EXPECT_NE(message.find("pt_inception-2015-12-05"), std::string::npos) << message;
  const SafetensorsEntry entry{"AuxLogits.fc.bias", Tensor<float>(Shape{1}, 0.0f)};
  write_safetensors(file.path, {&entry, 1});
  EXPECT_NE(message_of<FormatError>([&] {
              (void)FeatureExtractor::inception(TensorSource::open(file.path));
            }).find("torchvision"),
            std::string::npos);
}

}  // namespace
}  // namespace rae::test
