// Encoder folders of Hugging Face, written from the golden encoders, whose tokens were computed by
// the official code.
#include "rae/formats/huggingface_encoder.hpp"

#include <gtest/gtest.h>

#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/torch_files.hpp"

namespace rae::test {
namespace {

using Names = std::vector<std::string>;

constexpr const char* kPreprocessor =
    R"({"crop_size": {"height": 224, "width": 224}, "do_normalize": true, "do_rescale": true,
  "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3, "rescale_factor": 0.00392156862745098})";

/// The config.json of a golden case's encoder, with a model type.
ConfigNode config_of(const std::string& name, const char* type) {
  ConfigNode config = golden_config(name).at("encoder");
  config.set("model_type", type);
  return config;
}

/// The tensors in the hub file of a golden case.
std::vector<SafetensorsEntry> entries_of(const std::string& name) {
  const Golden hub(name + "/hub_model.safetensors");
  std::vector<SafetensorsEntry> out;
  for (const std::string& tensor : hub.file().names()) out.push_back({tensor, hub(tensor)});
  return out;
}

/// Writes config.json and model.safetensors.
void write_folder(const TempFolder& folder, const ConfigNode& config,
                  const std::vector<SafetensorsEntry>& entries) {
  folder.write("config.json", config.to_json(2));
  write_safetensors(folder / "model.safetensors", entries);
}

Tensor<float> tokens_of(const PretrainedEncoder& opened, const Tensor<float>& input) {
  Encoder<Tensor<float>> encoder(opened.config);
  fill_weights(encoder, opened.file);
  return encoder(input);
}

/// The opened encoder computes the tokens of the golden case.
void expect_golden(const PretrainedEncoder& opened, const std::string& name) {
  const Golden io(name + "/io.safetensors");
  expect_close(tokens_of(opened, io("encoder_input")), io("encoder_tokens"), 2e-5, name);
}

std::string message_of_folder(const TempFolder& folder) {
  return message_of<Error>([&] { (void)open_encoder_folder(folder.path()); });
}

TEST(PretrainedEncoder, Dinov2WithRegisters) {
  const TempFolder folder;
  write_folder(folder, config_of("rae_dinov2_tiny", "dinov2_with_registers"),
               entries_of("rae_dinov2_tiny"));
  folder.write("preprocessor_config.json", kPreprocessor);
  const auto opened = open_encoder_folder(folder.path());
  EXPECT_EQ(opened.config.family, EncoderFamily::dinov2);
  EXPECT_EQ(opened.config.registers, 4);
  EXPECT_EQ(opened.config.table_h, 9);
  EXPECT_EQ(opened.config.intermediate_size, 96);
  EXPECT_EQ(opened.pixels.mean, (std::array<double, 3>{0.485, 0.456, 0.406}));
  EXPECT_EQ(opened.pixels.std, (std::array<double, 3>{0.229, 0.224, 0.225}));
  expect_golden(opened, "rae_dinov2_tiny");
}

TEST(PretrainedEncoder, MaeIgnoresTheDecoder) {
  const TempFolder folder;
  auto entries = entries_of("rae_mae_tiny");
  entries.push_back(
      {"decoder.decoder_layers.0.layernorm_before.weight", Tensor<float>(Shape{16}, 1.f)});
  entries.push_back({"decoder.mask_token", Tensor<float>(Shape{1, 1, 16}, 1.f)});
  ConfigNode config = config_of("rae_mae_tiny", "vit_mae");
  config.set("mask_ratio", 0.75);
  write_folder(folder, config, entries);
  const auto opened = open_encoder_folder(folder.path());
  EXPECT_EQ(opened.config.layer_norm_eps, 1e-12);
  EXPECT_EQ(opened.file.names("pos_embed"), (Names{"vit.embeddings.position_embeddings"}));
  EXPECT_EQ(opened.pixels.mean, PixelNorm{}.mean);
  expect_golden(opened, "rae_mae_tiny");
}

TEST(PretrainedEncoder, Siglip2IgnoresTheTextTower) {
  const TempFolder folder;
  const ConfigNode vision = config_of("rae_siglip2_tiny", "siglip_vision_model");
  write_folder(folder, vision, entries_of("rae_siglip2_tiny"));
  const auto alone = open_encoder_folder(folder.path());
  EXPECT_EQ(alone.pixels.std, (std::array<double, 3>{0.5, 0.5, 0.5}));
  expect_golden(alone, "rae_siglip2_tiny");

  auto entries = entries_of("rae_siglip2_tiny");
  entries.push_back(
      {"text_model.embeddings.position_embedding.weight", Tensor<float>(Shape{64, 24}, 1.f)});
  entries.push_back({"logit_scale", Tensor<float>(Shape{1}, 1.f)});
  write_folder(folder,
               ConfigNode::map({{"model_type", "siglip"},
                                {"text_config",
                                 ConfigNode::map({{"vocab_size", 256000}, {"hidden_act", "relu"}})},
                                {"vision_config", vision}}),
               entries);
  expect_golden(open_encoder_folder(folder.path()), "rae_siglip2_tiny");
}

TEST(PretrainedEncoder, Dinov2WithoutRegisters) {
  const TempFolder folder;
  auto entries = entries_of("rae_dinov2_tiny");
  std::erase_if(entries,
                [](const auto& entry) { return entry.name == "embeddings.register_tokens"; });
  for (auto& entry : entries) entry.name = "dinov2." + entry.name;
  ConfigNode config = config_of("rae_dinov2_tiny", "dinov2");
  config.set("use_mask_token", true);
  write_folder(folder, config, entries);
  const auto opened = open_encoder_folder(folder.path());
  EXPECT_EQ(opened.config.registers, 0);
  EXPECT_EQ(opened.config.prefix_tokens(), 1);

  // On a grid of another size, the position table is resized by bicubic interpolation without
  // antialiasing. The tokens therefore equal those of an encoder that stores the resized table.
  const Tensor<float> input =
      Golden("rae_dinov2_tiny/io.safetensors")("encoder_input");  // (B, 3, 56, 56)
  const Tensor<float> got = tokens_of(opened, input);             // (B, 16, D)
  const index_t d = opened.config.hidden_size;
  // (1, 82, D)
  const Tensor<float> stored =
      opened.file.tensors.read<float>("dinov2.embeddings.position_embeddings", Shape{1, 82, d});
  // (1, D, 9, 9), (1, D, 4, 4), (1, 17, D)
  Tensor<float> grid(Shape{1, d, 9, 9}), small(Shape{1, d, 4, 4}), table(Shape{1, 17, d});
  for (index_t i = 0; i < 81; ++i)
    for (index_t c = 0; c < d; ++c) grid[c * 81 + i] = stored[(1 + i) * d + c];
  resize<float>(grid, Resize::bicubic, small);
  for (index_t c = 0; c < d; ++c) {
    table[c] = stored[c];
    for (index_t i = 0; i < 16; ++i) table[(1 + i) * d + c] = small[c * 16 + i];
  }
  EncoderConfig native = opened.config;
  native.table_h = native.table_w = 4;
  Encoder<Tensor<float>> encoder(native);
  std::map<std::string, Tensor<float>> tensors;
  for (const std::string& name : opened.file.tensors.names())
    tensors[name] = name == "dinov2.embeddings.position_embeddings"
                        ? table
                        : opened.file.tensors.read<float>(name);
  fill_weights(encoder, {TensorSource(tensors), opened.file.names});
  expect_close(got, encoder(input), 1e-5);
}

TEST(PretrainedEncoder, ShardsAndCheckpoints) {
  const TempFolder folder;
  auto entries = entries_of("rae_mae_tiny");
  folder.write("config.json", config_of("rae_mae_tiny", "vit_mae").to_json());
  std::string map;
  for (std::size_t i = 0; i < entries.size(); ++i)
    map += concat(i ? ", \"" : "\"", entries[i].name, "\": \"", i < 5 ? "one" : "two",
                  ".safetensors\"");
  write_safetensors(folder / "one.safetensors", std::span(entries).first(5));
  write_safetensors(folder / "two.safetensors", std::span(entries).subspan(5));
  folder.write("model.safetensors.index.json", "{\"weight_map\": {" + map + "}}");
  expect_golden(open_encoder_folder(folder.path()), "rae_mae_tiny");

  std::filesystem::remove(folder / "model.safetensors.index.json");
  std::vector<std::pair<std::string, std::string>> members;
  std::vector<std::pair<std::string, std::string>> storages;
  for (const auto& entry : entries) {
    const auto& tensor = std::get<Tensor<float>>(entry.tensor);
    const std::string key = std::to_string(storages.size());
    std::vector<std::int64_t> shape(tensor.shape().begin(), tensor.shape().end()),
        strides(shape.size(), 1);
    for (std::size_t i = shape.size() - 1; i > 0; --i) strides[i - 1] = strides[i] * shape[i];
    members.emplace_back(
        entry.name,
        torch::tensor(torch::storage("FloatStorage", key, tensor.numel()), 0, shape, strides));
    storages.emplace_back(key, std::string(reinterpret_cast<const char*>(tensor.data()),
                                           static_cast<std::size_t>(tensor.numel()) * 4));
  }
  folder.write("pytorch_model.bin", torch::saved(torch::dict(members), storages));
  expect_golden(open_encoder_folder(folder.path()), "rae_mae_tiny");
}

TEST(PretrainedEncoder, DefaultsOfTheClass) {
  const auto parse = [](const char* json) {
    return parse_pretrained_config(ConfigNode::parse_json(json));
  };
  const EncoderConfig siglip = parse(
      R"({"model_type": "siglip", "vision_config": {"image_size": 256, "model_type": "siglip_vision_model"}})");
  EXPECT_EQ(siglip.hidden_size, 768);
  EXPECT_EQ(siglip.num_layers, 12);
  EXPECT_EQ(siglip.intermediate_size, 3072);
  EXPECT_EQ(siglip.patch_size, 16);
  EXPECT_EQ(siglip.table_h, 16);
  EXPECT_EQ(parse(R"({"model_type": "siglip"})").table_h, 14);
  const EncoderConfig large =
      parse(R"({"model_type": "dinov2_with_registers", "hidden_size": 1024, "num_hidden_layers": 24,
    "num_attention_heads": 16, "image_size": 518, "patch_size": 14})");
  EXPECT_EQ(large.intermediate_size, 4096);
  EXPECT_EQ(large.registers, 4);
  EXPECT_EQ(large.table_w, 37);
  EXPECT_EQ(parse(R"({"model_type": "vit_mae"})").layer_norm_eps, 1e-12);
}

TEST(PretrainedEncoder, RefusesUnsupportedOptions) {
  const auto message = [](const std::string& members) {
    return message_of<ConfigError>(
        [&] { (void)parse_pretrained_config(ConfigNode::parse_json("{" + members + "}", "c")); });
  };
  const auto expect = [&](const std::string& members, const std::string& part) {
    const std::string got = message(members);
    EXPECT_NE(got.find(part), std::string::npos) << members << ": " << got;
  };
  expect(R"("hidden_size": 8)", "model_type");
  expect(R"("model_type": "clip")",
         "c: model_type: expected dinov3_vit, dinov2_with_registers, dinov2, siglip");
  expect(R"("model_type": "siglip2")", "NaFlex");
  expect(R"("model_type": "dinov2", "use_swiglu_ffn": true)", "use_swiglu_ffn: expected false");
  expect(R"("model_type": "dinov2", "hidden_act": "relu")", "hidden_act: expected 'gelu'");
  expect(R"("model_type": "siglip", "vision_config": {"hidden_act": "gelu"})",
         "vision_config.hidden_act: expected 'gelu_pytorch_tanh'");
  expect(R"("model_type": "vit_mae", "qkv_bias": false)", "qkv_bias: expected true");
  expect(R"("model_type": "dinov2", "num_attention_heads": 7)", "768 does not divide into 7 heads");
  for (const std::string size :
       {"\"hidden_size\": 65537", "\"hidden_size\": 0", "\"hidden_size\": 1e300",
        "\"hidden_size\": -1", "\"num_hidden_layers\": 1000000000",
        "\"intermediate_size\": 99999999999", "\"patch_size\": [14, 14]", "\"image_size\": 1000000",
        "\"image_size\": 8", "\"num_channels\": 2", "\"layer_norm_eps\": -1"})
    EXPECT_FALSE(message("\"model_type\": \"vit_mae\", " + size).empty()) << size;

  const auto pixels = [](const std::string& members) {
    return message_of<ConfigError>(
        [&] { (void)parse_preprocessor_config(ConfigNode::parse_json("{" + members + "}", "p")); });
  };
  EXPECT_NE(pixels(R"("do_rescale": false)").find("do_rescale"), std::string::npos);
  EXPECT_NE(pixels(R"("rescale_factor": 1)").find("1/255"), std::string::npos);
  EXPECT_NE(pixels(R"("image_mean": [0, 0])").find("three numbers"), std::string::npos);
  EXPECT_NE(pixels(R"("image_mean": [0, 0, 0], "image_std": [1, 1, 0])").find("image_std"),
            std::string::npos);
  EXPECT_EQ(parse_preprocessor_config(ConfigNode::parse_json(R"({"do_normalize": false})")).std,
            (std::array<double, 3>{1, 1, 1}));
}

TEST(PretrainedEncoder, RefusesWeightsOfAnotherModel) {
  const TempFolder folder;
  const auto expect = [&](const std::string& part) {
    const std::string got = message_of_folder(folder);
    EXPECT_NE(got.find(part), std::string::npos) << got;
  };
  expect("config.json");
  const ConfigNode config = config_of("rae_dinov2_tiny", "dinov2_with_registers");
  folder.write("config.json", config.to_json());
  expect("contains no weights");
  const auto with = [&](std::string_view key, ConfigNode value) {
    ConfigNode changed = config;
    changed.set(key, std::move(value));
    write_folder(folder, changed, entries_of("rae_dinov2_tiny"));
  };
  // The configuration describes a model of 100 GB, but the file has 130 kB: nothing may be
  // allocated for the model.
  with("hidden_size", 65536);
  expect("has shape (24, 3, 14, 14), the configuration needs (65536, 588)");
  with("num_hidden_layers", 1000);
  expect("the tensor encoder.layer.2.norm1.weight is missing, and 17963 more");
  with("num_hidden_layers", 1);
  expect("has a tensor encoder.layer.1.norm1.weight, but config.json says 1 layers");
  with("image_size", 112);
  expect("embeddings.position_embeddings in ");
  with("mlp_ratio", 2);
  expect("mlp.fc1.weight in ");
  with("model_type", "dinov2");
  expect("has a tensor embeddings.register_tokens, but");
  with("model_type", "vit_mae");
  expect("layernorm_before.weight is missing, and 15 more");
  with("hidden_act", "gelu");
  auto entries = entries_of("rae_dinov2_tiny");
  for (auto& entry : entries)
    if (entry.name == "encoder.layer.1.mlp.fc2.bias") entry.name += "es";
  write_folder(folder, config, entries);
  expect("the tensor encoder.layer.1.mlp.fc2.bias is missing");
  write_folder(folder, config_of("rae_siglip2_tiny", "siglip_vision_model"), entries);
  expect("is it a siglip2 encoder?");
}

}  // namespace
}  // namespace rae::test
