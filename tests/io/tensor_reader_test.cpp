// The same tests for all readers of named tensors: names, values and errors must be equal.
#include "rae/io/tensor_reader.hpp"

#include <gtest/gtest.h>

#include "io/torch_writer.hpp"
#include "rae/io/tensor_source.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

using Entries = std::vector<std::pair<std::string, Tensor<float>>>;

Entries entries() {
  return {{"layer.bias", Tensor<float>(Shape{2}, {0.5f, -1.25f})},
          {"layer.weight", Tensor<float>(Shape{2, 3}, {1, 2, 3, 4, 5, 6})},
          {"nothing", Tensor<float>(Shape{0, 4})}};
}

std::string safetensors_in(const TempFolder& folder) {
  std::vector<SafetensorsEntry> out;
  for (const auto& [name, tensor] : entries()) out.push_back({name, tensor});
  write_safetensors(folder / "model.safetensors", out, {{"format", "pt"}});
  return folder / "model.safetensors";
}

std::string checkpoint_in(const TempFolder& folder) {
  std::vector<SafetensorsSlot> slots;
  for (const auto& [name, tensor] : entries()) slots.push_back({name, DType::f32, tensor.shape()});
  detail::TorchWriter writer(folder / "model.pt", slots);
  for (const auto& [name, tensor] : entries()) writer.write(tensor);
  writer.commit();
  return folder / "model.pt";
}

struct OfSafetensors {
  static SafetensorsFile open(const TempFolder& f) {
    return SafetensorsFile::open(safetensors_in(f));
  }
};
struct OfCheckpoint {
  static TorchCheckpoint open(const TempFolder& f) {
    return TorchCheckpoint::open(checkpoint_in(f));
  }
};
struct SourceOfSafetensors {
  static TensorSource open(const TempFolder& f) { return TensorSource::open(safetensors_in(f)); }
};
struct SourceOfCheckpoint {
  static TensorSource open(const TempFolder& f) { return TensorSource::open(checkpoint_in(f)); }
};
struct SourceOfShards {
  static TensorSource open(const TempFolder& f) {
    (void)safetensors_in(f);
    (void)checkpoint_in(f);
    return TensorSource::open(f.write("model.index.json", R"({"weight_map": {
      "layer.bias": "model.pt", "layer.weight": "model.safetensors", "nothing": "model.pt"}})"));
  }
};
struct SourceOfMemory {
  static TensorSource open(const TempFolder&) {
    const Entries all = entries();
    return TensorSource({all.begin(), all.end()}, "memory");
  }
};

template <class Kind>
class TensorReaderTest : public testing::Test {
 protected:
  TempFolder folder_;
};
using Kinds = testing::Types<OfSafetensors, OfCheckpoint, SourceOfSafetensors, SourceOfCheckpoint,
                             SourceOfShards, SourceOfMemory>;
TYPED_TEST_SUITE(TensorReaderTest, Kinds);

TYPED_TEST(TensorReaderTest, NamesTypesAndShapes) {
  const TensorReader auto reader = TypeParam::open(this->folder_);
  EXPECT_FALSE(reader.origin().empty());
  EXPECT_EQ(reader.names(), (std::vector<std::string>{"layer.bias", "layer.weight", "nothing"}));
  for (const auto& [name, tensor] : entries()) {
    EXPECT_TRUE(reader.contains(name));
    EXPECT_EQ(reader.info(name).dtype, DType::f32);
    EXPECT_EQ(reader.info(name).shape, tensor.shape());
  }
  EXPECT_FALSE(reader.contains("layer"));
}

TYPED_TEST(TensorReaderTest, ReadsAndConverts) {
  const TensorReader auto reader = TypeParam::open(this->folder_);
  for (const auto& [name, tensor] : entries()) {
    expect_close(reader.template read<float>(name), tensor, 0.0);
    expect_close(convert<float>(reader.template read<double>(name, tensor.shape())), tensor, 0.0);
    expect_close(convert<float>(reader.template read<bf16>(name)), tensor, 0.0);
  }
  EXPECT_THROW((void)reader.template read<std::int64_t>("layer.bias"), FormatError);
}

TYPED_TEST(TensorReaderTest, StoredBytesOutliveTheReader) {
  auto first =
      std::make_unique<decltype(TypeParam::open(this->folder_))>(TypeParam::open(this->folder_));
  const TensorReader auto reader = *first;
  for (const auto& [name, tensor] : entries()) {
    const std::span<const std::byte> stored = first->bytes(name);
    ASSERT_EQ(stored.size(), static_cast<std::size_t>(tensor.numel()) * sizeof(float)) << name;
    first.reset();
    const std::span<const std::byte> expected = std::as_bytes(tensor.span());
    EXPECT_TRUE(std::equal(stored.begin(), stored.end(), expected.begin())) << name;
    EXPECT_EQ(reader.sampled_checksum(name), TensorSource({{name, tensor}}).sampled_checksum(name));
    reader.release(name);
    expect_close(reader.template read<float>(name), tensor, 0.0);
    first = std::make_unique<std::remove_const_t<decltype(reader)>>(reader);
  }
}

TYPED_TEST(TensorReaderTest, ErrorsNameMissingTensorsAndWrongShapes) {
  const TensorReader auto reader = TypeParam::open(this->folder_);
  const std::string missing = message_of<FormatError>([&] { (void)reader.info("layer.wieght"); });
  EXPECT_NE(missing.find("'layer.wieght' is not in " + reader.origin()), std::string::npos)
      << missing;
  EXPECT_NE(missing.find("did you mean 'layer.weight'?"), std::string::npos) << missing;
  const std::vector<std::function<void()>> calls = {
      [&] { (void)reader.template read<float>("layer.wieght"); },
      [&] {
        (void)reader.template read<float>("layer.wieght", Shape{2, 3});
      },
      [&] { (void)reader.bytes("layer.wieght"); }, [&] { reader.release("layer.wieght"); },
      [&] { (void)reader.sampled_checksum("layer.wieght"); }};
  for (const auto& call : calls) EXPECT_EQ(message_of<FormatError>(call), missing);

  const std::string shape = message_of<ShapeError>([&] {
    (void)reader.template read<float>("layer.weight", Shape{3, 2});
  });
  for (const char* part : {"layer.weight", "(3, 2)", "(2, 3)"})
    EXPECT_NE(shape.find(part), std::string::npos) << shape;
}

TYPED_TEST(TensorReaderTest, MetadataOfSafetensorsAreReturned) {
  const TensorReader auto reader = TypeParam::open(this->folder_);
  const bool safetensors = reader.origin().ends_with(".safetensors");
  EXPECT_EQ(reader.metadata().size(), safetensors ? 1u : 0u);
}

// A transposed tensor is not contiguous, so it has no bytes to show; reading it gathers the
// elements.
TEST(TorchCheckpoint, BytesAreShownForContiguousTensors) {
  const auto file = TorchCheckpoint::open(data_path("golden/ckpt_formats/raw_zip.pt"));
  EXPECT_FALSE(file.bytes("w").empty());
  EXPECT_TRUE(file.bytes("transposed").empty());
  EXPECT_FALSE(file.read<float>("transposed").empty());
}

}  // namespace
}  // namespace rae::test
