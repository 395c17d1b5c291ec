// A diffusion network that the library does not know needs only to be registered
// (support/third_backbone.hpp) to work with every component of the library.
#include "support/third_backbone.hpp"

#include "rae/formats/bundle_writer.hpp"
#include "rae/generate/generator.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::TokenMlp;
using test::TokenMlpConfig;

const bool kRegistered = register_backbone<test::TokenMlpKind>();

ModelConfig config_with(const Backbone& network) {
  ModelConfig config = test::tiny_config();
  config.dit = network;
  return config;
}

TEST(ThirdBackboneTest, ConfigurationRoundTrips) {
  ASSERT_TRUE(kRegistered);
  ModelConfig config = config_with(TokenMlpConfig{});
  config.guide = TokenMlpConfig{.hidden_size = 8};
  config.sampling.guidance = {};
  config.sampling.autoguidance = AutoGuidance{.scale = 1.5f};
  const ConfigNode node = to_config(config);
  EXPECT_TRUE(node.contains("token_mlp") && node.contains("token_mlp_guide"));
  const ModelConfig again = parse_model_config(ConfigNode::parse_json(node.to_json()));
  EXPECT_EQ(again.dit, config.dit);
  EXPECT_EQ(again.guide, config.guide);
  EXPECT_EQ(again.num_classes(), 3);
  config.dit->get<TokenMlpConfig>().hidden_size = 0;
  EXPECT_EQ(test::message_of<ConfigError>([&] { validate(config); }),
            "token_mlp.hidden_size: expected an integer from 1 to 65536, got 0");
}

TEST(ThirdBackboneTest, GeneratesPicturesFromABundle) {
  const test::TempFolder folder;
  const Bundle bundle = test::random_bundle(config_with(TokenMlpConfig{}));
  bundle.save(folder / "m.safetensors");
  EXPECT_EQ(Bundle::load(folder / "m.safetensors").config.dit, bundle.config.dit);
  const Generator generator = Generator::load(folder / "m.safetensors");
  const GenerateOptions options{.labels = {0, 2}, .guidance = Cfg{}};
  const Tensor<float> z = generator.sample_latents(options);  // (B, C, h, w)
  // The same steps, computed here with the network itself.
  TokenMlp<Tensor<float>> network{TokenMlpConfig{}};
  bundle.restore("dit.", network);
  const ModelConfig& c = bundle.config;
  const std::vector<float> grid =
      sampling_time_grid(c.sampling, c.path, c.prediction, c.time_shift);
  Tensor<float> x = generator.noise(0, 2);  // (B, C, h, w)
  for (std::size_t i = 0; i + 1 < grid.size(); ++i) {
    const Tensor<float> t(Shape{2}, grid[i]);                                     // (B)
    const Tensor<float> v = network(x, network.conditioning(t, options.labels));  // (B, C, h, w)
    for (index_t j = 0; j < x.numel(); ++j) x[j] += (grid[i + 1] - grid[i]) * v[j];
  }
  test::expect_close(z, x, 1e-5);
  EXPECT_EQ(generator.sample({.labels = {1}}).size(), 1u);  // guided by the null class
  GenerateOptions reuse{.labels = {0}, .reuse_error = 0.1};
  const std::string message =
      test::message_of<ArgumentError>([&] { (void)generator.sample_latents(reuse); });
  EXPECT_NE(message.find("token MLP"), std::string::npos) << message;
}

TEST(ThirdBackboneTest, GuidesAndIsGuidedByOtherKinds) {
  ModelConfig config = test::tiny_config();
  config.guide = TokenMlpConfig{};
  const GenerateOptions options{.labels = {0, 1}, .autoguidance = AutoGuidance{.scale = 1.5f}};
  const Tensor<float> guiding =
      Generator(test::random_bundle(config)).sample_latents(options);  // (B, C, h, w)
  EXPECT_TRUE(all_finite(guiding.span()));
  config.guide = config.dit;
  config.dit = TokenMlpConfig{};
  const Tensor<float> guided =
      Generator(test::random_bundle(config)).sample_latents(options);  // (B, C, h, w)
  EXPECT_TRUE(all_finite(guided.span()));
}

TEST(ThirdBackboneTest, IsPackedInEveryType) {
  const test::TempFolder folder;
  const Bundle bundle = test::random_bundle(config_with(TokenMlpConfig{.hidden_size = 32}));
  const Tensor<float> exact = Generator(bundle).sample_latents({.labels = {0, 1}});  // (B, C, h, w)
  for (const DType dtype : {DType::f32, DType::bf16, DType::int8}) {
    const std::string path = folder / (std::string(name_of(dtype)) + ".safetensors");
    save_packed_bundle(bundle.files(), path, dtype);
    const Generator packed = Generator::load(path), loaded(bundle, {.dtype = dtype});
    EXPECT_EQ(packed.dtype(), dtype);
    const Tensor<float> z = packed.sample_latents({.labels = {0, 1}});  // (B, C, h, w)
    test::expect_close(z, loaded.sample_latents({.labels = {0, 1}}), 0.0);
    test::expect_close(z, exact, dtype == DType::f32 ? 1e-5 : 0.3);
  }
}

TEST(ThirdBackboneTest, HasNoOfficialFiles) {
  const test::TempFolder folder;
  ModelConfig config = config_with(TokenMlpConfig{});
  const OfficialFiles out = save_official(test::random_bundle(config).files(), folder / "o");
  bool noted = false;
  for (const std::string& note : out.notes)
    noted = noted || note.find("no config.yaml") != std::string::npos;
  EXPECT_TRUE(noted);
  for (const std::string& path : out.written)
    EXPECT_EQ(path.find("stage2_model.pt"), std::string::npos) << path;
}

}  // namespace
}  // namespace rae
