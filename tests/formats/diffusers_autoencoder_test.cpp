// Folders of diffusers, written from random models under the names of AutoencoderRAE.
#include "rae/formats/diffusers_autoencoder.hpp"

#include <gtest/gtest.h>

#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae::test {
namespace {

constexpr const char* kConfig =
    R"({"_class_name": "AutoencoderRAE", "_diffusers_version": "0.37.0", "encoder_type": "dinov2",
  "encoder_hidden_size": 64, "encoder_patch_size": 14, "encoder_num_hidden_layers": 1, "decoder_hidden_size": 32,
  "decoder_num_hidden_layers": 2, "decoder_num_attention_heads": 4, "decoder_intermediate_size": 48, "patch_size": 4,
  "encoder_input_size": 28, "image_size": null, "num_channels": 3, "noise_tau": 0.0, "reshape_to_2d": true, "scaling_factor": 1.0})";

/// The networks of that configuration: one layer of DINOv2 of width 64 with a position table of 3 x
/// 3, and a decoder of 2 x 2 tokens.
struct Parts {
  Encoder<Tensor<float>> encoder{EncoderConfig{.hidden_size = 64,
                                               .num_layers = 1,
                                               .num_heads = 1,
                                               .intermediate_size = 256,
                                               .table_h = 3,
                                               .table_w = 3}};
  Decoder<Tensor<float>> decoder{DecoderConfig{.grid_h = 2,
                                               .grid_w = 2,
                                               .in_dim = 64,
                                               .hidden_size = 32,
                                               .num_layers = 2,
                                               .num_heads = 4,
                                               .intermediate_size = 48,
                                               .patch_size = 4}};
  Tensor<float> mean{Shape{64, 2, 2}}, deviation{Shape{64, 2, 2}};  // (64, 2, 2) each

  Parts() {
    fill_random(encoder, 1);
    fill_random(decoder, 2);
    for (index_t i = 0; i < mean.numel(); ++i) {
      mean[i] = 0.01f * static_cast<float>(i % 7);
      deviation[i] = 0.5f + 0.1f * static_cast<float>(i % 5);
    }
  }
};

/// Adds the tensors of a model under other names; matrices that the file stores separately are
/// split.
template <class Model>
void add(std::vector<SafetensorsEntry>& out, Model& model, const NameMap& names) {
  model.parameters([&](const std::string& name, auto& parameter) {
    const auto files = names(name);
    const Shape shape = parameter.shape();
    if (files.size() == 1) return out.push_back({files.front(), parameter.tensor()});
    const Shape piece = shape.with(0, shape[0] / static_cast<index_t>(files.size()));
    const auto n = static_cast<std::size_t>(piece.numel());
    for (std::size_t i = 0; i < files.size(); ++i)
      out.push_back({files[i], Tensor<float>(piece, parameter.tensor().span().subspan(i * n, n))});
  });
}

NameMap decoder_of(bool official) {
  VitLayerNames layer = mae_layer_names();
  if (!official) {
    layer.query = "attention.to_q";
    layer.key = "attention.to_k";
    layer.value = "attention.to_v";
    layer.proj = "attention.to_out.0";
  }
  return [layer](const std::string& name) {
    auto out = map_layers(name, "decoder_layers.", "decoder.decoder_layers.", layer);
    return out.empty() ? std::vector<std::string>{"decoder." + name} : out;
  };
}

std::vector<SafetensorsEntry> entries_of(Parts& parts, bool official = false) {
  std::vector<SafetensorsEntry> out;
  add(out, parts.encoder, encoder_names(EncoderFamily::dinov2, "encoder.model."));
  add(out, parts.decoder, decoder_of(official));
  out.push_back({"encoder.model.embeddings.mask_token", Tensor<float>(Shape{1, 64}, 0.f)});
  out.push_back({"encoder_mean", Tensor<float>(Shape{1, 3, 1, 1}, {0.4f, 0.5f, 0.6f})});
  out.push_back({"encoder_std", Tensor<float>(Shape{1, 3, 1, 1}, {0.25f, 0.5f, 0.75f})});
  out.push_back({"_latents_mean", parts.mean});
  out.push_back({"_latents_std", parts.deviation});
  return out;
}

void write_folder(const TempFolder& folder, const std::string& config,
                  const std::vector<SafetensorsEntry>& entries) {
  folder.write("config.json", config);
  write_safetensors(folder / "diffusion_pytorch_model.safetensors", entries);
}

Tensor<float> noise_image() {
  Tensor<float> image(Shape{2, 3, 8, 8});  // (2, 3, 8, 8)
  const Philox random(3, 0);
  for (index_t i = 0; i < image.numel(); ++i)
    image[i] = static_cast<float>(random.uniform(static_cast<std::uint64_t>(i)));
  return image;
}

TEST(DiffusersAutoencoder, EqualsTheModelUnderOtherNames) {
  Parts parts;
  const Tensor<float> image = noise_image();  // (2, 3, 8, 8)
  for (const bool official : {false, true}) {
    for (const double scale : {1.0, 0.5}) {
      const TempFolder folder;
      std::string config = kConfig;
      config.replace(config.find("\"scaling_factor\": 1.0"), 21,
                     concat("\"scaling_factor\": ", scale));
      write_folder(folder, config, entries_of(parts, official));
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

TEST(DiffusersAutoencoder, StatisticsAreBroadcast) {
  Parts parts;
  const TempFolder folder;
  auto entries = entries_of(parts);
  const auto with = [&](const Tensor<float>& mean, const Tensor<float>& deviation) {
    entries[entries.size() - 2].tensor = mean;
    entries[entries.size() - 1].tensor = deviation;
    write_folder(folder, kConfig, entries);
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
  Parts parts;
  const TempFolder folder;
  std::string list = "[";
  for (int i = 0; i < 200000; ++i) list += i ? ", [0.5, {\"latents_std\": null}]" : "[1]";
  std::string config = kConfig;
  config.insert(1, "\"latents_mean\": " + list + "], \"latents_std\": 3, ");
  ASSERT_GT(config.size(), std::size_t{4} << 20);
  write_folder(folder, config, entries_of(parts));
  EXPECT_EQ(open_diffusers_autoencoder(folder.path()).config.encoder.width(), 64);
  config.insert(1, "\"other\": " + list + "], ");
  folder.write("config.json", config);
  EXPECT_NE(message_of<ConfigError>([&] {
              (void)open_diffusers_autoencoder(folder.path());
            }).find("more than 100000 values"),
            std::string::npos);
}

TEST(DiffusersAutoencoder, RefusesUnsupportedConfigurations) {
  Parts parts;
  const TempFolder folder;
  const auto entries = entries_of(parts);
  const auto expect = [&](const std::string& from, const std::string& to, const std::string& part) {
    std::string config = kConfig;
    const std::size_t at = config.find(from);
    ASSERT_NE(at, std::string::npos);
    config.replace(at, from.size(), to);
    write_folder(folder, config, entries);
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
  expect("\"encoder_input_size\": 28", "\"encoder_input_size\": 42", "decoder_pos_embed");
  expect("\"image_size\": null", "\"image_size\": 16", "image_size: expected 8, 2 patches of 4");
  expect("\"reshape_to_2d\": true", "\"reshape_to_2d\": false", "reshape_to_2d");
  expect("\"scaling_factor\": 1.0", "\"scaling_factor\": 0", "scaling_factor");
  expect("\"num_channels\": 3", "\"num_channels\": 1", "num_channels");
}

}  // namespace
}  // namespace rae::test
