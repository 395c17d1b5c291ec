// The common interface of all files of weights: golden files of torch compared with safetensors,
// shards, folders, and hostile indices.
#include "rae/io/tensor_source.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/torch_files.hpp"

namespace rae::test {
namespace {

using Strings = std::vector<std::string>;

/// Writes a safetensors file of tensors with two elements, which both have the given value.
void write_file(const std::string& path, const std::vector<std::pair<std::string, float>>& tensors,
                const std::map<std::string, std::string>& metadata = {}) {
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, value] : tensors)
    entries.push_back({name, Tensor<float>(Shape{2}, value)});
  write_safetensors(path, entries, metadata);
}

/// Writes two shards and their index with these contents.
std::string write_shards(const TempFolder& folder, const std::string& index) {
  write_file(folder / "model-1-of-2.safetensors", {{"a", 1}, {"b", 2}}, {{"format", "pt"}});
  write_file(folder / "model-2-of-2.safetensors", {{"c", 3}, {"extra", 4}});
  return folder.write("model.safetensors.index.json", index);
}

constexpr const char* kGoodIndex =
    R"({"metadata": {"total_size": 24}, "weight_map": {"c": "model-2-of-2.safetensors",
  "a": "model-1-of-2.safetensors", "b": "model-1-of-2.safetensors"}})";

void expect_same(const TensorSource& got, const TensorSource& expected) {
  ASSERT_EQ(got.names().size(), expected.names().size());
  for (const std::string& name : expected.names()) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(got.contains(name));
    EXPECT_EQ(got.info(name).shape, expected.info(name).shape);
    expect_close(got.read<float>(name), expected.read<float>(name, expected.info(name).shape), 0.0);
  }
}

TEST(TensorSource, CheckpointsEqualSafetensors) {
  const auto safetensors = TensorSource::open(data_path("golden/ckpt_formats/io.safetensors"));
  const auto checkpoint = TensorSource::open(data_path("golden/ckpt_formats/raw_zip.pt"));
  EXPECT_EQ(checkpoint.origin(), data_path("golden/ckpt_formats/raw_zip.pt"));
  EXPECT_TRUE(checkpoint.metadata().empty());
  ASSERT_EQ(checkpoint.names().size(), safetensors.names().size());
  for (const std::string name : {"w", "transposed", "view", "shared_a", "shared_b"}) {
    SCOPED_TRACE(name);
    expect_same(checkpoint.under(name), safetensors.under(name));
    expect_same(checkpoint.weights().under(name), safetensors.weights().under(name));
  }
  EXPECT_EQ(checkpoint.weights().selected(), "");
}

TEST(TensorSource, ReadsEveryElementType) {
  for (const std::string file : {"raw_zip.pt", "legacy.pth"}) {
    const auto source = TensorSource::open(data_path("golden/ckpt_formats/" + file));
    const Golden golden("ckpt_formats/io.safetensors");
    EXPECT_EQ(source.info("i64").dtype, DType::int64);
    EXPECT_EQ(source.read<std::int64_t>("i64")[0], golden.get<std::int64_t>("i64")[0]);
    EXPECT_EQ(source.read<std::uint8_t>("bool").shape(), golden.file().info("bool").shape);
    expect_close(source.read<float>("view"), golden("view"), 0.0);
    EXPECT_THROW((void)source.read<float>("i64"), FormatError);
    EXPECT_THROW((void)source.read<float>("w", Shape{5, 3}), ShapeError);
    EXPECT_NE(
        message_of<FormatError>([&] { (void)source.info("vieww"); }).find("did you mean 'view'?"),
        std::string::npos);
  }
}

TEST(TensorSource, SampledChecksumsDistinguishTensors) {
  const TempFolder folder;
  Tensor<float> tensor(Shape{100, 1000}, 1.0f);  // (100, 1000)
  const auto checksum = [&](const std::string& file) {
    const SafetensorsEntry entry{"x", tensor};
    write_safetensors(folder / file, {&entry, 1});
    EXPECT_EQ(TensorSource({{"x", tensor}}).sampled_checksum("x"),
              TensorSource::open(folder / file).sampled_checksum("x"));
    return TensorSource::open(folder / file).sampled_checksum("x");
  };
  const auto before = checksum("a.safetensors");
  tensor[99999] = 2.0f;
  const auto last = checksum("b.safetensors");
  EXPECT_NE(last, before);
  for (index_t i = 0; i < tensor.numel(); ++i) tensor[i] *= 0.999f;
  EXPECT_NE(checksum("c.safetensors"), last);

  const auto zip = TensorSource::open(data_path("golden/ckpt_formats/raw_zip.pt"));
  for (const std::string name : {"w", "transposed", "view"})
    EXPECT_EQ(zip.sampled_checksum(name),
              TensorSource({{name, zip.read<float>(name)}}).sampled_checksum(name))
        << name;
  EXPECT_THROW((void)zip.sampled_checksum("absent"), FormatError);
}

TEST(TensorSource, WeightsOfTrainingCheckpoints) {
  const auto checkpoint = TensorSource::open(data_path("golden/ckpt_formats/train_zip.pt"));
  EXPECT_TRUE(checkpoint.contains("model.w"));
  const auto weights = checkpoint.weights();
  EXPECT_EQ(weights.selected(), "ema");
  EXPECT_EQ(weights.weights().names(), weights.names());
  EXPECT_EQ(weights.names(),
            TensorSource::open(data_path("golden/ckpt_formats/raw_zip.pt")).names());
  expect_close(weights.read<float>("w"), Golden("ckpt_formats/io.safetensors")("w"), 0.0);
}

TEST(TensorSource, WeightsOfSafetensors) {
  const TempFolder folder;
  write_file(folder / "train.safetensors",
             {{"model.module.x", 1}, {"ema._orig_mod.module.x", 2}, {"optimizer.x", 3}});
  const auto ema = TensorSource::open(folder / "train.safetensors").weights();
  EXPECT_EQ(ema.names(), (Strings{"x"}));
  EXPECT_EQ(ema.selected(), "ema");
  EXPECT_EQ(ema.read<float>("x")[0], 2.0f);

  write_file(folder / "model.safetensors", {{"model.module.x", 1}, {"model.y", 2}});
  EXPECT_EQ(TensorSource::open(folder / "model.safetensors").weights().names(),
            (Strings{"x", "y"}));
  // A file with other tensors next to those of a module named "model" is not a training checkpoint.
  write_file(folder / "part.safetensors", {{"model.x", 1}, {"head.y", 2}});
  EXPECT_EQ(TensorSource::open(folder / "part.safetensors").weights().names(),
            (Strings{"model.x", "head.y"}));
  write_file(folder / "twice.safetensors", {{"x", 1}, {"module.x", 2}});
  EXPECT_NE(message_of<FormatError>([&] {
              (void)TensorSource::open(folder / "twice.safetensors").weights();
            }).find("two tensors"),
            std::string::npos);
}

TEST(TensorSource, Prefixes) {
  const TempFolder folder;
  write_file(folder / "f.safetensors",
             {{"vision_model.a", 1}, {"text_model.a", 2}, {"vision_model.b", 3}});
  const auto file = TensorSource::open(folder / "f.safetensors");
  const auto vision = file.under("vision_model.");
  EXPECT_EQ(vision.names(), (Strings{"a", "b"}));
  EXPECT_EQ(vision.read<float>("b")[1], 3.0f);
  EXPECT_EQ(vision.under("b").names(), (Strings{""}));
  EXPECT_TRUE(file.under("audio.").names().empty());
  EXPECT_EQ(file.weights().under("text_model.").read<float>("a")[0], 2.0f);
}

TEST(TensorSource, Shards) {
  const TempFolder folder;
  const auto source = TensorSource::open(write_shards(folder, kGoodIndex));
  EXPECT_EQ(source.names(), (Strings{"c", "a", "b"}));
  EXPECT_EQ(source.read<float>("a")[0], 1.0f);
  EXPECT_EQ(source.read<float>("c")[1], 3.0f);
  EXPECT_FALSE(source.contains("extra"));
  EXPECT_EQ(source.weights().under("b").names(), (Strings{""}));
  expect_same(TensorSource::open(folder.path()), source);
}

TEST(TensorSource, AnIndexMayListTensorsThatNobodyHas) {
  const TempFolder folder;
  const auto source = TensorSource::open(write_shards(
      folder, R"({"metadata": {"total_size": 99}, "weight_map": {"a": "model-1-of-2.safetensors",
  "phantom": "model-2-of-2.safetensors"}})"));
  EXPECT_EQ(source.names(), (Strings{"a"}));
  EXPECT_EQ(source.read<float>("a")[0], 1.0f);
  EXPECT_EQ(source.weights().unreadable().size(), 1u);
  for (const auto& file : {source, source.weights()}) {
    const auto message = message_of<FormatError>([&] { (void)file.info("phantom"); });
    for (const std::string part :
         {"tensor 'phantom'", "model-2-of-2.safetensors", "does not have it"})
      EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

TEST(TensorSource, WithFurtherTensorsInMemory) {
  const TempFolder folder;
  write_file(folder / "f.safetensors", {{"a", 1}, {"x.b", 2}}, {{"format", "pt"}});
  const auto source =
      TensorSource::open(folder / "f.safetensors").with({{"x.c", Tensor<float>(Shape{1}, 3.0f)}});
  EXPECT_EQ(source.names(), (Strings{"a", "x.b", "x.c"}));
  EXPECT_EQ(source.under("x.").read<float>("c")[0], 3.0f);
  EXPECT_EQ(source.under("x.").read<float>("b")[1], 2.0f);
  EXPECT_EQ(source.metadata().at("format"), "pt");
  EXPECT_EQ(source.origin(), folder / "f.safetensors");
  EXPECT_THROW((void)source.with({{"a", Tensor<float>(Shape{1}, 3.0f)}}), FormatError);
}

TEST(TensorSource, WithoutSomeTensors) {
  const std::map<std::string, Tensor<float>> tensors{{"a", Tensor<float>(Shape{2}, 1.0f)},
                                                     {"b", Tensor<float>(Shape{3}, 2.0f)}};
  const TensorSource rest = TensorSource(tensors, "both").without({"a", "c"});
  EXPECT_EQ(rest.names(), std::vector<std::string>{"b"});
  EXPECT_FALSE(rest.contains("a"));
  EXPECT_EQ(rest.read<float>("b")[2], 2.0f);
  EXPECT_EQ(rest.origin(), "both");
  EXPECT_EQ(rest.with({{"a", Tensor<float>(Shape{1}, 5.0f)}}).read<float>("a")[0], 5.0f);
}

TEST(TensorSource, ShardsOfTorch) {
  const TempFolder folder;
  using namespace torch;
  const std::string six = raw(std::vector<float>{0, 1, 2, 3, 4, 5});
  folder.write("one.bin", saved(dict({{"a", tensor_of_six(0, {2}, {1})}}), {{"0", six}}));
  folder.write("two.bin", saved(dict({{"b", tensor_of_six(3, {3}, {1})}}), {{"0", six}}));
  folder.write("pytorch_model.bin.index.json",
               R"({"weight_map": {"a": "one.bin", "b": "two.bin"}})");
  const auto source = TensorSource::open(folder.path());
  EXPECT_EQ(source.read<float>("b")[2], 5.0f);
  EXPECT_EQ(source.weights().names(), (Strings{"a", "b"}));
  std::filesystem::remove(folder / "one.bin");
  std::filesystem::remove(folder / "two.bin");
  EXPECT_NE(message_of<FileError>([&] {
              (void)TensorSource::open(folder.path());
            }).find("files that it lists are missing: one.bin, two.bin"),
            std::string::npos);
}

TEST(TensorSource, RefusesHostileIndices) {
  const TempFolder folder;
  const auto message = [&](const std::string& map, const std::string& metadata = "{}") {
    const std::string path =
        write_shards(folder, R"({"metadata": )" + metadata + R"(, "weight_map": )" + map + "}");
    return message_of<Error>([&] { (void)TensorSource::open(path); });
  };
  const auto expect = [](const std::string& got, const std::string& part) {
    EXPECT_NE(got.find(part), std::string::npos) << got;
  };
  for (const std::string shard : {"../model-1-of-2.safetensors", "/etc/passwd", "sub/x.safetensors",
                                  "..", ".", "", "a\\\\b", "x\\u0000y"})
    expect(message(R"({"a": ")" + shard + R"("})"),
           "weight_map.a: expected the name of a file in the same folder");
  expect(message(R"({"a": 3})"), "weight_map.a: expected");
  expect(message(R"({"a": "missing.safetensors"})"), "missing.safetensors");
  expect(message(R"({"a": "model.safetensors.index.json"})"), "model.safetensors.index.json");
  expect(message(R"({"a": "model-2-of-2.safetensors"})"),
         "none of the 1 tensors that it lists can be read; 'a' should be in ");
  expect(message("{}"), "weight_map: is empty");
  expect(message(R"({"a": "model-1-of-2.safetensors"})", R"({"total_size": 24})"),
         "24 bytes, but the tensors have 8");
  expect(message(R"({"a": "model-1-of-2.safetensors", "a": "model-1-of-2.safetensors"})"), "a");
  std::string many;
  for (int i = 0; i < 1001; ++i)
    many += (i ? ",\"" : "\"") + std::to_string(i) + "\": \"s" + std::to_string(i) + "\"";
  expect(message("{" + many + "}"), "more than 1000 files");
  folder.write("deep.index.json", std::string(100000, '['));
  EXPECT_THROW((void)TensorSource::open(folder / "deep.index.json"), ConfigError);
  // A truncated shard is refused when the index is opened.
  std::filesystem::resize_file(folder / "model-1-of-2.safetensors", 100);
  const std::string index = folder.write("model.safetensors.index.json", kGoodIndex);
  expect(message_of<FormatError>([&] { (void)TensorSource::open(index); }), "truncated");
}

TEST(TensorSource, Folders) {
  const TempFolder folder;
  const std::string message =
      message_of<FileError>([&] { (void)TensorSource::open(folder.path()); });
  EXPECT_NE(message.find("diffusion_pytorch_model.safetensors.index.json"), std::string::npos)
      << message;
  folder.write("model.pt", slurp(data_path("golden/ckpt_formats/stat.pt")));
  EXPECT_EQ(TensorSource::open(folder.path()).origin(), folder / "model.pt");
  write_file(folder / "diffusion_pytorch_model.safetensors", {{"d", 1}});
  EXPECT_EQ(TensorSource::open(folder.path()).names(), (Strings{"d"}));
  write_file(folder / "model.safetensors", {{"m", 1}}, {{"format", "pt"}});
  EXPECT_EQ(TensorSource::open(folder.path()).names(), (Strings{"m"}));
  EXPECT_EQ(TensorSource::open(folder.path()).metadata().at("format"), "pt");
  EXPECT_THROW((void)TensorSource::open(folder / "nothing"), FileError);
  folder.write("text.txt", "just text");
  EXPECT_THROW((void)TensorSource::open(folder / "text.txt"), FormatError);
  folder.write("empty.safetensors", "");
  EXPECT_NE(message_of<FormatError>([&] {
              (void)TensorSource::open(folder / "empty.safetensors");
            }).find("safetensors"),
            std::string::npos);
}

TEST(TensorSource, TensorsInMemoryAreShared) {
  const std::map<std::string, Tensor<float>> tensors{{"a.b", Tensor<float>(Shape{2}, {1.0f, 2.0f})},
                                                     {"a.c", Tensor<float>(Shape{1, 1}, 3.0f)}};
  const TensorSource source(tensors, "here");
  EXPECT_EQ(source.origin(), "here");
  EXPECT_EQ(source.names(), (Strings{"a.b", "a.c"}));
  EXPECT_EQ(source.info("a.c").shape, (Shape{1, 1}));
  const Tensor<float> shared = source.read<float>("a.b");  // (2)
  EXPECT_EQ(shared.data(), tensors.at("a.b").data());
  expect_close(source.under("a.").read<double>("b"), Tensor<double>(Shape{2}, {1.0, 2.0}), 0.0);
  EXPECT_TRUE(source.metadata().empty());
  EXPECT_THROW((void)source.read<float>("b"), FormatError);
  EXPECT_THROW((void)source.read<std::int64_t>("a.b"), FormatError);
}

}  // namespace
}  // namespace rae::test
