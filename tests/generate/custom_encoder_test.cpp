// An encoder that the library does not know needs only to be registered
// (support/custom_encoder.hpp) to work with every component of the library.
#include "support/custom_encoder.hpp"

#include "rae/formats/bundle_writer.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/features.hpp"
#include "rae/generate/generator.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::LinearPatchConfig;
using test::PatchConfig;

const bool kRegistered = test::register_custom_encoders();

/// The latents have the shape (16, 2, 2), like those of the tiny model.
ModelConfig config_with(AnyEncoder encoder) {
  ModelConfig config = test::tiny_config();
  config.encoder = std::move(encoder);
  return config;
}

Tensor<float> random_pictures() {
  Tensor<float> images(Shape{3, 1, 8, 8});  // (B, 1, H, W)
  Philox(5).fill_uniform(images.span());
  return images;
}

TEST(CustomEncoderTest, ConfigurationRoundTrips) {
  ASSERT_TRUE(kRegistered);
  const ModelConfig config = config_with(PatchConfig{.factor = 0.5});
  const ModelConfig again = parse_model_config(to_config(config));
  EXPECT_EQ(again.encoder, config.encoder);
  EXPECT_EQ(again.encoder.family(), "patches");
  EXPECT_EQ(again.encoder.get<PatchConfig>().factor, 0.5);
  EXPECT_FALSE(again.encoder == AnyEncoder(PatchConfig{}));
  EXPECT_FALSE(again.encoder == AnyEncoder(EncoderConfig{}));
  EXPECT_EQ(again.latent_shape(), (Shape{16, 2, 2}));
  EXPECT_THROW((void)again.encoder.get<EncoderConfig>(), ConfigError);
  EXPECT_TRUE(test::register_custom_encoders()) << "again does nothing";
}

TEST(CustomEncoderTest, ErrorsNameThePathAndTheKnownFamilies) {
  ModelConfig config = config_with(PatchConfig{.factor = 11});
  EXPECT_EQ(test::message_of<ConfigError>([&] { validate(config); }),
            "encoder.factor: expected a number from -10 to 10, got 11");
  ConfigNode node = to_config(config_with(PatchConfig{}));
  node.set_path("encoder.family", "pathces");
  const std::string message =
      test::message_of<ConfigError>([&] { (void)parse_model_config(node); });
  for (const char* part : {"encoder.family", "'pathces'", "dinov2, siglip2, mae, dinov3, patches",
                           "did you mean 'patches'?", "register_encoder"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

struct OtherPatchConfig : PatchConfig {};

struct TakenName : test::PatchKind {
  using Config = OtherPatchConfig;
  static Config parse(const ConfigNode&) { return {}; }
};

struct BadName : TakenName {
  static constexpr std::string_view name = "No good";
};

struct TakenConfig : test::PatchKind {
  static constexpr std::string_view name = "other_patches";
};

TEST(CustomEncoderTest, RegisteredNamesAndTypesAreRefused) {
  EXPECT_THROW((void)register_encoder<TakenName>(), ArgumentError);
  EXPECT_THROW((void)register_encoder<BadName>(), ArgumentError);
  EXPECT_THROW((void)register_encoder<TakenConfig>(), ArgumentError);
  EXPECT_EQ(find_encoder("other_patches"), nullptr);
}

TEST(CustomEncoderTest, WithoutWeightsNeedsNoTensors) {
  const test::TempFolder folder;
  Bundle bundle = test::random_bundle(config_with(PatchConfig{.factor = 2}));
  EXPECT_FALSE(bundle.has("encoder."));
  EXPECT_TRUE(bundle.has(NetworkRole::encoder));
  bundle.save(folder / "m.safetensors");
  const Tensor<float> images = random_pictures();  // (B, 1, H, W)
  const Tensor<float> tokens =
      scale(patchify(normalize_pixels(images, bundle.config.pixels), 4), 2.0f);  // (B, N, D)
  const Tensor<float> expected =
      bundle.latent_norm().normalize(tokens_to_grid(tokens, 2, 2));  // (B, C, h, w)
  for (const bool keep : {true, false}) {
    const Autoencoder loaded = Autoencoder::load(folder / "m.safetensors", {.keep_loaded = keep});
    test::expect_close(loaded.encode(images), expected, 1e-6);
    const Tensor<float> pixels = loaded.decode_pixels(expected);  // (B, 1, H, W)
    EXPECT_TRUE(all_finite(pixels.span()));
  }
  EXPECT_EQ(Generator::load(folder / "m.safetensors").sample({.labels = {0, 1}}).size(), 2u);
  EXPECT_EQ(FeatureExtractor::encoder(ModelFiles::open(folder / "m.safetensors")).dimension(), 16);

  // Copies in other formats keep the encoder.
  const ModelFiles files = ModelFiles::open(folder / "m.safetensors");
  save_bundle(files, folder / "copy.safetensors");
  save_packed_bundle(files, folder / "packed.safetensors", DType::f32);
  for (const char* copy : {"copy.safetensors", "packed.safetensors"})
    test::expect_close(Autoencoder::load(folder / copy).encode(images), expected, 1e-6);
  const OfficialFiles official = save_official(files, folder / "official");
  bool noted = false;
  for (const std::string& note : official.notes) noted |= note.find("patches") != std::string::npos;
  EXPECT_TRUE(noted);
}

TEST(CustomEncoderTest, WeightsAreStoredAndLoaded) {
  const test::TempFolder folder;
  Bundle bundle = test::random_bundle(config_with(LinearPatchConfig{.width = 16}));
  EXPECT_TRUE(bundle.has("encoder."));
  bundle.save(folder / "m.safetensors");
  const Tensor<float> images = random_pictures();  // (B, 1, H, W)
  test::expect_close(Autoencoder::load(folder / "m.safetensors").encode(images),
                     bundle.autoencoder().encode(images), 1e-5);
  (void)Autoencoder::load(folder / "m.safetensors", {.dtype = DType::int8}).encode(images);
  EXPECT_THROW((void)bundle.autoencoder().encoder().differentiable(), ArgumentError);

  bundle.remove("encoder.");
  EXPECT_FALSE(bundle.has(NetworkRole::encoder));
  EXPECT_THROW((void)Autoencoder(bundle), FormatError);
}

TEST(CustomEncoderTest, AnUnknownFamilyIsNamed) {
  const test::TempFolder folder;
  const Bundle bundle = test::random_bundle(config_with(PatchConfig{}));
  bundle.save(folder / "m.safetensors");
  std::string bytes = test::slurp(folder / "m.safetensors");
  const std::string known = R"(\"family\":\"patches\")";
  ASSERT_NE(bytes.find(known), std::string::npos);
  bytes.replace(bytes.find(known), known.size(), R"(\"family\":\"unknown\")");
  const std::string path = folder.write("unknown.safetensors", bytes);
  const std::string message = test::message_of<ConfigError>([&] { (void)Autoencoder::load(path); });
  for (const char* part : {path.c_str(), "'unknown'", "dinov2, siglip2, mae"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(AutoencoderTest, LatentsThatAreNotFiniteAreRefused) {
  const Bundle bundle = test::random_bundle(config_with(PatchConfig{.factor = 10}));
  const Autoencoder autoencoder(bundle);
  const Tensor<float> huge(Shape{1, 1, 8, 8}, 3e38f);  // (B, 1, H, W)
  EXPECT_THROW((void)autoencoder.encode(huge), NumericError);
}

}  // namespace
}  // namespace rae
