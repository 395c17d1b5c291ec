// Configurations of RAEv2, and a whole model of it from its files, compared with the official code.
#include "formats/official/version_2.hpp"

#include <gtest/gtest.h>

#include "rae/formats/bundle_writer.hpp"
#include "rae/formats/official/open.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/models/token_dit_dh.hpp"
#include "support/official_files.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

// The tolerances are those in the README of the golden data.
constexpr double kRaev2Latent = 5e-5, kRaev2Pixels = 2e-5;

std::string model_path(const std::string& name) { return data_path("golden/v2_e2e/" + name); }

/// Inputs and outputs of the golden model.
struct ExpectedOfRaev2 {
  Golden golden{"v2_e2e/expected.safetensors"};
  std::vector<std::int64_t> labels = [this] {
    const auto stored = golden.get<std::int64_t>("labels");  // (B)
    return std::vector<std::int64_t>(stored.data(), stored.data() + stored.numel());
  }();
};

void expect_autoencoder(const ModelFiles& files) {
  const ExpectedOfRaev2 expected;
  const Autoencoder autoencoder(files);
  EXPECT_TRUE(
      close(autoencoder.encode(expected.golden("input")), expected.golden("latent"), kRaev2Latent));
  EXPECT_TRUE(close(autoencoder.encode(Image::open(model_path("input.png"), {.exif = false})),
                    expected.golden("latent"), kRaev2Latent));
  EXPECT_TRUE(close(autoencoder.decode_pixels(expected.golden("latent")),
                    expected.golden("reconstruction"), kRaev2Pixels));
}

void expect_generator(const ModelFiles& files) {
  const ExpectedOfRaev2 expected;
  const Generator generator(files);
  const Tensor<float> noise = expected.golden("noise");  // (B, C, h, w)
  EXPECT_TRUE(close(generator.velocity(noise, 0.73f, expected.labels), expected.golden("x_pred"),
                    kRaev2Latent));
  EXPECT_TRUE(close(generator.base_output(noise, 0.73f, expected.labels),
                    expected.golden("x_pred_base"), kRaev2Latent));
  const GenerateOptions own{.labels = expected.labels, .noise = noise};
  const Tensor<float> latents = generator.sample_latents(own);  // (B, C, h, w)
  EXPECT_TRUE(close(latents, expected.golden("sample_latent"), kRaev2Latent));
  EXPECT_TRUE(
      close(generator.decode_pixels(latents), expected.golden("sample_image"), kRaev2Pixels));
  GenerateOptions other = own;
  other.guidance = Cfg{};
  EXPECT_TRUE(close(generator.sample_latents(other), expected.golden("sample_latent_unguided"),
                    kRaev2Latent));
  other.guidance = Cfg{1.5f, 0.1f, 0.9f};
  EXPECT_TRUE(
      close(generator.sample_latents(other), expected.golden("sample_latent_cfg"), kRaev2Latent));
  other.guidance = Cfg{1.5f};
  other.internal_guidance = files.config.sampling.internal_guidance;
  other.steps = 20;
  EXPECT_TRUE(close(generator.sample_latents(other), expected.golden("sample_latent_cfg_ig_20"),
                    kRaev2Latent));
}

TEST(OfficialVersion2, TheWholeModelAgreesWithTheOfficialCode) {
  const ModelFiles files = open_official(model_path("config.yaml"));
  EXPECT_EQ(files.config.encoder.get<EncoderConfig>().latent_layers,
            (std::vector<index_t>{1, 2, 3}));
  EXPECT_EQ(files.config.prediction, Prediction::data);
  EXPECT_EQ(files.config.time_shift, 8.0);
  EXPECT_EQ(files.config.sampling.internal_guidance->scale, 1.78f);
  expect_autoencoder(files);
  expect_generator(files);
}

TEST(OfficialVersion2, AFolderOfHuggingFaceServesAsWell) {
  const TempFolder folder;
  fs::copy(model_path(""), folder.path(), fs::copy_options::recursive);
  fs::remove_all(folder / "pretrained_models/encoders");
  expect_autoencoder(open_official(folder / "config.yaml"));
  fs::remove_all(folder / "encoder");
  const std::string message =
      message_of<FileError>([&] { (void)open_official(folder / "config.yaml"); });
  for (const char* part : {"stage_1.params.encoder_name", "dinov3_vitl16_pretrain_lvd1689m",
                           "facebook/dinov3-vitl16-pretrain-lvd1689m"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(OfficialVersion2, BundlesAndOfficialFilesKeepTheModel) {
  const TempFolder folder;
  const ModelFiles files = open_official(model_path("config.yaml"));
  save_bundle(files, folder / "model.safetensors");
  const ModelFiles bundle = ModelFiles::open(folder / "model.safetensors");
  expect_autoencoder(bundle);
  expect_generator(bundle);
  const OfficialFiles written = save_official(bundle, folder / "official");
  EXPECT_TRUE(fs::exists(folder / "official/config.yaml"));
  const ModelFiles again = open_official(folder / "official/config.yaml");
  EXPECT_EQ(*again.config.dit, *files.config.dit);
  EXPECT_EQ(again.config.time_shift, files.config.time_shift);
  expect_autoencoder(again);
  expect_generator(again);
  // The strict loader of the official code needs exactly these tensors.
  const TensorSource saved = TensorSource::open(folder / "official/dit/stage2_model.pt"),
                     original =
                         TensorSource::open(
                             model_path(
                                 "pretrained_models/stage2/imagenet/dinov3l-k7/checkpoint.pt"))
                             .weights();
  EXPECT_EQ(saved.names().size(), original.names().size());
  for (const std::string& name : original.names()) {
    ASSERT_TRUE(saved.contains(name)) << name;
    EXPECT_TRUE(close(saved.read<float>(name), original.read<float>(name), 1e-6)) << name;
  }
}

/// The golden configuration with a value changed: "guidance.ig.scale=0".
OfficialConfig changed(const std::vector<std::string>& overrides) {
  ConfigNode node = ConfigNode::load(model_path("config.yaml"));
  for (const std::string& each : overrides) node.apply_override(each);
  return parse_official_config(node);
}

void expect_refused(const std::vector<std::string>& overrides,
                    const std::vector<std::string>& parts) {
  const std::string message = message_of<ConfigError>([&] { (void)changed(overrides); });
  for (const std::string& part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' in: " << message;
}

TEST(OfficialVersion2, GuidanceIsOffUpToOne) {
  EXPECT_FALSE(changed({"guidance.ig.scale=0.5"}).sampling.internal_guidance);
  EXPECT_FALSE(changed({"guidance.ig.scale=1"}).sampling.internal_guidance);
  EXPECT_TRUE(changed({"guidance.ig={scale: 1, unconditional_scale: 1.3}"})
                  .sampling.internal_guidance->enabled());
  EXPECT_FALSE(
      changed({"guidance.ig={scale: 1, unconditional_scale: 1}"}).sampling.internal_guidance);
  EXPECT_FALSE(changed({"guidance={cfg: null, ig: null}"}).sampling.internal_guidance);
  EXPECT_EQ(changed({"guidance.cfg.scale=0.9"}).sampling.guidance.scale, 1.0f);
  EXPECT_EQ(changed({"guidance.cfg.scale=1.5"}).sampling.guidance.scale, 1.5f);
}

TEST(OfficialVersion2, DefaultsAreThoseOfTheSchema) {
  const OfficialConfig c = parse_official_config(ConfigNode::parse_yaml(
      "stage_2: {target: stage2.models.DDT.DiTwDDTHeadIG, params: {in_channels: 1024}}",
      "v2.yaml"));
  const auto& dit = c.stage_2->backbone.get<TokenDitDhConfig>();
  EXPECT_EQ(dit.base_depth, 8);
  EXPECT_EQ(dit.time_tokens, 4);
  EXPECT_EQ(dit.class_tokens, 8);
  EXPECT_EQ(dit.hidden_size, 1152);
  EXPECT_EQ(dit.align_depth, 0);
  EXPECT_EQ(c.sampling.steps, 50);
  EXPECT_EQ(c.transport.prediction, Prediction::velocity);
  EXPECT_EQ(c.transport.t_eps, 0.05);
  // Not the product of latent_size.
  EXPECT_EQ(c.time_shift(), std::sqrt(196608.0 / 4096.0));
  EXPECT_FALSE(c.sampling.internal_guidance);
  // The section internal_guidance sets the depth unless the parameters do.
  EXPECT_EQ(
      changed({"stage_2.params.base_model_depth=null", "internal_guidance={base_model_depth: 2}"})
          .stage_2->backbone.get<TokenDitDhConfig>()
          .base_depth,
      2);
  EXPECT_EQ(changed({"repa={use_repa: true, repa_layer_depth: 2}"})
                .stage_2->backbone.get<TokenDitDhConfig>()
                .align_width,
            768);
}

TEST(OfficialVersion2, UnsupportedPartsAreNamed) {
  expect_refused({"conditioning.type=text"}, {"conditioning.type", "text encoders"});
  expect_refused({"conditioning.type=nwm"}, {"conditioning.type", "world models"});
  expect_refused({"dataset.condition_type=text"}, {"dataset.condition_type", "text encoders"});
  expect_refused({"stage_2.params.use_cfg_conds=true"}, {"use_cfg_conds"});
  expect_refused({"stage_1.target=stage1.vae.SDVAE"}, {"stage_1.target", "VAEs"});
  expect_refused({"stage_1.params.encoder_name=clip-vit-L"}, {"clip", "not supported"});
  expect_refused({"stage_1.params.encoder_name=dinov3-vit-7b16"}, {"7b16"});
  expect_refused({"stage_1.params.encoder_name=dinov3-vit"}, {"TYPE-ARCHITECTURE-SIZE"});
  expect_refused({"stage_1.params.encoder_name='dinov3mls-vit-l16[layers=1.1]'"}, {"twice"});
  expect_refused({"stage_1.params.resolution=72"}, {"resolution 72"});
  expect_refused({"stage_2.params.base_model_depth=3"}, {"base_model_depth 3", "depth 2"});
  expect_refused({"stage_2.target=stage2.models.DDT.DiTwDDTHead"}, {"base_model_depth", "IG"});
  expect_refused({"stage_2.params.patch_size=[1, 2]"}, {"patch_size"});
  expect_refused({"transport.time_dist_type=uniform"}, {"time_dist_type"});
  expect_refused({"training.optimiser={}"}, {"optimiser"});
  expect_refused({"sampler.steps=3"}, {"steps"});
  expect_refused({"misc.time_dist_shift_dim=5"}, {"below 1"});
}

TEST(OfficialVersion2, NamesOfEncoders) {
  const auto parse = [](const std::string& name) {
    return official::parse_encoder_name(ConfigNode(name));
  };
  const OfficialEncoderName k7 = parse("dinov3mls-vit-l16[layers=23.11.13]");
  EXPECT_EQ(k7.family, EncoderFamily::dinov3);
  EXPECT_EQ(k7.size, "l16");
  EXPECT_EQ(k7.layers, (std::vector<index_t>{11, 13, 23}));
  EXPECT_TRUE(k7.add_last_mean);
  EXPECT_FALSE(k7.final_affine);
  EXPECT_EQ(parse("dinov3mls-vit-l16").layers, (std::vector<index_t>{5, 11, 17, 23}));
  EXPECT_EQ(parse("dinov3mls-vit-b16").layers, (std::vector<index_t>{2, 5, 8, 11}));
  EXPECT_TRUE(parse("dinov3mls-vit-b16[layers=2.5, norm]").final_affine);
  EXPECT_TRUE(parse("dinov3-vit-b16norm").final_affine);
  EXPECT_EQ(parse("dinov3-vit-h16plus").size, "h16plus");
  EXPECT_TRUE(parse("dinov3-vit-l16").layers.empty());
  EXPECT_FALSE(parse("dinov2mls-vit-b[layers=2.11]").add_last_mean);
  const OfficialEncoderName siglip = parse("siglip2mls-vit-l[layers=23.11]");
  EXPECT_EQ(siglip.layers, (std::vector<index_t>{23, 11}));
  EXPECT_TRUE(siglip.final_affine && siglip.add_last_mean);
}

TEST(OfficialVersion2, TheFirstVersionIsRecognised) {
  EXPECT_FALSE(official::is_version_2(ConfigNode::load(golden_model_path("config.yaml"))));
  for (const char* yaml : {"{}", "3", "[1]", "stage_1: 3", "guidance: {scale: 1}",
                           "transport: {params: {prediction: velocity}}",
                           "stage_2: {target: stage2.models.DDT.DiTwDDTHead}"})
    EXPECT_FALSE(official::is_version_2(ConfigNode::parse_yaml(yaml, "v1.yaml"))) << yaml;
  for (const char* yaml :
       {"stage_1: {params: {encoder_name: dinov3mls-vit-l16}}",
        "stage_1: {params: {resolution: 256}}",
        "stage_2: {target: stage2.models.DDT.DiTwDDTHeadIG}",
        "internal_guidance: {base_model_depth: 8}", "guidance: {ig: {scale: 1.78}}",
        "conditioning: {type: label}", "repa: {use_repa: true}", "transport: {t_eps: 0.05}"})
    EXPECT_TRUE(official::is_version_2(ConfigNode::parse_yaml(yaml, "v2.yaml"))) << yaml;
}

}  // namespace
}  // namespace rae::test
