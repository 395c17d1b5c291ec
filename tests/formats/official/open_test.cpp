// The files of an official model: they are found in every supported layout, all missing files are
// reported at once, and files that do not fit are refused.
#include "rae/formats/official/open.hpp"

#include <cmath>
#include <filesystem>

#include "support/official_files.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

TEST(OfficialModel, OpensTheGoldenModel) {
  const ModelFiles files = open_official(golden_model_path("config.yaml"));
  EXPECT_EQ(files.config.path_formulas, PathFormulas::official);
  EXPECT_TRUE(files.encoder && files.decoder && files.dit && files.guide);
  const ModelConfig& c = files.config;
  EXPECT_EQ(c.name, "config");
  EXPECT_EQ(c.encoder.width(), 48);
  EXPECT_EQ(c.encoder_size, 56);
  EXPECT_EQ(c.image_size, 64);
  EXPECT_EQ(c.latent_shape(), (Shape{48, 4, 4}));
  EXPECT_EQ(c.pixels.mean[0], 0.485);
  ASSERT_TRUE(c.decoder && c.dit && c.guide);
  EXPECT_EQ(c.decoder->hidden_size, 32);
  EXPECT_EQ(c.decoder->in_dim, 48);
  EXPECT_EQ(c.decoder->patch_size, 16);
  EXPECT_NEAR(c.time_shift, std::sqrt(12.0), 1e-12);
  EXPECT_EQ(c.sampling.grid, TimeGridKind::official);
  EXPECT_EQ(c.sampling.autoguidance->scale, 1.42f);
  EXPECT_TRUE(files.latent_norm.mean.empty());
  EXPECT_EQ(files.latent_norm.var.shape(), (Shape{48, 4, 4}));
}

TEST(OfficialModel, OpensOnlyRequestedNetworks) {
  const OfficialFolder folder;
  fs::remove(folder / "dit");
  fs::remove(folder / "guide");
  const ModelFiles autoencoder = open_official(folder.config(), {.dit = false});
  EXPECT_TRUE(autoencoder.encoder && autoencoder.decoder && !autoencoder.dit && !autoencoder.guide);
  EXPECT_FALSE(autoencoder.config.dit);
  const ModelFiles no_encoder =
      open_official(golden_model_path("config.yaml"), {.encoder = false, .decoder = false});
  EXPECT_FALSE(no_encoder.encoder || no_encoder.decoder);
  EXPECT_EQ(no_encoder.config.encoder.width(), 48);
  // The guide is opened if the configuration uses it, or on request.
  EXPECT_FALSE(open_official(OfficialFolder().config({"guidance.scale=1.0"})).guide);
  EXPECT_TRUE(
      open_official(OfficialFolder().config({"guidance.scale=1.0"}), {.guide = true}).guide);
  EXPECT_FALSE(open_official(golden_model_path("config.yaml"), {.guide = false}).guide);
}

TEST(OfficialModel, ReportsAllMissingFilesAtOnce) {
  const TempFolder folder;
  const std::string path =
      folder.write("official.yaml",
                   changed_golden_config(
                       {"stage_1.params.encoder_config_path=facebook/no-such-encoder",
                        "stage_1.params.encoder_params.dinov2_path=facebook/no-such-encoder",
                        "stage_1.params.decoder_config_path=configs/decoder/NoSuch",
                        "stage_1.params.pretrained_decoder_path=models/decoders/no such/model.pt",
                        "stage_2.ckpt=models/DiTs/none/stage2_model.pt"})
                       .to_json());
  const std::string message =
      message_of<FileError>([&] { (void)open_official(path, {.models_dir = folder / "m"}); });
  for (const std::string part :
       {"official.yaml: 7 parts of the model are missing",
        "stage_1.params.encoder_params: the folder 'facebook/no-such-encoder'",
        "hf download facebook/no-such-encoder config.json preprocessor_config.json "
        "model.safetensors --local-dir ",
        "stage_1.params.encoder_config_path",
        "stage_1.params.decoder_config_path: the folder 'configs/decoder/NoSuch' with a "
        "config.json",
        "git clone https://github.com/bytetriper/RAE",
        "hf download nyu-visionx/RAE-collections 'decoders/no such/model.pt' --local-dir ",
        "stage_1.params.normalization_stat_path: the file 'stats/stat.pt'", "stage_2.ckpt",
        "hf download nyu-visionx/RAE-collections DiTs/none/stage2_model.pt --local-dir ",
        "guidance.guidance_model.ckpt", "huggingface-cli download"})
    EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' in: " << message;
  // The encoder is named twice in the configuration, but one download is enough.
  const std::string command = "hf download facebook/no-such-encoder";
  EXPECT_EQ(message.find(command, message.find(command) + 1), std::string::npos) << message;
  // There is no command for files that are not part of a release.
  EXPECT_NE(message.find("the file 'stats/stat.pt'\n  stage_2.ckpt"), std::string::npos) << message;
  EXPECT_NE(message.find("the file 'guide/stage2_model.pt'\nSearched in"), std::string::npos)
      << message;
}

TEST(OfficialModel, OnlyReleasesAndRepositoriesHaveDownloadCommands) {
  const TempFolder folder;
  fs::create_directories(folder / "mine");
  const std::string path = folder.write(
      "c.yaml",
      changed_golden_config({"stage_1.params.encoder_config_path=mine/encoder",
                             "stage_1.params.encoder_params.dinov2_path=org/encoder",
                             "stage_1.params.decoder_config_path=org/decoder",
                             "stage_1.params.pretrained_decoder_path=decoders/dinov2/x/model.pt",
                             "stage_1.params.normalization_stat_path=stats/dinov2/x/stat.pt",
                             "stage_2.ckpt=org/stage2_model.pt"})
          .to_json());
  const std::string message =
      message_of<FileError>([&] { (void)open_official(path, {.models_dir = "m"}); });
  for (const std::string part :
       {"'org/encoder'\n      hf download org/encoder config.json preprocessor_config.json "
        "model.safetensors ",
        "the folder 'mine/encoder'\n  stage_1",
        "a config.json\n      hf download org/decoder config.json --local-dir m/org/decoder\n",
        "hf download nyu-visionx/RAE-collections decoders/dinov2/x/model.pt --local-dir m\n",
        "hf download nyu-visionx/RAE-collections stats/dinov2/x/stat.pt --local-dir m\n",
        "the file 'org/stage2_model.pt'\n  guidance"})
    EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' in: " << message;
}

/// A supported layout: folders of the golden model, linked at other paths in one folder.
struct Layout {
  std::string name;
  std::vector<std::pair<std::string, std::string>> links;  // golden folder, path of the link
  std::string config, models;  // paths of the configuration and of the models folder
  std::vector<std::string> changes;
};

void PrintTo(const Layout& row, std::ostream* out) { *out << row.name; }

class Layouts : public testing::TestWithParam<Layout> {};

TEST_P(Layouts, AreFound) {
  const TempFolder folder;
  const Layout& layout = GetParam();
  for (const auto& [part, place] : layout.links) {
    fs::create_directories(fs::path(folder / place).parent_path());
    fs::create_directory_symlink(golden_model_path(part), folder / place);
  }
  const std::string config =
      folder.write(layout.config, changed_golden_config(layout.changes).to_json());
  const ModelFiles files =
      open_official(config, {.models_dir = layout.models.empty() ? "" : folder / layout.models});
  EXPECT_TRUE(files.encoder && files.decoder && files.dit && files.guide);
  EXPECT_EQ(files.latent_norm.var.shape(), (Shape{48, 4, 4}));
}

const std::vector<std::string> kReleaseChanges = {
    "stage_1.params.encoder_config_path=facebook/enc",
    "stage_1.params.encoder_params.dinov2_path=facebook/enc",
    "stage_1.params.decoder_config_path=configs/decoder/ViTXL",
    "stage_1.params.pretrained_decoder_path=models/decoders/x/model.pt",
    "stage_1.params.normalization_stat_path=models/stats/x/stat.pt",
    "stage_2.ckpt=models/DiTs/x/stage2_model.pt",
    "guidance.guidance_model.ckpt=models/DiTs/g/stage2_model.pt",
};

const Layout kLayouts[] = {
    {"AClone",
     {{"encoder", "models/facebook/enc"},
      {"decoder", "configs/decoder/ViTXL"},
      {"decoder", "models/decoders/x"},
      {"stats", "models/stats/x"},
      {"dit", "models/DiTs/x"},
      {"guide", "models/DiTs/g"}},
     "configs/stage2/sampling/ImageNet256/c.yaml",
     "",
     kReleaseChanges},
    {"ADownloadElsewhere",
     {{"encoder", "big/enc"},
      {"decoder", "clone/configs/decoder/ViTXL"},
      {"decoder", "big/decoders/x"},
      {"stats", "big/stats/x"},
      {"dit", "big/DiTs/x"},
      {"guide", "big/DiTs/g"}},
     "clone/configs/stage2/c.yaml",
     "big",
     kReleaseChanges},
    {"TheCacheOfHuggingFace",
     {{"encoder", "big/models--facebook--enc/snapshots/0123abcd"},
      {"decoder", "clone/configs/decoder/ViTXL"},
      {"decoder", "big/models/decoders/x"},
      {"stats", "big/models/stats/x"},
      {"dit", "big/models/DiTs/x"},
      {"guide", "big/models/DiTs/g"}},
     "clone/c.yaml",
     "big",
     kReleaseChanges},
    {"TheHubFolderOfHuggingFace",
     {{"encoder", "big/hub/models--facebook--enc/snapshots/0123abcd"},
      {"decoder", "configs/decoder/ViTXL"},
      {"decoder", "models/decoders/x"},
      {"stats", "models/stats/x"},
      {"dit", "models/DiTs/x"},
      {"guide", "models/DiTs/g"}},
     "c.yaml",
     "big",
     kReleaseChanges},
};

INSTANTIATE_TEST_SUITE_P(Table, Layouts, testing::ValuesIn(kLayouts),
                         [](const auto& row) { return row.param.name; });

TEST(OfficialModel, TheCachedSnapshotOfTheMainBranchIsRead) {
  const TempFolder folder;
  const std::string repository = "m/models--facebook--enc/";
  (void)folder.write(repository + "refs/main", "aaaa");
  (void)folder.write(repository + "snapshots/zzzz/config.json", "not read");
  fs::create_directory_symlink(golden_model_path("encoder"),
                               folder / (repository + "snapshots/aaaa"));
  const std::string config = folder.write(
      "c.yaml",
      changed_golden_config({"stage_1.params.encoder_config_path=facebook/enc",
                             "stage_1.params.encoder_params.dinov2_path=facebook/enc",
                             "stage_1.params.decoder_config_path=" + golden_model_path("decoder"),
                             "stage_1.params.normalization_stat_path=null"})
          .to_json());
  const ModelFiles files =
      open_official(config, {.models_dir = folder / "m", .decoder = false, .dit = false});
  EXPECT_TRUE(files.encoder && files.latent_norm.var.empty());
}

TEST(OfficialModel, NamesTheMissingFileOfAFolder) {
  const TempFolder folder;
  (void)folder.write("encoder/config.json", slurp(golden_model_path("encoder/config.json")));
  fs::create_directory_symlink(golden_model_path("decoder"), folder / "decoder");
  const std::string config = folder.write(
      "c.yaml", changed_golden_config({"stage_1.params.normalization_stat_path=null"}).to_json());
  const std::string message =
      message_of<FileError>([&] { (void)open_official(config, {.dit = false}); });
  EXPECT_NE(message.find("encoder/model.safetensors'"), std::string::npos) << message;
  EXPECT_NE(message.find("encoder_config_path"), std::string::npos) << message;
}

struct Unfit {
  std::string name;
  std::vector<std::string> changes, message;
};

void PrintTo(const Unfit& row, std::ostream* out) { *out << row.name; }

class UnfitFiles : public testing::TestWithParam<Unfit> {};

TEST_P(UnfitFiles, AreRefusedWithFileAndKey) {
  const OfficialFolder folder;
  const std::string message =
      message_of<Error>([&] { (void)open_official(folder.config(GetParam().changes)); });
  for (const auto& part : GetParam().message)
    EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' in: " << message;
}

const Unfit kUnfit[] = {
    {"MoreBlocks",
     {"stage_2.params.depth=[4, 2]"},
     {"dit/stage2_model.pt: has 5 layers", "stage_2 has 6", "params.depth"}},
    {"OtherWidth",
     {"stage_2.params.hidden_size=[32, 64]"},
     {"dit/stage2_model.pt", "'pos_embed' is (1, 16, 48)", "(1, 16, 32)", "params.hidden_size"}},
    {"SplitElsewhere", {"stage_2.params.depth=[2, 3]"}, {"'blocks.2.", "params."}},
    {"NoNullClass",
     {"stage_2.params.class_dropout_prob=0"},
     {"embedding_table", "(11, 48)", "(10, 48)", "class_dropout_prob"}},
    {"QkNorm",
     {"stage_2.params.use_qknorm=true"},
     {"no tensor 'blocks.0.attn.q_norm.weight'", "use_qknorm"}},
    {"LayerNorm", {"stage_2.params.use_rmsnorm=false"}, {"norm"}},
    {"Gelu", {"stage_2.params.use_swiglu=false"}, {"'blocks.0.mlp.fc1.weight'", "use_swiglu"}},
    {"NoPositions",
     {"stage_2.params.use_pos_embed=false"},
     {"has a tensor 'pos_embed'", "stage_2"}},
    {"LightningInstead",
     {"stage_2={target: a.LightningDiT, ckpt: dit/stage2_model.pt, params: {input_size: 4, "
      "in_channels: 48, hidden_size: 48, depth: 5, "
      "num_heads: 4, num_classes: 10}}"},
     {"dit/stage2_model.pt", "x_embedder.proj.weight", "stage_2"}},
    {"GuideOfOtherWidth",
     {"guidance.guidance_model.params.hidden_size=[32, 64]"},
     {"guide/stage2_model.pt", "guidance.guidance_model"}},
    {"AnotherResolution",
     {"stage_1.params.encoder_input_size=70", "stage_2.params.input_size=5",
      "guidance.guidance_model.params.input_size=5",
      "misc={latent_size: [48, 5, 5], num_classes: 10, time_dist_shift_base: 64}"},
     {"stats/stat.pt", "'var' is (48, 4, 4)", "(48, 5, 5)", "encoder_input_size 70", "resolution"}},
    {"DecoderOfAnotherResolution",
     {"stage_1.params.encoder_input_size=70", "stage_1.params.normalization_stat_path=null",
      "stage_2.params.input_size=5", "guidance.guidance_model.params.input_size=5",
      "misc={latent_size: [48, 5, 5], num_classes: 10, time_dist_shift_base: 64}"},
     {"decoder/model.pt", "decoder_pos_embed", "encoder_input_size"}},
    {"LatentsOfAnotherSize",
     {"stage_1.params.encoder_input_size=70"},
     {"stage_2 takes latents (48, 4, 4)", "stage_1 makes (48, 5, 5)", "encoder_input_size 70"}},
    {"SizeDoesNotDivide",
     {"stage_1.params.encoder_input_size=60"},
     {"encoder_input_size 60", "patches of 14"}},
    {"OtherPatches",
     {"stage_1.params.decoder_patch_size=8"},
     {"decoder_pred.weight", "decoder_patch_size"}},
    {"OtherFamily",
     {"stage_1.params.encoder_cls=MAEwNorm", "stage_1.params.encoder_params={model_name: encoder}"},
     {"dinov2 encoder", "mae"}},
    {"DecoderInsteadOfDit",
     {"stage_2.ckpt=decoder/model.pt"},
     {"decoder/model.pt", "none of the tensors", "stage_2"}},
    {"StatisticsInsteadOfDecoder",
     {"stage_1.params.pretrained_decoder_path=stats/stat.pt"},
     {"stat.pt", "none of the tensors", "its first tensor is 'var'"}},
    {"TextInsteadOfWeights", {"stage_2.ckpt=encoder/config.json"}, {"encoder/config.json"}},
    {"GuideWithoutWeights",
     {"guidance.guidance_model.ckpt=null"},
     {"guidance_model", "'ckpt' is missing"}},
};

INSTANTIATE_TEST_SUITE_P(Table, UnfitFiles, testing::ValuesIn(kUnfit),
                         [](const auto& row) { return row.param.name; });

TEST(OfficialModel, WeightsMayBeAbsentBeforeTraining) {
  const ModelFiles files =
      open_official(OfficialFolder().config({"stage_2.ckpt=null", "guidance={}"}));
  EXPECT_TRUE(files.config.dit && !files.dit && files.decoder);
  EXPECT_FALSE(
      open_official(OfficialFolder().config({"stage_1.params.pretrained_decoder_path=null"}))
          .decoder);
}

TEST(OfficialModel, StatisticsAreBroadcastAsInPyTorch) {
  const OfficialFolder folder;
  Tensor<float> mean(Shape{48, 1, 1});  // (48, 1, 1)
  for (index_t i = 0; i < 48; ++i) mean.data()[i] = static_cast<float>(i);
  const SafetensorsEntry entry{"mean", mean};
  write_safetensors(folder / "stat.safetensors", {&entry, 1});
  const ModelFiles files = open_official(
      folder.config({"stage_1.params.normalization_stat_path=stat.safetensors"}), {.dit = false});
  ASSERT_EQ(files.latent_norm.mean.shape(), (Shape{48, 4, 4}));
  EXPECT_EQ(files.latent_norm.mean[5 * 16 + 7], 5.0f);
  // Without a variance, the official code still divides by sqrt(1 + eps).
  EXPECT_EQ(files.latent_norm.var[3], 1.0f);
}

}  // namespace
}  // namespace rae::test
