// Bundles that store matrices as 8-bit integers: the values are those of int8w, all readers see
// floats, and damaged files are refused.
#include "formats/grouped_weights.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <limits>

#include "rae/formats/bundle_writer.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/kernels/group_rounding.hpp"
#include "rae/spec/weight_types.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using test::message_of;
using test::TempFolder;

/// A bundle whose matrices have more than one group in a row, and a part of a group.
Bundle grouped_bundle() {
  ModelConfig config = test::tiny_config();
  test::dit_of(config).hidden_size[0] = 40;
  test::dit_of(config).hidden_size[1] = 72;
  return test::random_bundle(config);
}

/// True for a matrix of products, false for a table.
bool is_product(const NetworkOutline& outline, const std::string& name) {
  for (const ParameterShape& parameter : outline.parameters)
    if (parameter.name == name) return parameter.use != ParameterUse::elements;
  return false;
}

TEST(GroupedWeights, AreTheValuesOfInt8w) {
  const TempFolder folder;
  const Bundle bundle = grouped_bundle();
  save_bundle(bundle.files(), folder / "a.safetensors",
              StoredTypes{.dtype = DType::bf16, .dit = DType::int8w}, {{"licence", "MIT"}});
  const Bundle read = Bundle::load(folder / "a.safetensors");
  EXPECT_EQ(read.notes.at("licence"), "MIT");
  ASSERT_EQ(read.tensors.size(), bundle.tensors.size());
  const NetworkOutline outline = outline_of(bundle.config, NetworkRole::dit);
  const SafetensorsFile file = SafetensorsFile::open(folder / "a.safetensors");
  std::size_t grouped = 0;
  for (const auto& [name, tensor] : bundle.tensors) {
    Tensor<float> expected = tensor;
    const bool matrix = tensor.rank() > 1 && !name.starts_with("latent_norm.");
    if (file.contains(name + ".int8")) {
      ++grouped;
      EXPECT_TRUE(name.starts_with("dit.blocks.")) << name;
      EXPECT_EQ(outline.weight_type(DType::int8w, name.substr(4)), DType::int8w);
      EXPECT_FALSE(file.contains(name));
      EXPECT_EQ(file.info(name + ".int8").shape, tensor.shape());
      EXPECT_EQ(file.info(name + ".scale").shape,
                (Shape{tensor.extent(0), (tensor.extent(1) + 31) / 32}));
      round_to_groups(tensor.view(), expected.view(), DType::int8w);
    } else if (matrix && (!name.starts_with("dit.") || is_product(outline, name.substr(4)))) {
      expected = convert<float>(convert<bf16>(tensor));
      EXPECT_EQ(file.info(name).dtype, DType::bf16) << name;
    }
    test::expect_close(read.tensors.at(name), expected, 0.0, name);
  }
  EXPECT_GT(grouped, 8u);
}

TEST(GroupedWeights, AModelOfThemIsThatOfInt8wAndCanBeLoadedAsEveryType) {
  const TempFolder folder;
  const Bundle bundle = grouped_bundle();
  save_bundle(bundle.files(), folder / "a.safetensors", StoredTypes{.dtype = DType::int8w});
  EXPECT_LT(std::filesystem::file_size(folder / "a.safetensors") * 2, [&] {
    save_bundle(bundle.files(), folder / "f32.safetensors");
    return std::filesystem::file_size(folder / "f32.safetensors");
  }());
  const std::vector<std::int64_t> labels{0, 1, 2, 3};
  const Generator original(bundle, {.dtype = DType::int8w}),
      stored = Generator::load(folder / "a.safetensors", {.dtype = DType::int8w});
  const Tensor<float> x = original.noise(3, 4);  // (B, C, h, w)
  test::expect_close(stored.velocity(x, 0.5f, labels), original.velocity(x, 0.5f, labels), 0.0);
  EXPECT_EQ(stored.decode(x), original.decode(x));
  for (const DType type : kWeightTypes) {
    const Generator each = Generator::load(folder / "a.safetensors", {.dtype = type});
    EXPECT_EQ(each.sample({.labels = {0, 2}}).size(), 2u) << name_of(type);
    EXPECT_EQ(Autoencoder::load(folder / "a.safetensors", {.dtype = type}).config().name, "tiny");
  }
  save_packed_bundle(ModelFiles::open(folder / "a.safetensors"), folder / "p.safetensors",
                     DType::int8w);
  test::expect_close(Generator::load(folder / "p.safetensors").velocity(x, 0.5f, labels),
                     original.velocity(x, 0.5f, labels), 0.0);
}

TEST(GroupedWeights, ConvertingThemRoundsNothingFurther) {
  const TempFolder folder;
  const auto convert_to = [&](const std::string& from, const std::string& to, StoredTypes types) {
    save_bundle(ModelFiles::open(folder / from), folder / to, types);
  };
  grouped_bundle().save(folder / "f32.safetensors");
  convert_to("f32.safetensors", "a.safetensors", {.dtype = DType::int8w});
  convert_to("a.safetensors", "wide.safetensors", {.dtype = DType::f32});
  convert_to("wide.safetensors", "b.safetensors", {.dtype = DType::int8w});
  convert_to("a.safetensors", "c.safetensors", {.dtype = DType::int8w});
  EXPECT_EQ(test::slurp(folder / "a.safetensors"), test::slurp(folder / "b.safetensors"));
  EXPECT_EQ(test::slurp(folder / "a.safetensors"), test::slurp(folder / "c.safetensors"));
}

TEST(GroupedWeights, DamagedFilesAreRefused) {
  const TempFolder folder;
  const Bundle bundle = test::tiny_bundle();
  save_bundle(bundle.files(), folder / "a.safetensors", StoredTypes{.dtype = DType::int8w});
  const SafetensorsFile good = SafetensorsFile::open(folder / "a.safetensors");
  const std::string weight = "dit.blocks.0.attn.qkv.weight";
  // Copies the file with other slots and bytes for the tensors of one weight.
  using Change = std::function<void(SafetensorsSlot&, std::vector<std::byte>&)>;
  const auto message_with = [&](const Change& change) {
    std::vector<SafetensorsSlot> slots;
    std::vector<std::vector<std::byte>> contents;
    for (const std::string& name : good.names()) {
      const TensorInfo& info = good.info(name);
      SafetensorsSlot slot{name, info.dtype, info.shape};
      const auto bytes = good.bytes(name);
      std::vector<std::byte> copy(bytes.begin(), bytes.end());
      if (name.starts_with(weight)) change(slot, copy);
      if (copy.empty()) continue;
      slots.push_back(slot);
      contents.push_back(std::move(copy));
    }
    {
      SafetensorsWriter writer(folder / "b.safetensors", slots, good.metadata());
      for (const auto& bytes : contents) writer.write_bytes(bytes);
      writer.commit();
    }
    const std::string message =
        message_of<FormatError>([&] { (void)Bundle::load(folder / "b.safetensors"); });
    EXPECT_EQ(message_of<FormatError>([&] { (void)ModelFiles::open(folder / "b.safetensors"); }),
              message);
    return message;
  };
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  const bool scale_is_missing = has(message_with([](SafetensorsSlot& slot, auto& bytes) {
                                      if (slot.name.ends_with(".scale")) bytes.clear();
                                    }),
                                    weight + ".scale is missing");
  EXPECT_TRUE(scale_is_missing);
  EXPECT_NE(message_with([](SafetensorsSlot& slot, auto& bytes) {
              if (slot.name.ends_with(".int8")) bytes.clear();
            }),
            "");
  EXPECT_TRUE(has(message_with([](SafetensorsSlot& slot, auto& bytes) {
                    if (!slot.name.ends_with(".scale")) return;
                    bytes[0] = std::byte{0x80};
                    bytes[1] = std::byte{0x7f};  // infinity
                  }),
                  ".scale contains NaN or infinity"));
  EXPECT_TRUE(has(message_with([](SafetensorsSlot& slot, auto&) {
                    if (slot.name.ends_with(".scale"))
                      slot = {slot.name, slot.dtype, {1, slot.shape.numel()}};
                  }),
                  "of bf16, got "));
  EXPECT_TRUE(has(message_with([](SafetensorsSlot& slot, auto&) {
                    if (slot.name.ends_with(".int8")) slot.dtype = DType::uint8;
                  }),
                  "expected (N, K) of int8, got "));
  // No rows of no elements, of which a file may have any number.
  const std::vector<SafetensorsSlot> none{
      {weight + ".int8", DType::int8, Shape{index_t{1} << 50, 0}},
      {weight + ".scale", DType::bf16, Shape{index_t{1} << 50, 0}}};
  {
    SafetensorsWriter writer(folder / "b.safetensors", none, good.metadata());
    writer.write_bytes({});
    writer.write_bytes({});
    writer.commit();
  }
  EXPECT_TRUE(
      has(message_of<FormatError>([&] { (void)ModelFiles::open(folder / "b.safetensors"); }),
          "expected (N, K) of int8, got "));
}

TEST(GroupedWeights, NaNIsRefusedBeforeAFileIsWritten) {
  const TempFolder folder;
  Bundle bundle = test::tiny_bundle();
  bundle.tensors.at("dit.blocks.0.attn.qkv.weight").data()[3] =
      std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(
      save_bundle(bundle.files(), folder / "a.safetensors", StoredTypes{.dtype = DType::int8w}),
      FormatError);
  EXPECT_THROW(
      save_bundle(bundle.files(), folder / "a.safetensors", StoredTypes{.dtype = DType::int8}),
      ArgumentError);
  EXPECT_TRUE(folder.entries().empty());
}

}  // namespace
}  // namespace rae
