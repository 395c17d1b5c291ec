// DINOv3: a folder of Hugging Face and the checkpoint of facebookresearch/dinov3 with the same
// weights, whose tokens were computed by transformers.
#include <gtest/gtest.h>

#include "rae/formats/fill_weights.hpp"
#include "rae/formats/huggingface_encoder.hpp"
#include "rae/io/safetensors_writer.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

constexpr const char* kCheckpoint =
    "golden/v2_dinov3_tiny/dinov3_vitl16_pretrain_lvd1689m-8aa4cbdd.pth";

/// The tokens of a golden picture with the affine part of the final LayerNorm, which RAE leaves
/// out.
void expect_tokens(const PretrainedEncoder& opened, const std::string& size) {
  const Golden io("v2_dinov3_tiny/io.safetensors");
  EncoderConfig config = opened.config;
  config.final_affine = true;
  Encoder<Tensor<float>> encoder(config);
  fill_weights(encoder, opened.file);
  const Tensor<float> all = io(size + ".last_hidden_state");  // (B, P+N, D)
  expect_close(encoder(io(size + ".pixel_values")), drop_tokens(all, opened.config.prefix_tokens()),
               5e-5, "v2_dinov3_tiny");
}

TEST(Dinov3, AFolderOfHuggingFaceComputesTheGoldenTokens) {
  const PretrainedEncoder opened = open_encoder_folder(data_path("golden/v2_dinov3_tiny"));
  EXPECT_EQ(opened.config.family, EncoderFamily::dinov3);
  EXPECT_EQ(opened.config.registers, 4);
  EXPECT_EQ(opened.config.layer_norm_eps, 1e-5);
  EXPECT_FALSE(opened.config.gated_mlp);
  expect_tokens(opened, "64x64");
  expect_tokens(opened, "64x96");
}

TEST(Dinov3, ACheckpointComputesTheSame) {
  const PretrainedEncoder opened = open_dinov3_checkpoint(data_path(kCheckpoint));
  const PretrainedEncoder folder = open_encoder_folder(data_path("golden/v2_dinov3_tiny"));
  EXPECT_EQ(opened.config.num_heads, folder.config.num_heads);
  EXPECT_EQ(opened.config.intermediate_size, folder.config.intermediate_size);
  EXPECT_EQ(opened.config.rope_theta, 100.0);
  EXPECT_EQ(opened.pixels.mean, PixelNorm{}.mean);
  expect_tokens(opened, "64x64");
  expect_tokens(opened, "64x96");
}

TEST(Dinov3, RotaryAnglesAreThoseOfTransformers) {
  const Golden io("v2_dinov3_tiny/io.safetensors");
  const RopeTable<float> table = make_centred_rope_table<float>(4, 6, 16);
  expect_close(table.cos, io("64x96.rope_cos"), 2e-6, "v2_dinov3_tiny");
  expect_close(table.sin, io("64x96.rope_sin"), 2e-6, "v2_dinov3_tiny");
}

// S+ and H+ have a gated network: w3(silu(w1 x) * (w2 x)).
TEST(Dinov3, AGatedNetworkHasTwoMatrices) {
  const TempFolder folder;
  ConfigNode config = golden_config("v2_dinov3_tiny");
  config.set("use_gated_mlp", true);
  config.set("hidden_act", "silu");
  folder.write("config.json", config.to_json(2));
  std::vector<SafetensorsEntry> entries;
  const Golden weights("v2_dinov3_tiny/model.safetensors");
  for (const std::string& name : weights.file().names()) {
    entries.push_back({name, weights(name)});
    if (const auto at = name.find("up_proj"); at != std::string::npos)
      entries.push_back({std::string(name).replace(at, 2, "gate"), weights(name)});
  }
  write_safetensors(folder / "model.safetensors", entries);
  const PretrainedEncoder opened = open_encoder_folder(folder.path());
  EXPECT_TRUE(opened.config.gated_mlp);
  Encoder<Tensor<float>> encoder(opened.config);
  fill_weights(encoder, opened.file);
  EXPECT_EQ(encoder.layers[0].fc1.weight.shape(), (Shape{256, 32}));
  // With equal halves the hidden units are silu(u) u.
  const Golden io("v2_dinov3_tiny/io.safetensors");
  const VitBlock<Tensor<float>>& block = encoder.layers[0];
  const Tensor<float> x = io("64x64.embeddings");                             // (B, T, D)
  const Tensor<float> units = block.fc1(block.norm2(x), Activation::swiglu);  // (B, T, F)
  const Tensor<float> u =
      linear(Tensor<float>(block.norm2(x)), weights("layer.0.mlp.up_proj.weight"),
             weights("layer.0.mlp.up_proj.bias"));  // (B, T, F)
  Tensor<float> expected(u.shape());                // (B, T, F)
  for (index_t i = 0; i < u.numel(); ++i) {
    const double value = static_cast<double>(u[i]);
    expected[i] = static_cast<float>(value * value / (1 + std::exp(-value)));
  }
  expect_close(units, expected, 1e-5, "v2_dinov3_tiny");
}

TEST(Dinov3, OtherFilesAreRefusedByName) {
  EXPECT_NE(message_of<FormatError>([] {
              (void)open_dinov3_checkpoint(data_path("golden/v2_dinov3_tiny/model.safetensors"));
            }).find("patch_embed.proj.weight"),
            std::string::npos);
  EXPECT_NE(message_of<ConfigError>([] {
              ConfigNode node = golden_config("v2_dinov3_tiny");
              node.set("model_type", "dinov3_convnext");
              (void)parse_pretrained_config(node);
            }).find("dinov3_convnext"),
            std::string::npos);
}

}  // namespace
}  // namespace rae::test
