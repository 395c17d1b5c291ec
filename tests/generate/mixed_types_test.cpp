#include "rae/generate/mixed_types.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/spec/weight_types.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae::test {
namespace {

class Mixes : public testing::Test {
 protected:
  const Bundle bundle_ = tiny_bundle();
  const ModelFiles files_ = bundle_.files();
  const CalibrationData data_ = sampled_calibration(files_, 20, 1);
  const std::vector<LayerSensitivity> sensitivities_ = measure_sensitivities(files_, data_);
  const std::map<std::string, std::string> notes_{{"license", "MIT"}};
  const TempFolder folder_;

  /// The file of a mix; its size is the one that was promised.
  [[nodiscard]] std::string save(const MixedTypes& mix) const {
    const std::string path = folder_ / "mixed.safetensors";
    save_packed_bundle(files_, path, mix.types, notes_);
    EXPECT_EQ(std::filesystem::file_size(path), mix.bytes);
    return path;
  }
  [[nodiscard]] std::uint64_t bytes_of(DType type) const {
    save_packed_bundle(files_, folder_ / "one.safetensors", type, notes_);
    return std::filesystem::file_size(folder_ / "one.safetensors");
  }
};

TEST_F(Mixes, FillTheBudgetWithTheTypesOfLeastError) {
  const std::uint64_t most = bytes_of(DType::f32), least = bytes_of(DType::int4);
  double before = 1e9;
  for (const double share : {0.3, 0.6, 0.9}) {
    const auto budget =
        least + static_cast<std::uint64_t>(share * static_cast<double>(most - least));
    const MixedTypes mix = mix_types(files_, data_, sensitivities_, {.bytes = budget}, notes_);
    EXPECT_LE(mix.bytes, budget);
    (void)save(mix);
    const double error = mix.measured[static_cast<std::size_t>(NetworkRole::dit)];
    EXPECT_LT(error, before);
    before = error;
  }
  EXPECT_THROW((void)mix_types(files_, data_, sensitivities_, {.bytes = 100}, notes_),
               ArgumentError);
}

// The narrowest types of all layers are the least that a budget can be.
TEST_F(Mixes, ReachTheSmallestBudgetAndNoSmallerOne) {
  LayerTypes narrow;
  for (const PackableLayer& layer : packable_layers(files_)) {
    const auto least = std::min_element(layer.bytes.begin(), layer.bytes.end());
    narrow.emplace(layer.name, kWeightTypes[least - layer.bytes.begin()]);
  }
  const std::uint64_t least = packed_bundle_bytes(files_, narrow, notes_);
  EXPECT_NO_THROW(require_reachable(files_, {.bytes = least}, notes_));
  const MixedTypes mix = mix_types(files_, data_, sensitivities_, {.bytes = least}, notes_);
  EXPECT_EQ(mix.bytes, least);
  EXPECT_EQ(mix.types, narrow);
  const std::string message =
      message_of<ArgumentError>([&] { require_reachable(files_, {.bytes = least - 1}, notes_); });
  EXPECT_NE(message.find(concat("at least ", least, " bytes")), std::string::npos) << message;
  EXPECT_NO_THROW(require_reachable(files_, {.error = 1e-9}, notes_));
  EXPECT_THROW(require_reachable(files_, {.error = -1}, notes_), ArgumentError);
  EXPECT_THROW(require_reachable(files_, {}, notes_), ArgumentError);
}

TEST_F(Mixes, KeepTheLimitOfErrorAsMeasured) {
  std::uint64_t before = 0;
  for (const double limit : {0.2, 0.02, 0.002}) {
    const MixedTypes mix = mix_types(files_, data_, sensitivities_, {.error = limit}, notes_);
    for (const double error : mix.measured) EXPECT_LE(error, limit);
    EXPECT_GT(mix.bytes, before);
    before = mix.bytes;
  }
  EXPECT_THROW((void)mix_types(files_, data_, sensitivities_, {.error = 0}), ArgumentError);
  EXPECT_THROW((void)mix_types(files_, data_, sensitivities_, {}), ArgumentError);
}

TEST_F(Mixes, AreRepeatedUntilTheyAreAccepted) {
  std::vector<std::uint64_t> sizes;
  const MixedTypes mix =
      mix_types(files_, data_, sensitivities_, {.error = 0.2}, notes_, [&](const MixedTypes& each) {
        sizes.push_back(each.bytes);
        return sizes.size() == 3;
      });
  EXPECT_EQ(sizes.size(), 3u);
  EXPECT_EQ(mix.bytes, sizes.back());
  EXPECT_GT(mix.bytes, sizes.front());
}

/// The packed file, the types for the original files, and the file without options are the same.
TEST_F(Mixes, APackedBundleComputesAsTheOriginalWithTheTypes) {
  const MixedTypes mix = mix_types(files_, data_, sensitivities_, {.error = 0.05}, notes_);
  const std::string path = save(mix);
  const ModelFiles packed = ModelFiles::open(path);
  EXPECT_EQ(packed.layer_types, mix.types);
  EXPECT_EQ(packed.packed, narrowest(mix.types));
  EXPECT_EQ(SafetensorsFile::open(path).metadata().at("license"), "MIT");
  const Generator original(files_, {.layer_types = mix.types}), loaded(packed),
      in_turn(packed, {.keep_loaded = false});
  EXPECT_EQ(loaded.type_name(), "mixed");
  const std::vector<std::int64_t> labels{0, 1, 2, 3};
  const Tensor<float> x = original.noise(3, 4);  // (B, C, h, w)
  for (const Generator* each : {&loaded, &in_turn}) {
    expect_close(each->velocity(x, 0.5f, labels), original.velocity(x, 0.5f, labels), 0.0);
    EXPECT_EQ(each->sample({.labels = {0, 2}, .seed = 3}),
              original.sample({.labels = {0, 2}, .seed = 3}));
    EXPECT_EQ(each->png_text({.labels = {0}}, 0).at("dtype"), "mixed");
  }
  const std::vector<Image> pictures = original.decode(x);
  expect_close(Autoencoder(packed).encode(pictures),
               Autoencoder(files_, {.layer_types = mix.types}).encode(pictures), 0.0);
}

TEST_F(Mixes, CannotBeLoadedOtherwise) {
  const MixedTypes mix = mix_types(files_, data_, sensitivities_, {.error = 0.05}, notes_);
  const std::string path = save(mix);
  const ModelFiles packed = ModelFiles::open(path);
  const std::string message =
      message_of<ArgumentError>([&] { (void)Generator(packed, {.dtype = narrowest(mix.types)}); });
  EXPECT_NE(message.find("packed for a type for each layer and cannot be loaded as"),
            std::string::npos)
      << message;
  LayerTypes other = mix.types;
  other.begin()->second = other.begin()->second == DType::f32 ? DType::bf16 : DType::f32;
  EXPECT_THROW((void)Generator(packed, {.layer_types = other}), ArgumentError);
  EXPECT_NO_THROW((void)Generator(packed, {.layer_types = mix.types}));
  EXPECT_THROW((void)Generator(files_, {.dtype = DType::int8, .layer_types = mix.types}),
               ArgumentError);
  EXPECT_THROW((void)Bundle::load(path), FormatError);
  EXPECT_THROW(save_packed_bundle(packed, folder_ / "again.safetensors", mix.types), ArgumentError);
  other.erase(other.begin());
  EXPECT_THROW(save_packed_bundle(files_, folder_ / "again.safetensors", other), ConfigError);
  EXPECT_THROW(save_packed_bundle(files_, folder_ / "again.safetensors", LayerTypes()),
               ArgumentError);
  EXPECT_THROW(
      save_packed_bundle(files_, folder_ / "again.safetensors", mix.types, {{"layer_types", "{}"}}),
      ArgumentError);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "again.safetensors"));
}

}  // namespace
}  // namespace rae::test
