// Packed bundles give the same results as the bundle that they were made from, are used in place in
// the memory of the file, and are refused by other kernels.
#include "formats/packed_weights.hpp"

#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "load/network_loader.hpp"
#include "rae/formats/bundle_writer.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/spec/weight_types.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"

namespace rae {
namespace {

using detail::PackedWeight;
using test::TempFolder;

TEST(PackedBundle, IsBitIdenticalToTheOriginalOnEveryInstructionSet) {
  const TempFolder folder;
  const Bundle bundle = test::tiny_bundle();
  const std::vector<std::int64_t> labels{0, 1, 2, 3};
  test::on_every_narrow_isa([&](Isa isa) {
    for (const DType dtype : kWeightTypes) {
      const std::string path = folder / "packed.safetensors";
      save_packed_bundle(bundle.files(), path, dtype, {{"license", "MIT"}});
      const Generator original(bundle, {.dtype = dtype}), packed = Generator::load(path);
      EXPECT_EQ(packed.dtype(), dtype) << name_of(isa);
      const Tensor<float> x = original.noise(3, 4);  // (B, C, h, w)
      test::expect_close(packed.velocity(x, 0.5f, labels), original.velocity(x, 0.5f, labels), 0.0,
                         name_of(isa));
      EXPECT_EQ(packed.sample({.labels = {0, 2}, .seed = 3}),
                original.sample({.labels = {0, 2}, .seed = 3}))
          << name_of(isa);
      const std::vector<Image> pictures = original.decode(x);
      test::expect_close(Autoencoder::load(path).encode(pictures),
                         Autoencoder(bundle, {.dtype = dtype}).encode(pictures), 0.0);
      EXPECT_EQ(SafetensorsFile::open(path).metadata().at("license"), "MIT");
    }
  });
}

TEST(PackedBundle, IsUsedInPlace) {
  const TempFolder folder;
  for (const DType dtype : kWeightTypes) {
    const std::string path = folder / "packed.safetensors";
    save_packed_bundle(test::tiny_bundle().files(), path, dtype);
    const ModelFiles files = ModelFiles::open(path);
    const TensorSource tensors = files.dit->tensors;
    const detail::NetworkLoader loader(files, {}, {NetworkRole::dit});
    std::size_t packed = 0, with_halves = 0;
    auto& network = const_cast<BackboneNetwork<Tensor<float>>&>(*loader.dit());
    network.parameters([&](const std::string& name, auto& p) {
      if (p.packed.empty()) return;
      ++packed;
      const bool halves = p.packed.columns() == PanelColumns::halves;
      with_halves += halves ? 1 : 0;
      const std::string panels = halves ? ".swiglu_panels" : ".panels";
      EXPECT_EQ(static_cast<const void*>(p.packed.bytes().data()),
                static_cast<const void*>(tensors.bytes(name + panels).data()))
          << name;
    });
    EXPECT_GT(packed, 10u);
    EXPECT_GT(with_halves, 1u);
  }
}

TEST(PackedBundle, OutlivesItsFile) {
  const TempFolder folder;
  const Bundle bundle = test::tiny_bundle();
  save_packed_bundle(bundle.files(), folder / "packed.safetensors", DType::bf16);
  const Generator generator = Generator::load(folder / "packed.safetensors");
  std::filesystem::remove(folder / "packed.safetensors");
  const std::vector<std::int64_t> labels{1};
  const Tensor<float> x = generator.noise(1, 1);  // (1, C, h, w)
  test::expect_close(generator.velocity(x, 0.3f, labels),
                     Generator(bundle, {.dtype = DType::bf16}).velocity(x, 0.3f, labels), 0.0);
}

TEST(PackedBundle, IsRefusedByOtherKernels) {
  const TempFolder folder;
  const std::string path = folder / "packed.safetensors";
  save_packed_bundle(test::tiny_bundle().files(), path, DType::int8);
  const index_t width =
      PackedMatrix<float>::panels_shape(1, 1, DType::f32, PanelColumns::neighbours)[2];
  test::on_every_isa([&](Isa isa) {
    if (PackedMatrix<float>::panels_shape(1, 1, DType::f32, PanelColumns::neighbours)[2] == width)
      return;
    const std::string message = test::message_of<FormatError>([&] { (void)Generator::load(path); });
    EXPECT_NE(message.find(concat("for the kernels of ", name_of(isa))), std::string::npos)
        << message;
    EXPECT_NE(message.find("pack the original again"), std::string::npos) << message;
  });
}

TEST(PackedBundle, IsRefusedWhenTruncated) {
  const TempFolder folder;
  const std::string path = folder / "packed.safetensors";
  save_packed_bundle(test::tiny_bundle().files(), path, DType::int8);
  for (const std::uintmax_t bytes : {std::filesystem::file_size(path) - 1, std::uintmax_t{1} << 14,
                                     std::uintmax_t{100}, std::uintmax_t{7}}) {
    std::filesystem::resize_file(path, bytes);
    EXPECT_THROW((void)ModelFiles::open(path), FormatError) << bytes;
  }
}

TEST(PackedBundle, IsRefusedForOtherTypesAndForConversion) {
  const TempFolder folder;
  const std::string path = folder / "packed.safetensors";
  save_packed_bundle(test::tiny_bundle().files(), path, DType::int8);
  std::string message =
      test::message_of<ArgumentError>([&] { (void)Generator::load(path, {.dtype = DType::f32}); });
  EXPECT_NE(message.find("packed for int8 and cannot be loaded as f32"), std::string::npos)
      << message;
  message = test::message_of<FormatError>([&] { (void)Bundle::load(path); });
  EXPECT_NE(message.find("use the bundle that it was packed from"), std::string::npos) << message;
  message = test::message_of<ArgumentError>(
      [&] { save_bundle(ModelFiles::open(path), folder / "out.safetensors"); });
  EXPECT_NE(message.find("use the bundle that it was packed from"), std::string::npos) << message;
  EXPECT_THROW(save_packed_bundle(ModelFiles::open(path), folder / "out.safetensors", DType::int8),
               ArgumentError);
  EXPECT_THROW(save_packed_bundle(test::tiny_bundle().files(), path, DType::f16), ArgumentError);
  EXPECT_THROW(
      save_packed_bundle(test::tiny_bundle().files(), path, DType::f32, {{"packed", "f32"}}),
      ArgumentError);
  EXPECT_FALSE(std::filesystem::exists(folder / "out.safetensors"));
}

/// A file with the packed weight (20, 10) and one change.
class PackedWeightFile : public testing::Test {
 protected:
  using Change =
      std::function<void(std::vector<SafetensorsSlot>&, std::vector<std::vector<std::byte>>&)>;

  PackedWeight weight(DType stored, PanelColumns columns = PanelColumns::neighbours) const {
    return {"w", Shape{20, 10}, stored, columns};
  }

  TensorSource changed(const PackedWeight& w, const Change& change) const {
    const Tensor<float> values = test::random_tensor<float>(w.shape, 1);  // (N, K)
    const PackedMatrix<float> matrix(values.view().transposed(), w.stored, w.columns);
    std::vector<SafetensorsSlot> slots = w.slots();
    std::vector<std::vector<std::byte>> bytes;
    for (const auto part : {std::as_bytes(matrix.bytes()), std::as_bytes(matrix.scales()),
                            std::as_bytes(matrix.compensation())})
      bytes.emplace_back(part.begin(), part.end());
    change(slots, bytes);
    SafetensorsWriter writer(folder_ / "w.safetensors", slots);
    for (std::size_t i = 0; i < slots.size(); ++i) writer.write_bytes(bytes[i]);
    writer.commit();
    return SafetensorsFile::open(folder_ / "w.safetensors");
  }

  std::string refusal(const PackedWeight& w, const Change& change) const {
    const TensorSource tensors = changed(w, change);
    return test::message_of<FormatError>([&] {
      w.check(tensors, "test");
      (void)w.read(tensors, "test");
    });
  }

  TempFolder folder_;
};

TEST_F(PackedWeightFile, RoundTrips) {
  for (const DType stored : kWeightTypes)
    for (const PanelColumns columns : {PanelColumns::neighbours, PanelColumns::halves}) {
      const PackedWeight w = weight(stored, columns);
      const TensorSource tensors = changed(w, [](auto&, auto&) {});
      w.check(tensors, "test");
      const PackedMatrix<float> read = w.read(tensors, "test");
      EXPECT_EQ(read.k(), 10);
      EXPECT_EQ(read.n(), 20);
      EXPECT_EQ(read.stored(), stored);
      EXPECT_EQ(read.columns(), columns);
      const Tensor<float> values = test::random_tensor<float>(w.shape, 1);  // (N, K)
      const PackedMatrix<float> expected(values.view().transposed(), stored, columns);
      EXPECT_TRUE(std::ranges::equal(read.bytes(), expected.bytes()));
      EXPECT_TRUE(std::ranges::equal(read.scales(), expected.scales()));
      EXPECT_TRUE(std::ranges::equal(read.compensation(), expected.compensation()));
    }
}

TEST_F(PackedWeightFile, OtherExtentsAreRefused) {
  for (const DType stored : kWeightTypes) {
    const PackedWeight w = weight(stored);
    // One panel, one row of words, or one column more or less; and the right number of bytes in
    // another shape.
    for (int dimension = 0; dimension < static_cast<int>(w.slots()[0].shape.rank()); ++dimension)
      for (const index_t by : {-1, 1})
        EXPECT_NE(refusal(w,
                          [&](auto& slots, auto& bytes) {
                            slots[0].shape =
                                slots[0].shape.with(dimension, slots[0].shape[dimension] + by);
                            bytes[0].resize(static_cast<std::size_t>(slots[0].shape.numel()) *
                                            size_of(stored));
                          })
                      .find("w.panels: expected"),
                  std::string::npos);
    EXPECT_NE(refusal(w, [](auto& slots, auto&) { slots[0].shape = Shape{slots[0].shape.numel()}; })
                  .find("w.panels: expected"),
              std::string::npos);
  }
}

TEST_F(PackedWeightFile, OtherTypesAreRefused) {
  for (const DType stored : kWeightTypes)
    for (const DType other : kWeightTypes) {
      if (stored == other) continue;
      const std::string message = refusal(weight(stored), [&](auto& slots, auto& bytes) {
        slots[0] = weight(other).slots()[0];
        bytes[0].resize(static_cast<std::size_t>(slots[0].shape.numel()) * size_of(slots[0].dtype));
      });
      EXPECT_NE(message.find("w.panels: expected"), std::string::npos) << message;
    }
}

TEST_F(PackedWeightFile, MissingOrTooFewScalesAreRefused) {
  const PackedWeight w = weight(DType::int8);
  for (const std::size_t part : {std::size_t{1}, std::size_t{2}}) {
    EXPECT_NE(refusal(w, [&](auto& slots, auto&) { slots[part].name += "x"; }).find("is missing"),
              std::string::npos);
    EXPECT_NE(refusal(w,
                      [&](auto& slots, auto& bytes) {
                        slots[part].shape = Shape{slots[part].shape[0] - 1};
                        bytes[part].resize(bytes[part].size() - 4);
                      })
                  .find(part == 1 ? "w.scales: expected" : "w.compensation: expected"),
              std::string::npos);
  }
}

TEST_F(PackedWeightFile, NumbersThatAreNotFiniteAreRefused) {
  const float infinity = std::numeric_limits<float>::infinity(),
              nan = std::numeric_limits<float>::quiet_NaN();
  for (const float value : {infinity, -infinity, nan}) {
    const auto put = [](auto number, std::vector<std::byte>& bytes, std::size_t at) {
      std::memcpy(bytes.data() + at, &number, sizeof number);
    };
    EXPECT_NE(
        refusal(weight(DType::f32), [&](auto&, auto& b) { put(value, b[0], b[0].size() - 4); })
            .find("contains NaN"),
        std::string::npos);
    // The lower and the upper half of a 32-bit word.
    for (const std::size_t half : {0u, 2u})
      EXPECT_NE(
          refusal(weight(DType::bf16), [&](auto&, auto& b) { put(bf16(value), b[0], 8 + half); })
              .find("contains NaN"),
          std::string::npos);
    EXPECT_NE(refusal(weight(DType::int8), [&](auto&, auto& b) { put(value, b[1], 4); })
                  .find("w.scales contains NaN"),
              std::string::npos);
    // The first scale of the first panel is after the numbers of its group: 10 numbers, padded to a
    // group of 32, which takes 8 words (int8w) or 4 words (int4) per column.
    const index_t width =
        PackedMatrix<float>::panels_shape(1, 1, DType::f32, PanelColumns::neighbours)[2];
    for (const DType grouped : {DType::int8w, DType::int4}) {
      const std::size_t scales =
          static_cast<std::size_t>(width * (grouped == DType::int8w ? 8 : 4)) * 4;
      EXPECT_NE(refusal(weight(grouped), [&](auto&, auto& b) { put(bf16(value), b[0], scales); })
                    .find("w.panels contains NaN"),
                std::string::npos);
    }
  }
}

TEST(PackedBundle, AnUnknownTypeIsRefused) {
  const std::string message = test::message_of<FormatError>([] {
    (void)detail::packed_for("test", {{"packed", "int3"}});
  });
  EXPECT_NE(message.find("metadata 'packed': unknown type of weights 'int3': expected f32, bf16, "
                         "int8, int8w or int4"),
            std::string::npos)
      << message;
}

TEST(PackedBundle, DamagedTypesOfLayersAreRefused) {
  const auto message = [](const std::map<std::string, std::string>& metadata) {
    return test::message_of<FormatError>([&] { (void)detail::layer_types_of("test", metadata); });
  };
  const auto mixed = [&](const std::string& types) {
    return message({{"packed", "mixed"}, {"layer_types", types}});
  };
  for (const auto& [found, part] :
       {std::pair(message({{"packed", "mixed"}}), "metadata 'layer_types': is missing"),
        std::pair(mixed("{}"), "has no types"), std::pair(mixed("{"), "layer_types"),
        std::pair(mixed("[1]"), "layer_types"),
        std::pair(mixed(R"({"a": 4})"), "expected a string"),
        std::pair(mixed(R"({"a": "int3"})"), "unknown type of weights 'int3'")})
    EXPECT_NE(found.find(part), std::string::npos) << found;
  EXPECT_TRUE(detail::layer_types_of("test", {{"packed", "int4"}, {"layer_types", "{"}}).empty());
  const LayerTypes types{{"dit.a", DType::int4}, {"dit.b", DType::f32}};
  EXPECT_EQ(detail::layer_types_of("test",
                                   {{"packed", "mixed"}, {"layer_types", detail::to_json(types)}}),
            types);
}

}  // namespace
}  // namespace rae
