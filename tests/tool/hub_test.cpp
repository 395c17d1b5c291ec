// Files as people download and save them, in the program: folders of diffusers, training
// checkpoints, statistics under other names, and pages saved in place of files.
#include <filesystem>

#include "rae/io/image.hpp"
#include "rae/io/tensor_source.hpp"
#include "support/diffusers_folder.hpp"
#include "support/official_files.hpp"
#include "support/torch_files.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;
using namespace torch;

/// The tensors of a file as the pickle of a dict; their contents are added to `storages`.
std::string state_dict_of(const TensorSource& source, Files& storages,
                          const std::string& prefix = "") {
  std::vector<std::pair<std::string, std::string>> members;
  for (const std::string& name : source.names()) {
    const Tensor<float> values = source.read<float>(name);  // any shape
    std::vector<std::int64_t> extents, strides;
    std::int64_t stride = values.numel();
    for (const index_t extent : values.shape()) {
      extents.push_back(extent);
      strides.push_back(stride /= std::max<index_t>(extent, 1));
    }
    const std::string key = std::to_string(storages.size());
    members.emplace_back(prefix + name,
                         tensor(storage("FloatStorage", key, values.numel()), 0, extents, strides));
    storages.emplace_back(key, std::string(as_text(std::as_bytes(values.span()))));
  }
  return dict(members, kOrderedDict);
}

std::string object(const std::string& module, const std::string& name) {
  return global(module, name) + ")\x81" + dict({{"lr", real(1e-4)}}) + "b";
}

class Hub : public ToolTest {
 protected:
  void SetUp() override {
    for (const char* part : {"encoder", "dit", "guide", "stats"})
      fs::create_directory_symlink(golden_model_path(part), path(part));
    fs::create_directory(path("decoder"));
    fs::copy(golden_model_path("decoder/config.json"), path("decoder/config.json"));
    fs::copy(golden_model_path("decoder/model.pt"), path("decoder/model.pt"));
    fs::copy(golden_model_path("config.yaml"), path("config.yaml"));
    fs::copy(golden_model_path("input.png"), path("input.png"));
  }

  /// The picture that the configuration reconstructs; it must succeed.
  [[nodiscard]] Image reconstructed() const {
    const auto result = rae({"reconstruct", "--config", "config.yaml", "input.png", "out.png"});
    EXPECT_EQ(result.status, 0) << result.err;
    return Image::open(path("out.png"));
  }

  /// The command fails without a result, and the message has these parts.
  void expect_refused(const std::vector<std::string>& command,
                      const std::vector<std::string>& parts) const {
    const auto result = rae(command);
    EXPECT_EQ(result.status, 1) << result.err;
    EXPECT_EQ(result.out, "");
    for (const std::string& part : parts) EXPECT_TRUE(contains(result.err, part));
  }
};

TEST_F(Hub, FoldersOfDiffusersAreShownConvertedAndUsed) {
  DiffusersParts parts;
  const TempFolder folder;
  write_diffusers_folder(folder, kDiffusersConfig, diffusers_entries(parts));
  const auto shown = rae({"info", folder.path()});
  EXPECT_EQ(shown.status, 0) << shown.err;
  EXPECT_TRUE(contains(shown.out, "autoencoder of diffusers"));
  EXPECT_TRUE(contains(shown.out, "ViT decoder for 8 x 8 pictures"));
  const auto file = rae({"info", folder / "diffusion_pytorch_model.safetensors"});
  EXPECT_EQ(file.status, 0) << file.err;
  EXPECT_TRUE(contains(file.out, "ViT decoder\n"));

  const auto converted = rae({"convert", folder.path(), "model.safetensors"});
  ASSERT_EQ(converted.status, 0) << converted.err;
  const Tensor<float> table = SafetensorsFile::open(path("model.safetensors"))
                                  .read<float>("decoder.decoder_pos_embed");  // (1, 5, 32)
  for (index_t i = 0; i < table.numel(); ++i)
    EXPECT_NEAR(table[i], diffusers_table_element(2, 32, i / 32, i % 32), 1e-6);
  Image(8, 8, 3, 100).save_png(path("in.png"));
  const auto drawn = rae({"reconstruct", "--model", "model.safetensors", "in.png", "x.png"});
  EXPECT_EQ(drawn.status, 0) << drawn.err;
  EXPECT_EQ(Image::open(path("x.png")).width(), 8);
}

TEST_F(Hub, OtherClassesOfDiffusersAreRecognized) {
  write("dit2d/config.json",
        R"({"_class_name": "RAEDiT2DModel", "hidden_size": [1152, 2048], "num_classes": 1000})");
  write("pipeline/model_index.json", R"({"_class_name": "RAEDiTPipeline"})");
  for (const auto& [folder, name] :
       {std::pair("dit2d", "RAEDiT2DModel of diffusers, the diffusion network of RAE"),
        std::pair("pipeline", "RAEDiTPipeline of diffusers")}) {
    const auto shown = rae({"info", folder});
    EXPECT_EQ(shown.status, 0) << shown.err;
    EXPECT_TRUE(contains(shown.out, name));
    EXPECT_TRUE(contains(shown.out, "cannot use it yet"));
    expect_refused({"convert", folder, "x.safetensors"}, {folder, "AutoencoderRAE"});
  }
  EXPECT_TRUE(contains(rae({"info", "dit2d"}).out, "num_classes: 1000"));
}

TEST_F(Hub, TrainingCheckpointsWithObjectsBesideTheWeights) {
  const Image expected = reconstructed();
  const TensorSource decoder = TensorSource::open(golden_model_path("decoder/model.pt")).weights();
  const auto save = [&](const std::string& key, const std::string& prefix) {
    Files storages;
    const std::string weights = state_dict_of(decoder, storages, prefix);
    write("decoder/model.pt",
          saved(dict({{"args", object("argparse", "Namespace")},
                      {"cfg", object("omegaconf.dictconfig", "DictConfig")},
                      {"best", global("numpy._core.multiarray", "scalar") + ")R"},
                      {"when", global("datetime", "datetime") + ")R"},
                      {"out", global("pathlib", "PosixPath") + ")R"},
                      {"history", global("collections", "defaultdict") +
                                      tuple({global("builtins", "list")}) + "R"},
                      {"shape", global("torch", "Size") + tuple({integers({1, 2})}) + "R"},
                      {key, weights}}),
                storages));
  };
  for (const std::string key :
       {"model", "state_dict", "model_state_dict", "ema_model", "module", "teacher"}) {
    SCOPED_TRACE(key);
    save(key, "");
    EXPECT_EQ(reconstructed(), expected);
  }
  for (const std::string prefix : {"module.", "_orig_mod.", "model.", "model.module."}) {
    SCOPED_TRACE(prefix);
    save("state_dict", prefix);
    EXPECT_EQ(reconstructed(), expected);
  }
  const auto shown = rae({"info", "decoder/model.pt"});
  EXPECT_EQ(shown.status, 0) << shown.err;
  for (const std::string part :
       {"with its weights in 'state_dict.model'", "weights of: ViT decoder for 64 x 64 pictures",
        "skipped: argparse.Namespace", "not read:", "best: is an object of 'numpy._core"})
    EXPECT_TRUE(contains(shown.out, part));
  // A tensor that the decoder needs.
  Files storages;
  std::string weights = state_dict_of(decoder, storages);
  weights.insert(weights.size() - 1,
                 text("decoder_norm.extra") + global("torch._utils", "_rebuild_sparse") + ")R");
  write("decoder/model.pt", saved(weights, storages));
  EXPECT_EQ(reconstructed(), expected);
}

TEST_F(Hub, BothAveragesAndWeightsAreShown) {
  Files storages;
  const TensorSource decoder = TensorSource::open(golden_model_path("decoder/model.pt")).weights();
  const std::string a = state_dict_of(decoder, storages), b = state_dict_of(decoder, storages);
  write("both.pt", saved(dict({{"model", a}, {"ema", b}}), storages));
  const auto shown = rae({"info", "both.pt"});
  EXPECT_EQ(shown.status, 0) << shown.err;
  EXPECT_TRUE(contains(shown.out, "with its weights in 'ema' (not used: 'model')"));
}

TEST_F(Hub, StatisticsUnderOtherNames) {
  const auto generate = [&](const std::string& out) {
    return rae({"generate", "--config", "config.yaml", "--class", "1", "--steps", "2", "--seed",
                "1", "--out", out});
  };
  ASSERT_EQ(generate("expected.png").status, 0);
  fs::remove(path("stats"));
  fs::create_directory(path("stats"));
  Tensor<float> deviation =
      TensorSource::open(golden_model_path("stats/stat.pt")).read<float>("var");  // (48, 4, 4)
  Files variance{{"0", std::string(as_text(std::as_bytes(std::as_const(deviation).span())))}};
  const auto of = [&](const std::string& key) {
    return dict({{key, tensor(storage("FloatStorage", key == "var" ? "0" : "1", 48 * 16), 0,
                              {48, 4, 4}, {16, 4, 1})}});
  };
  write("stats/stat.pt", saved(dict({{"stats", of("var")}}), variance));
  ASSERT_EQ(generate("nested.png").status, 0);
  EXPECT_EQ(Image::open(path("nested.png")), Image::open(path("expected.png")));
  for (index_t i = 0; i < deviation.numel(); ++i) deviation[i] = std::sqrt(deviation[i]);
  const Files root{{"1", std::string(as_text(std::as_bytes(std::as_const(deviation).span())))}};
  write("stats/stat.pt", saved(of("latents_std"), root));
  ASSERT_EQ(generate("std.png").status, 0);
  const Image a = Image::open(path("std.png")), b = Image::open(path("expected.png"));
  for (std::size_t i = 0; i < a.pixels().size(); ++i)
    ASSERT_LE(std::abs(int{a.pixels()[i]} - int{b.pixels()[i]}), 1);

  fs::copy(golden_model_path("decoder/model.pt"), path("stats/stat.pt"),
           fs::copy_options::overwrite_existing);
  expect_refused({"generate", "--config", "config.yaml", "--class", "1", "--out", "x.png"},
                 {"stats/stat.pt", "no statistics of latents", "'decoder_pos_embed'"});
  EXPECT_FALSE(exists("x.png"));
}

TEST_F(Hub, PagesInPlaceOfFilesAreNamedWithTheCommandThatFetchesThem) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234567\n";
  for (const std::string file :
       {"decoder/model.pt", "decoder/config.json", "config.yaml", "input.png"}) {
    const std::string good = slurp(path(file));
    for (const auto& [contents, part] : std::vector<std::pair<std::string, std::string>>{
             {pointer, "git lfs pull"},
             {"<!DOCTYPE html><html></html>", "is an HTML page"},
             {"Entry not found", "error message of a server"},
             {"", "is empty"}}) {
      SCOPED_TRACE(file + " " + part);
      fs::remove(path(file));
      write(file, contents);
      expect_refused({"reconstruct", "--config", "config.yaml", "input.png", "x.png"},
                     {file, part});
      // An empty picture is hardly a failed download.
      if (file != "input.png" || !contents.empty()) {
        expect_refused({"reconstruct", "--config", "config.yaml", "input.png", "x.png"},
                       {"hf download"});
      }
      if (file != "config.yaml") expect_refused({"info", file}, {file, part});
    }
    write(file, good);
  }
  for (const std::string bytes : {"\x80", "P", "{", "\n"}) {
    write("one.pt", bytes);
    expect_refused({"info", "one.pt"}, {"one.pt"});
  }
}

TEST_F(Hub, PartsOfRaev2ThatAreNotSupportedAreNamed) {
  write("v2.yaml",
        "stage_1: {target: stage1.RAE, params: {encoder_name: dinov3mls-vit-l16, resolution: 256}}"
        "\nconditioning: {type: text}\n");
  expect_refused({"info", "v2.yaml"}, {"v2.yaml", "conditioning.type", "text encoders", "RAEv2"});
  write("encoder3/config.json", R"({"model_type": "dinov3_convnext", "hidden_size": 32})");
  expect_refused({"info", "encoder3"}, {"dinov3_convnext", "dinov3_vit"});
}

}  // namespace
}  // namespace rae::test
