#include "rae/formats/bundle.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "rae/generate/generator.hpp"
#include "rae/io/safetensors.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::expect_close;
using test::message_of;
using test::TempFolder;
using test::tiny_bundle;

TEST(BundleTest, RoundTripsInEveryDtype) {
  const TempFolder folder;
  const Bundle bundle = tiny_bundle();
  for (const DType type : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
    const std::string path = folder / std::string(name_of(type));
    bundle.save(path, type);
    const Bundle again = Bundle::load(path);
    EXPECT_EQ(again.origin, path);
    EXPECT_EQ(again.notes, bundle.notes);
    EXPECT_EQ(to_config(again.config).to_json(), to_config(bundle.config).to_json());
    ASSERT_EQ(again.tensors.size(), bundle.tensors.size());
    const SafetensorsFile file = SafetensorsFile::open(path);
    for (const auto& [name, tensor] : bundle.tensors) {
      const bool delicate = tensor.rank() == 1 || name.rfind("latent_norm.", 0) == 0;
      EXPECT_EQ(file.info(name).dtype, delicate ? DType::f32 : type) << name;
      Tensor<float> expected = tensor;  // tensor's shape
      if (!delicate && type == DType::bf16) expected = convert<float>(convert<bf16>(tensor));
      if (!delicate && type == DType::f16) expected = convert<float>(convert<f16>(tensor));
      expect_close(again.tensors.at(name), expected, 0.0, name);
    }
    Bundle rounded = bundle;
    rounded.round("", type);
    for (const auto& [name, tensor] : again.tensors)
      expect_close(rounded.tensors.at(name), tensor, 0.0, name);
  }
}

TEST(BundleTest, EqualBundlesGiveEqualBytes) {
  const TempFolder folder;
  tiny_bundle().save(folder / "a", DType::bf16);
  Bundle::load(folder / "a").save(folder / "b", DType::bf16);
  EXPECT_EQ(test::slurp(folder / "a"), test::slurp(folder / "b"));
}

TEST(BundleTest, StoresTrainingModelsAndRestoresInferenceModels) {
  Bundle bundle = tiny_bundle();
  DitDh<Var<double>> trained(bundle.config.dit->get<DitDhConfig>());
  test::fill_random(trained, 77);
  bundle.tensors.emplace("dit.left_over", Tensor<float>(Shape{1}, 0.0f));
  bundle.store("dit.", trained);
  EXPECT_FALSE(bundle.has("dit.left_over"));
  DitDh<Tensor<float>> model(bundle.config.dit->get<DitDhConfig>());
  bundle.restore("dit.", model);
  trained.parameters([&](const std::string& name, auto& source) {
    model.parameters([&](const std::string& other, auto& target) {
      if (name == other) expect_close(target.tensor(), convert<float>(source.tensor()), 0.0, name);
    });
  });
  DitDh<Tensor<double>> precise(bundle.config.dit->get<DitDhConfig>());
  bundle.restore("dit.", precise);
  EXPECT_EQ(static_cast<float>(precise.x_embedder.weight.tensor()[5]),
            model.x_embedder.weight.tensor()[5]);
}

TEST(BundleTest, RestoreReportsErrorsAndChangesNothing) {
  Bundle bundle = tiny_bundle();
  bundle.origin = "model.safetensors";
  Decoder<Tensor<float>> decoder(*bundle.config.decoder);
  // (16, 24)
  const Tensor<float> missing = bundle.tensors.extract("decoder.decoder_pred.weight").mapped();
  std::string message = message_of<FormatError>([&] { bundle.restore("decoder.", decoder); });
  EXPECT_NE(message.find("model.safetensors: the tensor decoder.decoder_pred.weight is missing"),
            std::string::npos)
      << message;
  bundle.tensors.emplace("decoder.decoder_pred.weight", missing.reshaped({-1, 1}));
  message = message_of<ShapeError>([&] { bundle.restore("decoder.", decoder); });
  EXPECT_NE(
      message.find(
          "model.safetensors: tensor decoder.decoder_pred.weight: expected (16, 24), got (384, 1)"),
      std::string::npos)
      << message;
  for (const float value : decoder.pos_embed.tensor().span()) ASSERT_EQ(value, 0.0f);
}

TEST(BundleTest, ReportsAndRemovesItsNetworks) {
  Bundle bundle = tiny_bundle();
  for (const char* prefix : {"encoder.", "decoder.", "dit.", "latent_norm.mean"}) {
    EXPECT_TRUE(bundle.has(prefix)) << prefix;
    bundle.remove(prefix);
    EXPECT_FALSE(bundle.has(prefix)) << prefix;
  }
  EXPECT_EQ(bundle.tensors.size(), 1u);
  bundle.store_latent_norm({});
  EXPECT_TRUE(bundle.tensors.empty());
  EXPECT_TRUE(bundle.latent_norm().mean.empty());
  EXPECT_FALSE(bundle.has("decoder."));
}

TEST(BundleTest, MayLackTheEncoderAndTheStatistics) {
  const TempFolder folder;
  Bundle bundle = tiny_bundle();
  bundle.remove("encoder.");
  bundle.remove("latent_norm.");
  bundle.save(folder / "m");
  EXPECT_FALSE(Bundle::load(folder / "m").has("encoder."));
}

struct BadBundle {
  const char* what;
  void (*spoil)(Bundle&);
  const char* message;
};

class BundleRefuses : public testing::TestWithParam<BadBundle> {};

/// Writes a bundle without the checks of `save`.
void write_unchecked(const Bundle& bundle, const std::string& path) {
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, tensor] : bundle.tensors) entries.push_back({name, tensor});
  write_safetensors(path, entries, {{"config", to_config(bundle.config).to_json()}});
}

TEST_P(BundleRefuses, OnLoadAndOnSave) {
  const TempFolder folder;
  Bundle bundle = tiny_bundle();
  GetParam().spoil(bundle);
  write_unchecked(bundle, folder / "bad.safetensors");
  std::string message = message_of<Error>([&] { (void)Bundle::load(folder / "bad.safetensors"); });
  EXPECT_NE(message.find("bad.safetensors"), std::string::npos) << message;
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
  message = message_of<Error>([&] { bundle.save(folder / "out.safetensors"); });
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"bad.safetensors"});
}

INSTANTIATE_TEST_SUITE_P(
    Bundles, BundleRefuses,
    testing::Values(
        BadBundle{"missing tensor", [](Bundle& b) { b.tensors.erase("dit.s_projector.weight"); },
                  "dit.*"},
        BadBundle{"missing part", [](Bundle& b) { b.remove("decoder."); },
                  "decoder.* have 0 elements"},
        BadBundle{"unknown tensor",
                  [](Bundle& b) { b.tensors.emplace("ema.x", Tensor<float>(Shape{1}, 0.0f)); },
                  "ema.x"},
        BadBundle{"network without configuration", [](Bundle& b) { b.config.dit.reset(); },
                  "no such network"},
        BadBundle{"statistics of another shape",
                  [](Bundle& b) { b.tensors["latent_norm.mean"] = Tensor<float>(Shape{64}, 0.0f); },
                  "(16, 2, 2)"},
        BadBundle{"negative variance",
                  [](Bundle& b) { b.tensors["latent_norm.var"].span()[3] = -1; },
                  "negative variance"},
        BadBundle{"NaN", [](Bundle& b) { b.tensors["dit.pos_embed"].span()[0] = NAN; },
                  "dit.pos_embed contains NaN"},
        // Allocating this model would take about 10^15 bytes.
        BadBundle{"enormous model",
                  [](Bundle& b) {
                    test::dit_of(b.config).hidden_size[1] = 65536;
                    test::dit_of(b.config).depth[1] = 1024;
                  },
                  "the configuration needs"},
        BadBundle{"impossible model", [](Bundle& b) { test::vit_of(b.config).num_heads = 5; },
                  "5 heads"}));

TEST(BundleTest, RefusesOtherFiles) {
  const TempFolder folder;
  const std::vector<SafetensorsEntry> entries{{"x", Tensor<float>(Shape{1}, 0.0f)}};
  write_safetensors(folder / "plain", entries);
  std::string message = message_of<FormatError>([&] { (void)Bundle::load(folder / "plain"); });
  EXPECT_NE(message.find("is not a bundle"), std::string::npos) << message;
  write_safetensors(folder / "text", entries, {{"config", "{"}});
  message = message_of<ConfigError>([&] { (void)Bundle::load(folder / "text"); });
  EXPECT_NE(message.find("text: config"), std::string::npos) << message;
  EXPECT_THROW((void)Bundle::load(folder / "absent"), FileError);
  tiny_bundle().save(folder / "whole");
  const std::string whole = test::slurp(folder / "whole");
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    folder.write("cut", whole.substr(0, size));
    EXPECT_THROW((void)Bundle::load(folder / "cut"), FormatError) << size;
  }
}

TEST(BundleTest, DamagedFilesGiveErrorsOrValidModels) {
  const TempFolder folder;
  tiny_bundle().save(folder / "whole", DType::bf16);
  const std::string whole = test::slurp(folder / "whole");
  std::uint64_t header = 0;
  std::memcpy(&header, whole.data(), sizeof header);
  const Philox random(1);
  std::size_t refused = 0;
  for (std::uint64_t i = 0; i < 150; ++i) {
    std::string damaged = whole;
    for (std::uint64_t j = 0; j < 1 + i % 3; ++j)
      damaged[random.below(8 * i + 2 * j, 8 + header)] =
          static_cast<char>("0123456789-,:e\"[]{}"[random.below(8 * i + 2 * j + 1, 18)]);
    folder.write("damaged", damaged);
    try {
      const Generator generator(Bundle::load(folder / "damaged"));
      EXPECT_EQ(generator.sample({.labels = {0}, .steps = 1}).size(), 1u);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 50u);
}

TEST(BundleTest, SaveRefusesAReservedNoteAndKeepsTheOldFile) {
  const TempFolder folder;
  Bundle bundle = tiny_bundle();
  bundle.save(folder / "m");
  const std::string before = test::slurp(folder / "m");
  bundle.notes["config"] = "mine";
  EXPECT_THROW(bundle.save(folder / "m"), ArgumentError);
  EXPECT_EQ(test::slurp(folder / "m"), before);
  bundle.notes.erase("config");
  EXPECT_THROW(bundle.save(folder / "no/such/folder"), FileError);
}

}  // namespace
}  // namespace rae
