// Folders of diffusers, written from random models under the names of AutoencoderRAE, without the
// buffers that save_pretrained does not store.
#include "rae/formats/diffusers_autoencoder.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rae/formats/huggingface_encoder.hpp"
#include "rae/kernels/rope.hpp"
#include "support/diffusers_folder.hpp"
#include "support/golden.hpp"

namespace rae::test {
namespace {

Tensor<float> noise_image() {
  Tensor<float> image(Shape{2, 3, 8, 8});  // (2, 3, 8, 8)
  const Philox random(3, 0);
  for (index_t i = 0; i < image.numel(); ++i)
    image[i] = static_cast<float>(random.uniform(static_cast<std::uint64_t>(i)));
  return image;
}

TEST(DiffusersAutoencoder, EqualsTheModelUnderOtherNames) {
  DiffusersParts parts;
  const Tensor<float> image = noise_image();  // (2, 3, 8, 8)
  for (const bool official : {false, true}) {
    for (const double scale : {1.0, 0.5}) {
      const bool older = scale == 1.0;
      const TempFolder folder;
      std::string config = kDiffusersConfig;
      config.replace(config.find("\"scaling_factor\": 1.0"), 21,
                     concat("\"scaling_factor\": ", scale));
      write_diffusers_folder(folder, config, diffusers_entries(parts, official, older));
      EXPECT_TRUE(is_diffusers_autoencoder(folder.path()));
      const ModelFiles files = open_diffusers_autoencoder(folder.path());
      const ModelConfig& c = files.config;
      EXPECT_EQ(c.image_size, 8);
      EXPECT_EQ(c.encoder_size, 28);
      EXPECT_EQ(c.encoder.get<EncoderConfig>().table_h, 3);
      EXPECT_EQ(c.encoder.get<EncoderConfig>().registers, 4);
      EXPECT_EQ(c.pixels.std[2], 0.75);
      EXPECT_EQ(c.name, std::filesystem::path(folder.path()).filename().string());

      const auto encoder = c.encoder.make();
      const auto decoder = std::make_shared<Decoder<Tensor<float>>>(*c.decoder);
      fill_weights(*encoder, *files.encoder);
      fill_weights(*decoder, *files.decoder);
      const Rae<float> rae(encoder, decoder,
                           {c.encoder_size, c.encoder_size, c.pixels, files.latent_norm});

      const Tensor<float> tokens = tokens_to_grid(
          parts.encoder(normalize_pixels(resize(image, Resize::bicubic, 28, 28), c.pixels)), 2,
          2);                                          // (2, 64, 2, 2)
      const Tensor<float> latent = rae.encode(image);  // (2, 64, 2, 2)
      for (index_t i = 0; i < latent.numel(); ++i) {
        const index_t at = i % parts.mean.numel();
        const double expected = scale * (static_cast<double>(tokens[i]) - parts.mean[at]) /
                                (static_cast<double>(parts.deviation[at]) + 1e-5);
        ASSERT_NEAR(latent[i], expected, 2e-6) << i;
      }
      const Tensor<float> pixels =
          denormalize_pixels(parts.decoder(grid_to_tokens(tokens)), c.pixels);  // (2, 3, 8, 8)
      expect_close(rae.decode(latent), pixels, 1e-5);
    }
  }
}

TEST(DiffusersAutoencoder, ThePositionTableIsThatOfDiffusers) {
  for (const index_t grid : {1, 2, 4, 14, 16, 32}) {
    const Tensor<float> table = diffusers_position_table(grid, 24);  // (1, 1 + grid * grid, 24)
    ASSERT_EQ(table.shape(), (Shape{1, 1 + grid * grid, 24}));
    for (index_t i = 0; i < table.numel(); ++i)
      // diffusers rounds the coordinate to f32, which matters for grids such as 14 x 14.
      ASSERT_NEAR(table[i], diffusers_table_element(grid, 24, i / 24, i % 24), 2e-6)
          << grid << ", " << i;
  }
  // At 16 x 16 it is the official table; at 32 x 32 it is not, which gives wrong pictures.
  const auto official = [](index_t grid) { return sincos_position_table<float>(grid, grid, 24); };
  const Tensor<float> same = diffusers_position_table(16, 24),  // (1, 257, 24)
      other = diffusers_position_table(32, 24);                 // (1, 1025, 24)
  for (index_t i = 0; i < 256 * 24; ++i) ASSERT_NEAR(same[24 + i], official(16)[i], 1e-7);
  EXPECT_NEAR(other[24 * 2], std::sin(0.5), 1e-7);
  EXPECT_NEAR(official(32)[24], std::sin(1.0), 1e-7);
  EXPECT_THROW((void)diffusers_position_table(0, 24), ArgumentError);
  EXPECT_THROW((void)diffusers_position_table(2, 6), ArgumentError);
}

TEST(DiffusersAutoencoder, AStoredPositionTableIsUsed) {
  DiffusersParts parts;
  const TempFolder folder;
  auto entries = diffusers_entries(parts, false, true);
  for (auto& each : entries)
    if (each.name == "decoder.decoder_pos_embed")
      each.tensor = Tensor<float>(Shape{1, 5, 32}, 0.25f);
  write_diffusers_folder(folder, kDiffusersConfig, entries);
  const auto table = [&] {
    const ModelFiles files = open_diffusers_autoencoder(folder.path());
    return files.decoder->tensors.read<float>("decoder.decoder_pos_embed", Shape{1, 5, 32});
  };
  EXPECT_EQ(table()[40], 0.25f);
  write_diffusers_folder(folder, kDiffusersConfig, diffusers_entries(parts));
  EXPECT_EQ(table()[31], 0.0f);  // the class token
  EXPECT_FLOAT_EQ(table()[2 * 32], static_cast<float>(std::sin(8.0)));
}

/// A configuration must not make the reader allocate a table for a decoder that does not exist.
TEST(DiffusersAutoencoder, NoTableIsMadeForAnotherDecoder) {
  DiffusersParts parts;
  const TempFolder folder;
  std::string config = kDiffusersConfig;
  config.replace(config.find("\"decoder_hidden_size\": 32"), 25, "\"decoder_hidden_size\": 65536");
  write_diffusers_folder(folder, config, diffusers_entries(parts));
  EXPECT_NE(message_of<FormatError>([&] {
              (void)open_diffusers_autoencoder(folder.path());
            }).find("the configuration needs"),
            std::string::npos);
}

TEST(DiffusersAutoencoder, OtherClassesAreRecognized) {
  const TempFolder folder;
  EXPECT_EQ(diffusers_class(folder.path()), "");
  folder.write("config.json", R"({"_class_name": "RAEDiT2DModel", "hidden_size": [1152, 2048]})");
  EXPECT_EQ(diffusers_class(folder.path()), "RAEDiT2DModel");
  EXPECT_FALSE(is_diffusers_autoencoder(folder.path()));
  const auto message = [&] {
    return message_of<ConfigError>([&] { (void)open_diffusers_autoencoder(folder.path()); });
  };
  for (const std::string part :
       {"RAEDiT2DModel", "diffusion network", "not supported yet", "stage2_model.pt"})
    EXPECT_NE(message().find(part), std::string::npos) << message();
  EXPECT_NE(message_of<ConfigError>([&] {
              (void)open_encoder_folder(folder.path());
            }).find("RAEDiT2DModel is a class of diffusers"),
            std::string::npos);

  const TempFolder pipeline;
  pipeline.write("model_index.json", R"({"_class_name": "RAEDiTPipeline"})");
  pipeline.write("vae/config.json", "{}");
  EXPECT_EQ(diffusers_class(pipeline.path()), "RAEDiTPipeline");
  const std::string refused =
      message_of<ConfigError>([&] { refuse_diffusers_class(pipeline.path(), "RAEDiTPipeline"); });
  EXPECT_NE(refused.find(pipeline / "vae"), std::string::npos) << refused;
  folder.write("config.json", "<html>");
  EXPECT_EQ(diffusers_class(folder.path()), "");
}

TEST(DiffusersAutoencoder, StatisticsAreBroadcast) {
  DiffusersParts parts;
  const TempFolder folder;
  auto entries = diffusers_entries(parts);
  const auto with = [&](const Tensor<float>& mean, const Tensor<float>& deviation) {
    entries[entries.size() - 2].tensor = mean;
    entries[entries.size() - 1].tensor = deviation;
    write_diffusers_folder(folder, kDiffusersConfig, entries);
    return open_diffusers_autoencoder(folder.path()).latent_norm;
  };
  // Without statistics, the buffers have shape (1), and diffusers divides by 1 + 1e-5.
  const auto none = with(Tensor<float>(Shape{1}, 0.f), Tensor<float>(Shape{1}, 1.f));
  EXPECT_EQ(none.mean.shape(), (Shape{64, 2, 2}));
  EXPECT_FLOAT_EQ(none.var[255], 1.00002f);
  EXPECT_EQ(none.eps, 0.0);
  Tensor<float> channels(Shape{1, 64, 1, 1});  // (1, 64, 1, 1)
  for (index_t i = 0; i < 64; ++i) channels[i] = static_cast<float>(i);
  const auto by_channel = with(channels, Tensor<float>(Shape{2, 2}, {1.f, 2.f, 3.f, 4.f}));
  EXPECT_EQ(by_channel.mean[4 * 17 + 3], 17.0f);
  EXPECT_FLOAT_EQ(by_channel.var[4 * 17 + 3], 16.00008f);
  const auto fails = [&](const Tensor<float>& mean, const Tensor<float>& deviation) {
    return message_of<Error>([&] { (void)with(mean, deviation); });
  };
  const Tensor<float> one(Shape{1}, 1.f);  // (1)
  EXPECT_NE(fails(Tensor<float>(Shape{3}, 0.f), one).find("does not broadcast"), std::string::npos);
  EXPECT_NE(fails(Tensor<float>(Shape{2, 64, 2, 2}, 0.f), one).find("does not broadcast"),
            std::string::npos);
  EXPECT_NE(fails(one, Tensor<float>(Shape{1}, -1.f)).find("_latents_std: contains -1"),
            std::string::npos);
  EXPECT_NE(fails(Tensor<float>(Shape{1}, std::nanf("")), one).find("NaN"), std::string::npos);
}

/// save_pretrained writes the statistics also into config.json, which then has more values than the
/// limit for configurations. They are skipped.
TEST(DiffusersAutoencoder, StatisticsInTheConfigurationAreSkipped) {
  DiffusersParts parts;
  const TempFolder folder;
  std::string list = "[";
  for (int i = 0; i < 200000; ++i) list += i ? ", [0.5, {\"latents_std\": null}]" : "[1]";
  std::string config = kDiffusersConfig;
  config.insert(1, "\"latents_mean\": " + list + "], \"latents_std\": 3, ");
  ASSERT_GT(config.size(), std::size_t{4} << 20);
  write_diffusers_folder(folder, config, diffusers_entries(parts));
  EXPECT_EQ(open_diffusers_autoencoder(folder.path()).config.encoder.width(), 64);
  config.insert(1, "\"other\": " + list + "], ");
  folder.write("config.json", config);
  EXPECT_NE(message_of<ConfigError>([&] {
              (void)open_diffusers_autoencoder(folder.path());
            }).find("more than 100000 values"),
            std::string::npos);
}

TEST(DiffusersAutoencoder, RefusesUnsupportedConfigurations) {
  DiffusersParts parts;
  const TempFolder folder;
  const auto entries = diffusers_entries(parts);
  const auto expect = [&](const std::string& from, const std::string& to, const std::string& part) {
    std::string config = kDiffusersConfig;
    const std::size_t at = config.find(from);
    ASSERT_NE(at, std::string::npos);
    config.replace(at, from.size(), to);
    write_diffusers_folder(folder, config, entries);
    const std::string got =
        message_of<Error>([&] { (void)open_diffusers_autoencoder(folder.path()); });
    EXPECT_NE(got.find(part), std::string::npos) << to << ": " << got;
  };
  expect("AutoencoderRAE", "AutoencoderKL", "expected AutoencoderRAE, got AutoencoderKL");
  EXPECT_FALSE(is_diffusers_autoencoder(folder.path()));
  EXPECT_FALSE(is_diffusers_autoencoder(folder / "nothing"));
  expect("\"dinov2\"", "\"clip\"", "encoder_type: unknown encoder family 'clip'");
  expect("\"dinov2\"", "\"siglip2\"", "is it a siglip2 encoder?");
  expect("\"encoder_hidden_size\": 64", "\"encoder_hidden_size\": 65", "a multiple of 64");
  expect("\"encoder_hidden_size\": 64", "\"encoder_hidden_size\": 640", "the configuration needs");
  expect("\"encoder_num_hidden_layers\": 1", "\"encoder_num_hidden_layers\": 1000",
         "is missing, and");
  expect("\"encoder_num_hidden_layers\": 1", "\"encoder_num_hidden_layers\": 9999999999",
         "encoder_num_hidden_layers");
  expect("\"decoder_hidden_size\": 32", "\"decoder_hidden_size\": 64", "the configuration needs");
  expect("\"patch_size\": 4", "\"patch_size\": 8", "decoder_pred.weight");
  expect("\"encoder_input_size\": 28", "\"encoder_input_size\": 30",
         "does not divide into patches");
  expect("\"encoder_input_size\": 28", "\"encoder_input_size\": 42", "does not broadcast");
  expect("\"image_size\": null", "\"image_size\": 16", "image_size: expected 8, 2 patches of 4");
  expect("\"reshape_to_2d\": true", "\"reshape_to_2d\": false", "reshape_to_2d");
  expect("\"scaling_factor\": 1.0", "\"scaling_factor\": 0", "scaling_factor");
  expect("\"num_channels\": 3", "\"num_channels\": 1", "num_channels");
}

}  // namespace
}  // namespace rae::test
