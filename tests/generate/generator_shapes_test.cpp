// From labels to pictures with models of other shapes: LightningDiT instead of DiT^DH, and pictures
// that are not square.
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::expect_close;

TEST(GeneratorShapesTest, LightningDitGenerates) {
  const test::TempFolder folder;
  for (const index_t patch : {1, 2}) {
    ModelConfig config = test::tiny_config();
    LightningDitConfig lightning = test::tiny_lightning_dit();
    lightning.patch_size = patch;
    lightning.learn_sigma = patch == 2;
    config.dit = lightning;
    const Bundle bundle = test::random_bundle(config);
    bundle.save(folder / "m.safetensors");
    const Generator generator = Generator::load(folder / "m.safetensors");
    LightningDit<Tensor<float>> dit(lightning);
    bundle.restore("dit.", dit);
    Tensor<float> x = generator.noise(2, 1);  // (B, C, h, w)
    const std::vector<float> grid =
        sampling_time_grid(config.sampling, config.path, config.prediction, config.time_shift);
    for (std::size_t i = 0; i + 1 < grid.size(); ++i) {
      const Tensor<float> t(Shape{1}, grid[i]);  // (1)
      const std::vector<std::int64_t> label{1}, null_class{3};
      const Tensor<float> v = dit(x, t, label), w = dit(x, t, null_class);  // (B, C, h, w) each
      expect_close(generator.velocity(x, grid[i], label), v, 1e-5);
      const float scale = grid[i] >= 0.25f && grid[i] <= 0.75f ? 1.5f : 1.0f;
      float* state = x.data();
      for (index_t j = 0; j < x.numel(); ++j)
        state[j] += (grid[i + 1] - grid[i]) * (w[j] + scale * (v[j] - w[j]));
    }
    expect_close(generator.sample_latents({.labels = {1}, .seed = 2}), x, 1e-5);
    EXPECT_EQ(generator.num_classes(), 3);
    EXPECT_EQ(generator.sample({.labels = {0, 2}}).size(), 2u);
  }
}

TEST(GeneratorShapesTest, PicturesNeedNotBeSquare) {
  const test::TempFolder folder;
  const Bundle bundle = test::random_bundle(test::wide_config());
  bundle.save(folder / "m.safetensors");
  const Generator generator = Generator::load(folder / "m.safetensors");
  const Tensor<float> z = generator.sample_latents({.labels = {0, 1}});  // (B, C, h, w)
  EXPECT_EQ(z.shape(), (Shape{2, 16, 2, 3}));
  const Tensor<float> pixels = generator.decode_pixels(z);  // (B, C, H, W)
  EXPECT_EQ(pixels.shape(), (Shape{2, 1, 8, 12}));
  const std::vector<Image> images = generator.decode(z);
  EXPECT_EQ(images, Image::from_batch(pixels));
  EXPECT_EQ(images[1].width(), 12);
  EXPECT_EQ(images[1].height(), 8);

  const Autoencoder autoencoder = Autoencoder::load(folder / "m.safetensors");
  expect_close(autoencoder.decode_pixels(z), pixels, 0.0);
  Image photo(50, 40, 3);
  for (std::size_t i = 0; i < photo.pixels().size(); ++i)
    photo.pixels()[i] = static_cast<std::uint8_t>(i * 7 % 251);
  const Image prepared = autoencoder.prepare(photo);
  EXPECT_EQ(prepared, photo.to_gray().center_crop(12, 8));
  const Rae<float> rae = bundle.autoencoder();
  expect_close(autoencoder.encode(photo), rae.encode(prepared.to_tensor()), 1e-4);
  EXPECT_EQ(autoencoder.reconstruct(photo).width(), 12);
}

TEST(GeneratorShapesTest, RectanglesAreResizedForTheEncoder) {
  ModelConfig config = test::wide_config();
  config.encoder_size = 8;
  config.encoder_width = 12;
  config.image_size = 16;
  config.image_width = 24;
  config.decoder->patch_size = 8;
  const Bundle bundle = test::random_bundle(config);
  const Autoencoder autoencoder(bundle);
  Tensor<float> picture(Shape{1, 1, 16, 24});  // (1, 1, 16, 24)
  Philox(3).fill_uniform(picture.span());
  const Rae<float> rae = bundle.autoencoder();
  const Tensor<float> z = autoencoder.encode(picture);  // (B, C, h, w)
  EXPECT_EQ(z.shape(), (Shape{1, 16, 2, 3}));
  expect_close(z, rae.encode(picture), 1e-4);
  expect_close(autoencoder.decode_pixels(z), rae.decode(z), 1e-5);
}

TEST(GeneratorShapesTest, EncoderOrDecoderMayBeAbsent) {
  const Bundle bundle = test::tiny_bundle();
  const Autoencoder whole(bundle);
  const Tensor<float> picture(Shape{1, 1, 8, 8}, 0.5f);  // (1, 1, 8, 8)
  const Tensor<float> z = whole.encode(picture);         // (B, C, h, w)
  ModelFiles files = bundle.files();
  files.decoder.reset();
  expect_close(Autoencoder(files).encode(picture), z, 0.0);
  EXPECT_THROW((void)Autoencoder(files).decode(z), FormatError);
  files = bundle.files();
  files.encoder.reset();
  for (const bool keep : {true, false}) {
    const Autoencoder half(files, {.keep_loaded = keep});
    expect_close(half.decode_pixels(z), whole.decode_pixels(z), 0.0);
    EXPECT_THROW((void)half.encode(picture), FormatError);
  }
  files.decoder.reset();
  EXPECT_THROW((void)Autoencoder(files), FormatError);
}

}  // namespace
}  // namespace rae
