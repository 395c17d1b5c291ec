#include "load/network_loader.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>

#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/spec/auto_dtype.hpp"
#include "rae/spec/weight_types.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using detail::NetworkLoader;
using test::message_of;

/// Removes const, because `parameters` needs a mutable network; nothing is changed.
BackboneNetwork<Tensor<float>>& changeable(const BackboneNetwork<Tensor<float>>& network) {
  return const_cast<BackboneNetwork<Tensor<float>>&>(network);
}

/// Weights of products are stored only packed, all other parameters only unpacked.
void expect_held_once(auto&& model) {
  std::size_t packed = 0;
  model.parameters([&](const std::string& name, auto& p) {
    EXPECT_NE(p.value.empty(), p.packed.empty()) << name;
    EXPECT_EQ(p.packed.empty(),
              p.shape().rank() != 2 || name.find("embedding_table") != std::string::npos)
        << name;
    packed += !p.packed.empty();
    if (p.packed.empty()) return;
    EXPECT_THROW((void)p.tensor(), ArgumentError) << name;
  });
  EXPECT_GT(packed, 4u);
}

TEST(NetworkLoaderTest, StoresEveryWeightOnce) {
  for (const bool keep : {true, false}) {
    const NetworkLoader loader(test::tiny_bundle().files(), {.keep_loaded = keep},
                               {NetworkRole::encoder, NetworkRole::decoder, NetworkRole::dit});
    expect_held_once(*loader.encoder()->clone());
    expect_held_once(Decoder<Tensor<float>>(*loader.decoder()));
    expect_held_once(changeable(*loader.dit()));
  }
}

TEST(NetworkLoaderTest, ReleasesNetworksThatAreNotInUse) {
  ModelConfig config = test::tiny_config();
  config.guide = config.dit;
  const ModelFiles files = test::random_bundle(config).files();
  const NetworkLoader loader(
      files, {.keep_loaded = false},
      {NetworkRole::encoder, NetworkRole::decoder, NetworkRole::dit, NetworkRole::guide});
  const std::weak_ptr<const BackboneNetwork<Tensor<float>>> dit = loader.dit();
  const std::weak_ptr<const BackboneNetwork<Tensor<float>>> guide = loader.guide();
  EXPECT_EQ(loader.dit(), dit.lock());  // not loaded again
  EXPECT_FALSE(dit.expired() || guide.expired());
  const std::weak_ptr<const Decoder<Tensor<float>>> decoder = loader.decoder();
  EXPECT_TRUE(dit.expired() && guide.expired());
  (void)loader.encoder();
  EXPECT_TRUE(decoder.expired());
  const NetworkLoader keeper(files, {}, {NetworkRole::decoder, NetworkRole::dit});
  const std::weak_ptr<const BackboneNetwork<Tensor<float>>> kept = keeper.dit();
  (void)keeper.decoder();
  EXPECT_FALSE(kept.expired());
}

TEST(NetworkLoaderTest, ReadsTensorsByTheirNamesInTheFile) {
  const Bundle bundle = test::tiny_bundle();
  // The file stores the encoder's queries, keys and values separately, and its patch embedding as a
  // convolution.
  std::map<std::string, Tensor<float>> tensors;
  Encoder<Tensor<float>> encoder(test::vit_of(bundle.config));
  bundle.restore("encoder.", encoder);
  const NameMap names = encoder_names(EncoderFamily::mae, "vit.");
  encoder.parameters([&](const std::string& name, auto& p) {
    const std::vector<std::string> stored = names(name);
    const auto parts = static_cast<index_t>(stored.size());
    const std::span<const float> values = p.tensor().span();
    for (std::size_t i = 0; i < stored.size(); ++i) {
      const std::size_t n = values.size() / stored.size();
      const Shape shape = name == "patch_embed.weight" ? Shape{16, 1, 4, 4}
                                                       : p.shape().with(0, p.shape()[0] / parts);
      tensors.emplace(stored[i], Tensor<float>(shape, values.subspan(i * n, n)));
    }
  });
  ModelFiles files = bundle.files();
  const Tensor<float> picture(Shape{1, 1, 8, 8}, 0.25f);              // (1, 1, 8, 8)
  const Tensor<float> expected = Autoencoder(files).encode(picture);  // (B, C, h, w)
  files.encoder = TensorGroup{TensorSource(tensors, "hub"), names};
  test::expect_close(Autoencoder(files).encode(picture), expected, 0.0);

  auto wrong = tensors;
  wrong.erase("vit.encoder.layer.0.attention.attention.key.weight");
  files.encoder = TensorGroup{TensorSource(wrong, "hub"), names};
  std::string message = message_of<FormatError>([&] { (void)Autoencoder(files); });
  EXPECT_NE(message.find("hub: encoder: the tensors have"), std::string::npos)
      << message;  // fewer elements than needed
  wrong["padding"] = Tensor<float>(Shape{1000}, 0.0f);
  files.encoder = TensorGroup{TensorSource(wrong, "hub"), names};
  message = message_of<FormatError>([&] { (void)Autoencoder(files); });
  EXPECT_NE(message.find("attention.key.weight is missing"), std::string::npos) << message;
  wrong = tensors;
  // (16, 16)
  Tensor<float>& query = wrong.at("vit.encoder.layer.0.attention.attention.query.weight");
  query = query.reshaped({8, 32});
  files.encoder = TensorGroup{TensorSource(wrong, "hub"), names};
  message = message_of<ShapeError>([&] { (void)Autoencoder(files); });
  EXPECT_NE(message.find("expected a part of (48, 16), got (8, 32)"), std::string::npos) << message;
}

TEST(NetworkLoaderTest, RefusesValuesThatAreNotFinite) {
  Bundle bundle = test::tiny_bundle();
  ModelFiles files = bundle.files();
  bundle.tensors.at("dit.x_embedder.proj.bias").data()[3] = std::numeric_limits<float>::quiet_NaN();
  files.dit = bundle.files().dit;
  const std::string message = message_of<FormatError>([&] { (void)Generator(files); });
  EXPECT_NE(message.find("x_embedder.proj.bias contains NaN"), std::string::npos) << message;
}

TEST(NetworkLoaderTest, RefusesModelsThatDoNotFitIntoMemory) {
  const ModelFiles files = test::tiny_bundle().files();
  const auto bytes = [](index_t elements) {
    return static_cast<std::uint64_t>(elements) * sizeof(float);
  };
  const std::uint64_t dit = bytes(parameter_count(files.config.dit->parameter_shapes())),
                      decoder =
                          bytes(parameter_count(parameter_shapes<Decoder>(*files.config.decoder)));
  const auto tight = [&](std::uint64_t available, bool keep) {
    return LoadOptions{.keep_loaded = keep, .available_memory = available};
  };
  EXPECT_NO_THROW((void)Generator(files, tight(dit + decoder, true)));
  EXPECT_NO_THROW(
      (void)Generator(files, tight(std::max(dit, decoder), false)).sample({.labels = {0}}));
  std::string message =
      message_of<MemoryError>([&] { (void)Generator(files, tight(dit + decoder - 1, true)); });
  EXPECT_NE(message.find("the weights of 'tiny' take"), std::string::npos) << message;
  EXPECT_NE(message.find("decoder 2.04e-05 GB, dit 9.53e-05 GB"), std::string::npos) << message;
  EXPECT_NE(message.find("keep_loaded = false"), std::string::npos) << message;
  message = message_of<MemoryError>(
      [&] { (void)Generator(files, tight(std::max(dit, decoder) - 1, false)); });
  EXPECT_NE(message.find("a smaller model"), std::string::npos) << message;
  EXPECT_THROW((void)Autoencoder(files, tight(1, true)), MemoryError);
}

/// The types of weight_types.hpp are used in memory and for the estimate of the memory.
TEST(NetworkLoaderTest, ChoosesTheFastestTypeUnlessAnotherIsGiven) {
  const ModelFiles files = test::tiny_bundle().files();
  const auto type_of = [&](const LoadOptions& options) {
    return NetworkLoader(files, options, {NetworkRole::dit}).dtype();
  };
  EXPECT_EQ(type_of({}), DType::f32);
  EXPECT_EQ(type_of({.auto_dtype = true}), fastest_dtype());
  EXPECT_EQ(type_of({.dtype = DType::bf16, .auto_dtype = true}), DType::bf16);
}

TEST(NetworkLoaderTest, StoresEveryMatrixInItsType) {
  ModelConfig config = test::tiny_config();
  const ModelFiles files = test::random_bundle(config).files();
  for (const DType dtype : kWeightTypes) {
    const NetworkLoader loader(files, {.dtype = dtype},
                               {NetworkRole::encoder, NetworkRole::decoder, NetworkRole::dit});
    const DType outside = dtype == DType::f32 ? DType::f32 : DType::bf16;
    std::uint64_t bytes = 0;
    const auto check = [&](auto&& model) {
      model.parameters([&](const std::string& name, auto& p) {
        const auto weights = static_cast<std::uint64_t>(p.empty() ? 0 : p.shape().numel());
        bytes += bytes_of_weights(p.packed.empty() ? DType::f32 : p.packed.stored(), weights);
        if (p.packed.empty()) return;
        // Block 0 of the transformer is its backbone, block 1 is its head.
        const bool block = name.find("blocks.") == 0 || name.find("layers.") != std::string::npos;
        EXPECT_EQ(p.packed.stored(),
                  block && name != "blocks.0.adaLN_modulation.1.weight" ? dtype : outside)
            << name;
      });
    };
    check(*loader.encoder()->clone());
    check(Decoder<Tensor<float>>(*loader.decoder()));
    check(changeable(*loader.dit()));
    const auto fits = [&](std::uint64_t available) {
      return NetworkLoader(files, {.dtype = dtype, .available_memory = available},
                           {NetworkRole::encoder, NetworkRole::decoder, NetworkRole::dit});
    };
    EXPECT_NO_THROW((void)fits(bytes));
    const std::string message = message_of<MemoryError>([&] { (void)fits(bytes - 1); });
    EXPECT_NE(message.find(concat(" in ", name_of(dtype), " (")), std::string::npos) << message;
    EXPECT_EQ(message.find("narrower weights") == std::string::npos, dtype == DType::int4)
        << message;
  }
  EXPECT_THROW(NetworkLoader(files, {.dtype = DType::f16}, {NetworkRole::dit}), ArgumentError);
}

}  // namespace
}  // namespace rae
