// `rae convert`: official files into a bundle and back, packed bundles, and errors.
#include "rae/formats/model_files.hpp"
#include "rae/io/image.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/io/tensor_source.hpp"
#include "support/golden.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class Convert : public ToolTest {};

std::string official(const std::string& name = "config.yaml") {
  return data_path("golden/e2e_dinov2_ag/" + name);
}

/// Checks that `got` contains every tensor of `expected`, bit for bit except the rotary tables.
void expect_contains(const TensorSource& got, const TensorSource& expected) {
  for (const std::string& name : expected.names()) {
    ASSERT_TRUE(got.contains(name)) << name;
    EXPECT_EQ(got.info(name).shape, expected.info(name).shape) << name;
    // The rotary tables of the official files are recomputed.
    expect_close(got.read<float>(name), expected.read<float>(name),
                 name.find("rope") == std::string::npos ? 0.0 : 1e-6, name);
  }
}

TEST_F(Convert, OfficialFilesToABundleAndBack) {
  write("names.txt", "zero\r\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n\n");
  const auto there =
      rae({"convert", official(), "model.safetensors", "--class-names", "names.txt"});
  ASSERT_EQ(there.status, 0) << there.err;
  EXPECT_TRUE(contains(there.out, "model.safetensors: bundle, "));
  const ModelFiles files = ModelFiles::open(path("model.safetensors"));
  EXPECT_TRUE(files.encoder && files.decoder && files.dit && files.guide);
  EXPECT_EQ(files.config.class_names.at(9), "nine");
  EXPECT_EQ(SafetensorsFile::open(path("model.safetensors")).metadata().at("source"),
            "config.yaml");

  const auto back = rae({"convert", "model.safetensors", "official", "--to", "official"});
  ASSERT_EQ(back.status, 0) << back.err;
  for (const std::string file :
       {"decoder/model.pt", "dit/stage2_model.pt", "guide/stage2_model.pt", "stats/stat.pt"}) {
    SCOPED_TRACE(file);
    EXPECT_TRUE(contains(back.out, "official/" + file));
    expect_contains(TensorSource::open(path("official/" + file)),
                    TensorSource::open(official(file)).weights());
  }
  EXPECT_TRUE(contains(back.out, "official/encoder/model.safetensors"));
  EXPECT_EQ(back.err, "rae: note: official files cannot store names of classes\n");

  // The same pictures; the files are found next to the configuration.
  for (const std::string& config : {official(), path("official/config.yaml")}) {
    const auto drawn = rae({"generate", "--config", config, "--class", "3", "--steps", "3",
                            "--seed", "1", "--out", config == official() ? "a.png" : "b.png"});
    ASSERT_EQ(drawn.status, 0) << drawn.err;
  }
  EXPECT_EQ(Image::open(path("a.png")), Image::open(path("b.png")));
}

TEST_F(Convert, HalfPrecision) {
  ASSERT_EQ(rae({"convert", official(), "f32.safetensors"}).status, 0);
  ASSERT_EQ(rae({"convert", official(), "bf16.safetensors", "--dtype", "bf16"}).status, 0);
  const auto half = SafetensorsFile::open(path("bf16.safetensors"));
  EXPECT_EQ(half.info("dit.blocks.0.attn.qkv.weight").dtype, DType::bf16);
  EXPECT_EQ(half.info("dit.blocks.0.attn.qkv.bias").dtype, DType::f32);
  EXPECT_LT(std::filesystem::file_size(path("bf16.safetensors")),
            std::filesystem::file_size(path("f32.safetensors")) * 6 / 10);
}

TEST_F(Convert, EightBitsForTheDiffusionNetwork) {
  tiny_bundle().save(path("in.safetensors"));
  ASSERT_EQ(
      rae({"convert", "in.safetensors", "a.safetensors", "--dtype", "bf16", "--dit-dtype", "int8w"})
          .status,
      0);
  const auto file = SafetensorsFile::open(path("a.safetensors"));
  EXPECT_EQ(file.info("dit.blocks.0.attn.qkv.weight.int8").dtype, DType::int8);
  EXPECT_EQ(file.info("encoder.layers.0.attn.qkv.weight").dtype, DType::bf16);
  // The numbers of parameters are those of the original.
  const auto parameters = [&](const std::string& name) {
    const std::string out = rae({"info", name}).out, word = "bundle, ";
    const auto begin = out.find(word) + word.size();
    return out.substr(begin, out.find(" parameters") - begin);
  };
  EXPECT_EQ(parameters("a.safetensors"), parameters("in.safetensors"));
  // Loaded as int8w, all networks of int8w draw the same picture as before.
  ASSERT_EQ(rae({"convert", "in.safetensors", "b.safetensors", "--dtype", "int8w"}).status, 0);
  const std::vector<std::string> draw{"--dtype", "int8w", "--class", "1", "--seed", "4", "--out"};
  for (const auto& [model, picture] :
       {std::pair("in.safetensors", "a.png"), std::pair("b.safetensors", "b.png")}) {
    std::vector<std::string> arguments{"generate", "--model", model};
    arguments.insert(arguments.end(), draw.begin(), draw.end());
    arguments.emplace_back(picture);
    ASSERT_EQ(rae(arguments).status, 0);
  }
  EXPECT_EQ(Image::open(path("a.png")), Image::open(path("b.png")));
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--to", "official", "--dtype", "int8w"},
        {"--to", "official", "--dit-dtype", "int8w"},
        {"--pack", "int8", "--dit-dtype", "int8w"}}) {
    std::vector<std::string> arguments{"convert", "in.safetensors", "x"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_EQ(rae(arguments).status, 2);
  }
}

TEST_F(Convert, OnlyAnEncoder) {
  const auto result =
      rae({"convert", official("encoder"), "encoder.safetensors", "--image-size", "64"});
  ASSERT_EQ(result.status, 0) << result.err;
  const ModelFiles files = ModelFiles::open(path("encoder.safetensors"));
  EXPECT_EQ(files.config.encoder_size, 56);
  EXPECT_EQ(files.config.encoder.get<EncoderConfig>().registers, 4);
  EXPECT_FALSE(files.decoder);
  EXPECT_EQ(rae({"convert", official("encoder"), "e.safetensors", "--image-size", "60"}).status, 2);
}

TEST_F(Convert, PackedForThisMachine) {
  tiny_bundle().save(path("in.safetensors"));
  ASSERT_EQ(rae({"convert", "in.safetensors", "packed.safetensors", "--pack", "int8"}).status, 0);
  const auto plain = rae({"generate", "--model", "in.safetensors", "--dtype", "int8", "--class",
                          "1", "--seed", "4", "--out", "a.png"});
  ASSERT_EQ(plain.status, 0) << plain.err;
  const auto packed = rae({"generate", "--model", "packed.safetensors", "--class", "1", "--seed",
                           "4", "--out", "b.png"});
  ASSERT_EQ(packed.status, 0) << packed.err;
  EXPECT_EQ(Image::open(path("a.png")), Image::open(path("b.png")));
  const auto other = rae({"generate", "--model", "packed.safetensors", "--dtype", "bf16", "--class",
                          "1", "--out", "c.png"});
  EXPECT_NE(other.status, 0);
  EXPECT_TRUE(contains(other.err, "packed for int8 and cannot be loaded as bf16"));
  // A packed model keeps its type.
  ASSERT_EQ(rae({"convert", "in.safetensors", "half.safetensors", "--pack", "bf16"}).status, 0);
  const auto half = rae({"generate", "--model", "half.safetensors", "--dtype", "auto", "--class",
                         "1", "--out", "d.png"});
  ASSERT_EQ(half.status, 0) << half.err;
  EXPECT_EQ(read_png_text(path("d.png")).at("dtype"), "bf16");
  EXPECT_NE(rae({"convert", "packed.safetensors", "again.safetensors"}).status, 0);
  EXPECT_NE(
      rae({"convert", "in.safetensors", "again.safetensors", "--pack", "int8", "--dtype", "bf16"})
          .status,
      0);
  EXPECT_FALSE(std::filesystem::exists(path("again.safetensors")));
}

TEST_F(Convert, ABundleKeepsItsNotes) {
  tiny_bundle().save(path("in.safetensors"));
  ASSERT_EQ(rae({"convert", "in.safetensors", "out.safetensors", "--dtype", "f16"}).status, 0);
  EXPECT_EQ(SafetensorsFile::open(path("out.safetensors")).metadata().at("license"), "MIT");
}

TEST_F(Convert, ReportsErrors) {
  write("weights.safetensors", "not a bundle");
  write("empty/readme", "");
  const auto fails = [&](std::vector<std::string> arguments, int status,
                         const std::string& message) {
    const auto result = rae(std::move(arguments));
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_TRUE(contains(result.err, message)) << result.err;
  };
  fails({"convert", "weights.safetensors", "out.safetensors"}, 1, "weights.safetensors");
  fails({"convert", "empty", "out.safetensors"}, 1, "'empty' holds no config.json");
  fails({"convert", "absent.yaml", "out.safetensors"}, 1, "absent.yaml");
  fails({"convert", official(), "no/such/folder/out.safetensors"}, 1, "no/such/folder");
  fails({"convert", official(), "out.safetensors", "--dtype", "i8"}, 2, "--dtype");
  EXPECT_FALSE(exists("out.safetensors"));
}

}  // namespace
}  // namespace rae::test
