// The model of RAEv2 in tests/golden through every command.
#include <gtest/gtest.h>

#include "support/golden.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class Raev2 : public ToolTest {
 protected:
  Raev2() {
    const Golden expected("v2_e2e/expected.safetensors");
    const auto save = [&](const char* file, const char* name, const char* from) {
      const SafetensorsEntry entry{name, expected(from)};
      write_safetensors(path(file), {&entry, 1});
    };
    save("noise.safetensors", "noise", "noise");
    save("latent.safetensors", "latent", "latent");
  }

  void expect_tensor(const char* file, const char* name, const char* golden, double tolerance) {
    const Tensor<float> actual = SafetensorsFile::open(path(file)).read<float>(name);
    EXPECT_TRUE(close(actual, Golden("v2_e2e/expected.safetensors")(golden), tolerance)) << golden;
  }

  void generate(const std::vector<std::string>& model, const std::vector<std::string>& more,
                const char* golden) {
    std::vector<std::string> arguments{
        "generate",      "--noise-in",   "noise.safetensors", "--labels", "3,7",     "--latent-out",
        "l.safetensors", "--images-out", "i.safetensors",     "--out",    "grid.png"};
    arguments.insert(arguments.end(), model.begin(), model.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = rae(arguments);
    ASSERT_EQ(result.status, 0) << result.err;
    expect_tensor("l.safetensors", "sample_latent", golden, 5e-5);
  }

  void expect_model(const std::vector<std::string>& model) {
    generate(model, {}, "sample_latent");
    expect_tensor("i.safetensors", "sample_image", "sample_image", 2e-5);
    generate(model, {"--cfg", "1"}, "sample_latent_unguided");
    generate(model, {"--cfg", "1.5", "--cfg-interval", "0.1,0.9"}, "sample_latent_cfg");
    generate(model, {"--cfg", "1.5", "--cfg-interval", "0,1", "--ig", "1.78", "--steps", "20"},
             "sample_latent_cfg_ig_20");
    for (const bool base : {false, true}) {
      std::vector<std::string> arguments{"velocity", "--noise-in", "noise.safetensors",
                                         "--t",      "0.73",       "--labels",
                                         "3,7",      "--out",      "v.safetensors"};
      if (base) arguments.push_back("--base");
      arguments.insert(arguments.end(), model.begin(), model.end());
      const auto result = rae(arguments);
      ASSERT_EQ(result.status, 0) << result.err;
      expect_tensor("v.safetensors", "velocity", base ? "x_pred_base" : "x_pred", 5e-5);
    }
    std::vector<std::string> encode{"encode", "--image", data_path("golden/v2_e2e/input.png"),
                                    "--out", "z.safetensors"};
    encode.insert(encode.end(), model.begin(), model.end());
    const auto encoded = rae(encode);
    ASSERT_EQ(encoded.status, 0) << encoded.err;
    expect_tensor("z.safetensors", "latent", "latent", 5e-5);
    std::vector<std::string> decode{"decode",       "--latent",      "latent.safetensors",
                                    "--images-out", "d.safetensors", "--out",
                                    "d.png"};
    decode.insert(decode.end(), model.begin(), model.end());
    const auto decoded = rae(decode);
    ASSERT_EQ(decoded.status, 0) << decoded.err;
    expect_tensor("d.safetensors", "reconstruction", "reconstruction", 2e-5);
  }

  const std::string config_ = data_path("golden/v2_e2e/config.yaml");
};

TEST_F(Raev2, EveryCommandReadsTheOfficialFiles) { expect_model({"--config", config_}); }

TEST_F(Raev2, ConversionsInBothDirectionsKeepTheModel) {
  auto result = rae({"convert", config_, "m.safetensors"});
  ASSERT_EQ(result.status, 0) << result.err;
  expect_model({"--model", "m.safetensors"});
  result = rae({"convert", "m.safetensors", "official", "--to", "official"});
  ASSERT_EQ(result.status, 0) << result.err;
  expect_model({"--config", "official/config.yaml"});
}

TEST_F(Raev2, InfoDescribesTheFiles) {
  auto result = rae({"info", config_});
  EXPECT_EQ(result.status, 0) << result.err;
  const std::string folder = data_path("golden/v2_e2e/");
  result = rae({"info", folder + "pretrained_models/stage2/imagenet/dinov3l-k7/checkpoint.pt"});
  EXPECT_EQ(result.status, 0) << result.err;
  for (const char* part : {"DiT^DH of RAEv2", "base head", "4 of the time, 8 of the class",
                           "10 and the null class", "4 x 4 tokens"})
    EXPECT_TRUE(contains(result.out, part)) << part << " in: " << result.out;
  result = rae({"info", folder + "pretrained_models/encoders/dinov3/"
                                 "dinov3_vitl16_pretrain_lvd1689m-8aa4cbdd.pth"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "DINOv3 encoder")) << result.out;
}

TEST_F(Raev2, InternalGuidanceNeedsABaseHead) {
  const auto result = rae({"generate", "--ig", "1.5", "--config",
                           data_path("golden/e2e_dinov2_ag/config.yaml"), "--out", "a.png"});
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(contains(result.err, "--ig")) << result.err;
}

}  // namespace
}  // namespace rae::test
