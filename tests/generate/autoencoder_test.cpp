#include "rae/generate/autoencoder.hpp"

#include <algorithm>

#include "rae/core/random.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::expect_close;
using test::message_of;

/// A picture with random pixels.
Image noisy(index_t width, index_t height, int channels, std::uint64_t seed) {
  Image image(width, height, channels);
  const Philox random(seed);
  std::uint64_t i = 0;
  for (std::uint8_t& sample : image.pixels())
    sample = static_cast<std::uint8_t>(random.bits(i++) & 255);
  return image;
}

TEST(AutoencoderTest, EqualsTheModel) {
  const Bundle bundle = test::tiny_bundle();
  const Autoencoder autoencoder(bundle);
  const Rae<float> rae = bundle.autoencoder();
  const Image image = noisy(8, 8, 1, 3);
  const Tensor<float> z = autoencoder.encode(image);  // (1, 16, 2, 2)
  EXPECT_EQ(z.shape(), (Shape{1, 16, 2, 2}));
  expect_close(z, rae.encode(image.to_tensor()), 1e-4);
  expect_close(autoencoder.decode_pixels(z), rae.decode(z), 1e-5);
  EXPECT_EQ(autoencoder.decode(z).front(), Image::from_tensor(autoencoder.decode_pixels(z)));
  EXPECT_EQ(autoencoder.reconstruct(image), autoencoder.decode(z).front());
}

TEST(AutoencoderTest, AcceptsPicturesOfAnySizeAndColour) {
  const Autoencoder gray(test::tiny_bundle());
  const Image wide = noisy(31, 17, 3, 4);
  EXPECT_EQ(gray.prepare(wide), wide.to_gray().center_crop(8));
  expect_close(gray.encode(wide), gray.encode(gray.prepare(wide)), 0.0);
  EXPECT_EQ(gray.encode(Image(1, 1, 1, 200)).shape(), (Shape{1, 16, 2, 2}));

  ModelConfig config = test::tiny_config();
  test::vit_of(config).channels = config.decoder->channels = 3;
  const Autoencoder coloured(test::random_bundle(config));
  const Image square = noisy(8, 8, 1, 5);
  EXPECT_EQ(coloured.prepare(square), square.to_rgb());
  EXPECT_EQ(coloured.reconstruct(square).channels(), 3);
}

TEST(AutoencoderTest, ResizesPicturesForTheEncoder) {
  ModelConfig config = test::tiny_config();
  config.encoder_size = 8;
  config.image_size = 16;
  config.decoder->patch_size = 8;
  const Autoencoder autoencoder(test::random_bundle(config));
  const Image image = noisy(16, 16, 1, 6);
  EXPECT_EQ(autoencoder.encode(image).shape(), (Shape{1, 16, 2, 2}));
  EXPECT_EQ(autoencoder.reconstruct(image).width(), 16);
}

TEST(AutoencoderTest, PicturesDoNotDependOnTheirBatch) {
  const Autoencoder autoencoder(test::tiny_bundle());
  std::vector<Image> images;
  for (std::uint64_t i = 0; i < 70; ++i)
    images.push_back(noisy(8 + static_cast<index_t>(i % 3), 9, 1, i));  // two batches
  const Tensor<float> z = autoencoder.encode(images);                   // (70, 16, 2, 2)
  const std::vector<Image> decoded = autoencoder.decode(z);
  const Tensor<float> pixels = autoencoder.decode_pixels(z);  // (70, 1, 8, 8)
  ASSERT_EQ(decoded.size(), images.size());
  for (std::size_t i = 0; i < images.size(); ++i) {
    const Tensor<float> alone = autoencoder.encode(images[i]);  // (1, 16, 2, 2)
    const auto b = static_cast<index_t>(i);
    expect_close(alone, Tensor<float>(Shape{1, 16, 2, 2}, z.span().subspan(i * 64, 64)), 0.0);
    EXPECT_EQ(autoencoder.decode(alone).front(), decoded[i]);
    expect_close(autoencoder.decode_pixels(alone),
                 Tensor<float>(Shape{1, 1, 8, 8},
                               pixels.span().subspan(static_cast<std::size_t>(b * 64), 64)),
                 0.0);
  }
  Tensor<float> batch(Shape{70, 1, 8, 8});  // (70, 1, 8, 8)
  float* target = batch.data();
  for (const Image& image : images)
    target = std::copy_n(autoencoder.prepare(image).to_tensor().data(), 64, target);
  expect_close(autoencoder.encode(batch), z, 0.0);
}

TEST(AutoencoderTest, RefusesBadInput) {
  const Autoencoder autoencoder(test::tiny_bundle());
  EXPECT_THROW((void)autoencoder.encode(Image()), ArgumentError);
  EXPECT_THROW((void)autoencoder.encode(std::vector<Image>{}), ArgumentError);
  EXPECT_THROW((void)autoencoder.encode(Tensor<float>()), ShapeError);
  EXPECT_THROW((void)autoencoder.encode(Tensor<float>(Shape{1, 3, 8, 8}, 0.0f)), ShapeError);
  EXPECT_THROW((void)autoencoder.encode(Tensor<float>(Shape{1, 1, 8, 12}, 0.0f)), ShapeError);
  EXPECT_THROW((void)autoencoder.encode(Tensor<float>(Shape{1, 1, 8, 8}, NAN)), NumericError);
  EXPECT_THROW((void)autoencoder.decode(Tensor<float>(Shape{16, 2, 2}, 0.0f)), ShapeError);
  const std::string message = message_of<ShapeError>([&] {
    (void)autoencoder.decode_pixels(Tensor<float>(Shape{1, 8, 2, 2}, 0.0f));
  });
  EXPECT_NE(message.find("expected shape (B, 16, 2, 2) with B >= 1, got (1, 8, 2, 2)"),
            std::string::npos)
      << message;
  EXPECT_THROW((void)autoencoder.decode(Tensor<float>(Shape{1, 16, 2, 2}, NAN)), NumericError);
}

TEST(AutoencoderTest, RefusesBundlesWithoutEncoderOrDecoder) {
  Bundle bundle = test::tiny_bundle();
  bundle.remove("encoder.");
  std::string message = message_of<FormatError>([&] { (void)Autoencoder(bundle); });
  EXPECT_NE(message.find("has no encoder"), std::string::npos) << message;
  ModelConfig config = test::tiny_config();
  config.decoder.reset();
  message = message_of<FormatError>([&] { (void)Autoencoder(test::random_bundle(config)); });
  EXPECT_NE(message.find("has no decoder"), std::string::npos) << message;
  EXPECT_THROW((void)Autoencoder::load("/no/such/model.safetensors"), FileError);
}

}  // namespace
}  // namespace rae
