// A folder of diffusers, written from a random model under the names of AutoencoderKL.
#include "rae/formats/diffusers_vae.hpp"

#include <gtest/gtest.h>

#include <array>

#include "support/diffusers_folder.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae::test {
namespace {

constexpr const char* kConfig =
    R"({"_class_name": "AutoencoderKL", "_diffusers_version": "0.30.0", "act_fn": "silu",
  "block_out_channels": [4, 6], "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"],
  "in_channels": 3, "latent_channels": 3, "layers_per_block": 1, "norm_num_groups": 2,
  "out_channels": 3, "sample_size": 8, "scaling_factor": 0.5, "shift_factor": 0.25,
  "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"]})";

ConvDecoder<Tensor<float>> random_decoder() {
  ConvDecoder<Tensor<float>> model(
      {.latent_channels = 3, .block_channels = {4, 6}, .layers_per_block = 1, .groups = 2});
  std::uint64_t stream = 0;
  model.parameters([&](const std::string&, auto& p) {
    init_normal(p, p.shape().rank() > 1 ? 0.3 : 1.0, 7, ++stream);
  });
  return model;
}

std::vector<SafetensorsEntry> entries_of(const NameMap& names) {
  ConvDecoder<Tensor<float>> model = random_decoder();
  std::vector<SafetensorsEntry> out;
  add_tensors(out, model, names);
  out.push_back({"encoder.conv_in.weight", Tensor<float>(Shape{4, 3, 3, 3}, 0.0f)});
  return out;
}

std::string changed(const std::string& from, const std::string& to) {
  std::string config = kConfig;
  return config.replace(config.find(from), from.size(), to);
}

TEST(DiffusersVae, EqualsTheModelUnderOtherNames) {
  const Tensor<float> latents = random_tensor<float>({2, 3, 3, 4}, 1);  // (B, C, h, w)
  Tensor<float> unscaled(latents.shape());                              // (B, C, h, w)
  for (index_t i = 0; i < latents.numel(); ++i) unscaled[i] = 2 * latents[i] + 0.25f;
  Tensor<float> expected = random_decoder()(unscaled);  // (B, 3, 2h, 2w)
  for (float& value : expected.span()) value = value / 2 + 0.5f;
  for (const NameMap& names :
       {conv_decoder_names(), conv_decoder_names("query", "key", "value", "proj_attn")}) {
    const TempFolder folder;
    write_diffusers_folder(folder, kConfig, entries_of(names));
    const DiffusersVaeDecoder decoder = load_diffusers_vae_decoder(folder.path());
    EXPECT_EQ(decoder.scaling_factor, 0.5);
    EXPECT_TRUE(close(decoder.decode(latents), expected, 1e-5));
  }
}

TEST(DiffusersVae, RefusesOtherConfigurations) {
  const std::vector<SafetensorsEntry> entries = entries_of(conv_decoder_names());
  const auto message = [&](const std::string& config) {
    const TempFolder folder;
    write_diffusers_folder(folder, config, entries);
    return message_of<ConfigError>([&] { (void)load_diffusers_vae_decoder(folder.path()); });
  };
  for (const auto& [from, to, part] : std::vector<std::array<std::string, 3>>{
           {"AutoencoderKL", "AutoencoderRAE", "AutoencoderKL"},
           {"\"silu\"", "\"relu\"", "act_fn"},
           {"[4, 6]", "[]", "block_out_channels"},
           {"[4, 6]", "[4, 7]", "norm_num_groups"},
           {"[4, 6]", "[4, 1000000]", "block_out_channels"},
           {"0.5", "0", "scaling_factor"},
           {"\"UpDecoderBlock2D\"]", "\"AttnUpDecoderBlock2D\"]", "UpDecoderBlock2D"},
           {"\"sample_size\": 8", "\"use_post_quant_conv\": false", "use_post_quant_conv"}})
    EXPECT_NE(message(changed(from, to)).find(part), std::string::npos)
        << to << ": " << message(changed(from, to));
}

TEST(DiffusersVae, RefusesIncompleteFiles) {
  std::vector<SafetensorsEntry> entries = entries_of(conv_decoder_names());
  std::erase_if(entries, [](const auto& each) { return each.name == "decoder.conv_out.weight"; });
  const TempFolder folder;
  write_diffusers_folder(folder, kConfig, entries);
  EXPECT_NE(message_of<FormatError>([&] {
              (void)load_diffusers_vae_decoder(folder.path());
            }).find("decoder.conv_out.weight"),
            std::string::npos);
  write_diffusers_folder(folder, changed("[4, 6]", "[4, 8]"), entries_of(conv_decoder_names()));
  EXPECT_THROW((void)load_diffusers_vae_decoder(folder.path()), FormatError);
}

}  // namespace
}  // namespace rae::test
