// `rae info`: every kind of file, and the machine.
#include "rae/core/parallel.hpp"
#include "rae/io/image.hpp"
#include "rae/io/npz.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/models/decoder.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/models/name_map.hpp"
#include "rae/nn/outline.hpp"
#include "support/golden.hpp"
#include "support/third_backbone.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class Info : public ToolTest {};

TEST_F(Info, ShowsSizeAndSettingsOfAPicture) {
  Image(5, 4, 3).save_png(path("a.png"), {{"seed", "7"}, {"class", "caf\xC3\xA9"}});
  const auto result = rae({"info", "a.png"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "a.png: PNG, 5 x 4, RGB"));
  EXPECT_TRUE(contains(result.out, "  class  caf\xC3\xA9\n  seed   7\n"));
}

TEST_F(Info, TextOfAFileDoesNotSteerTheTerminal) {
  Image(5, 4, 1).save_png(path("a.png"), {{"note",
                                           "a\x1b[2Jb\xC2\x9B"
                                           "c"}});
  EXPECT_TRUE(contains(rae({"info", "a.png"}).out, "a?[2Jb?c"));
}

TEST_F(Info, ListsTensors) {
  const SafetensorsEntry entry{"latent", Tensor<float>({1, 2, 3, 4}, 1.0f), DType::bf16};
  write_safetensors(path("a.safetensors"), {&entry, 1}, {{"made by", "a test"}});
  const auto result = rae({"info", "a.safetensors"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "a.safetensors: safetensors, 1 tensor"));
  EXPECT_TRUE(contains(result.out, "bf16  (1, 2, 3, 4)"));
  EXPECT_TRUE(contains(result.out, "made by  a test"));
}

TEST_F(Info, ListsArrays) {
  write_npz(path("a.npz"), Tensor<std::uint8_t>({3, 2, 2, 1}, std::uint8_t{7}));
  const auto result = rae({"info", "a.npz"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "uint8  (3, 2, 2, 1)  arr_0"));
}

TEST_F(Info, TellsWhatACheckpointIs) {
  const auto shows = [&](const std::string& file, const std::vector<std::string>& parts) {
    const auto result = rae({"info", data_path(file)});
    EXPECT_EQ(result.status, 0) << result.err;
    for (const std::string& part : parts)
      EXPECT_TRUE(contains(result.out, part)) << part << "\n" << result.out;
  };
  const std::string whole = "golden/e2e_dinov2_ag/";
  shows(whole + "stats/stat.pt",
        {"stat.pt: checkpoint of PyTorch, 1 tensor", "weights of: statistics of latents",
         "48 channels, 4 x 4 tokens", "f32   (48, 4, 4)            var"});
  shows(whole + "decoder/model.pt",
        {"weights of: ViT decoder for 64 x 64 pictures", "width 32, 1 layer",
         "48 channels, 4 x 4 tokens, patches of 16 x 16"});
  shows(
      whole + "dit/stage2_model.pt",
      {"weights of: DiT^DH", "width 48, 3 blocks, 4 heads", "width 64, 2 blocks, 4 heads",
       "48 channels, 4 x 4 tokens, patch 1", "SwiGLU, RMSNorm, rotary positions, position table"});
  shows(whole + "encoder", {"encoder of Hugging Face", "weights of: DINOv2 encoder with registers",
                            "position table  9 x 9", "its tensors are those of config.json"});
  shows(whole + "config.yaml",
        {"official configuration", "statistics, encoder, resolution and decoder fit each other",
         "48 x 4 x 4", "variance of 48 x 4 x 4"});
  shows("golden/ckpt_formats/train_zip.pt",
        {"training checkpoint, its weights are in 'ema'", "step            123",
         "weights of: nothing that rae knows"});
  shows("golden/ckpt_formats/legacy.pth", {"legacy.pth: checkpoint of PyTorch, 13 tensors"});
  shows("golden/rae_siglip2_tiny/hub_model.safetensors",
        {"weights of: SigLIP 2 encoder", "position table  4 x 4"});
  shows("golden/rae_mae_tiny/hub_model.safetensors", {"weights of: MAE encoder"});
  shows("golden/rae_mae_tiny/weights.safetensors",
        {"weights of: official autoencoder (RAE); MAE encoder; ViT decoder for 32 x 32 pictures"});
  shows("golden/lightningdit_official_flags/weights.safetensors", {"weights of: LightningDiT"});
  shows("golden/lpips_narrow/weights.safetensors", {"weights of: LPIPS with VGG-16"});
  shows("golden/dino_disc_tiny/dino.safetensors", {"weights of: DINO ViT"});
}

/// The names and shapes of real models, in files without data on the disk.
TEST_F(Info, KnowsTheSizesOfTheOfficialModels) {
  const auto shows = [&](const std::vector<ParameterShape>& parameters, const NameMap& names,
                         const std::string& part) {
    std::string json = "{";
    std::uint64_t offset = 0;
    for (const auto& [name, shape, use] : parameters) {
      const auto files = names ? names(name) : std::vector<std::string>{name};
      for (const std::string& file : files) {
        const Shape piece =
            files.size() > 1 ? shape.with(0, shape[0] / static_cast<index_t>(files.size())) : shape;
        std::string extents;
        for (const index_t extent : piece) extents += concat(extents.empty() ? "" : ",", extent);
        const std::uint64_t end = offset + static_cast<std::uint64_t>(piece.numel()) * 4;
        json += concat(json.size() > 1 ? ",\"" : "\"", file, "\":{\"dtype\":\"F32\",\"shape\":[",
                       extents, "],\"data_offsets\":[", offset, ",", end, "]}");
        offset = end;
      }
    }
    json += "}";
    std::string header(8, '\0');
    for (std::size_t i = 0; i < 8; ++i)
      header[i] = static_cast<char>(json.size() >> (8 * i) & 0xff);
    write("sparse.safetensors", header + json);
    std::filesystem::resize_file(path("sparse.safetensors"), 8 + json.size() + offset);
    const auto result = rae({"info", "sparse.safetensors"});
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_TRUE(contains(result.out, part)) << part << "\n" << result.out.substr(0, 600);
  };
  DitDhConfig dit;
  shows(parameter_shapes<DitDh>(dit), {}, "weights of: DiT^DH, DiTDH-XL for 256 x 256 pictures");
  dit.grid_h = dit.grid_w = 32;
  dit.hidden_size[0] = 384;
  dit.depth[0] = 12;
  dit.num_heads[0] = 6;
  shows(parameter_shapes<DitDh>(dit), {}, "weights of: DiT^DH, DiTDH-S for 512 x 512 pictures");
  shows(parameter_shapes<LightningDit>(LightningDitConfig{}), {},
        "weights of: LightningDiT, LightningDiT-XL");
  DecoderConfig decoder;
  shows(parameter_shapes<Decoder>(decoder), decoder_names(),
        "weights of: ViT decoder, ViT-XL for 256 x 256 pictures");
  decoder.hidden_size = 1024;
  decoder.num_layers = 24;
  shows(parameter_shapes<Decoder>(decoder), decoder_names(),
        "weights of: ViT decoder, ViT-L for 256 x 256 pictures");
  decoder.hidden_size = 768;
  decoder.num_layers = 12;
  decoder.num_heads = 12;
  decoder.intermediate_size = 3072;
  shows(parameter_shapes<Decoder>(decoder), decoder_names(),
        "weights of: ViT decoder, ViT-B for 256 x 256 pictures");
}

TEST_F(Info, NamesTheDiffusionNetwork) {
  const auto shows = [&](const ModelConfig& config, const std::string& part) {
    random_bundle(config).save(path("m.safetensors"));
    const auto result = rae({"info", "m.safetensors"});
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_TRUE(contains(result.out, part));
  };
  ModelConfig config = tiny_config();
  shows(config, "\ndiffusion network: DiT^DH\nconfig:");
  config.guide = tiny_lightning_dit();
  shows(config, "\ndiffusion network: DiT^DH\nguide: LightningDiT\nconfig:");
}

// The same file for a program that has registered the network, and for one that has not.
TEST_F(Info, KnowsTheNetworksOfItsProgram) {
  ASSERT_TRUE(register_backbone<TokenMlpKind>());
  ModelConfig config = tiny_config();
  config.dit = TokenMlpConfig{};
  random_bundle(config).save(path("m.safetensors"));
  const auto known = finish(start({"info", "m.safetensors"}, {}, RAE_TOOL_THIRD_BACKBONE));
  EXPECT_EQ(known.status, 0) << known.err;
  EXPECT_TRUE(contains(known.out, "\ndiffusion network: token MLP\nconfig:"));
  EXPECT_TRUE(contains(known.out, "\n  token_mlp:\n    grid_h: 2\n"));
  const auto unknown = rae({"info", "m.safetensors"});
  EXPECT_EQ(unknown.status, 0) << unknown.err;
  EXPECT_TRUE(contains(unknown.out, "note: this program cannot use the model: "));
  EXPECT_TRUE(contains(unknown.out, "'token_mlp'"));
  EXPECT_TRUE(contains(unknown.out, "dit, lightning_dit"));
  const std::vector<std::string> generate{"generate", "--model", "m.safetensors", "--count",
                                          "1",        "--out",   "a.png"};
  const auto made = finish(start(generate, {}, RAE_TOOL_THIRD_BACKBONE));
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_TRUE(exists("a.png"));
  const auto refused = rae(generate);
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(contains(refused.err, "'token_mlp'"));
}

TEST_F(Info, ShowsTheMachine) {
  const auto result = rae({"info", "--system"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "baseline"));
  EXPECT_TRUE(contains(result.out, parallel_backend()));
}

TEST_F(Info, AnUnavailableInstructionSetIsAnErrorOfEveryCommandButThis) {
  ASSERT_EQ(::setenv("RAE_ISA", "mmx", 1), 0);
  const auto info = rae({"info", "--system"}), drawn = rae({"generate", "--steps", "1"});
  ::unsetenv("RAE_ISA");
  EXPECT_EQ(info.status, 0) << info.err;
  EXPECT_TRUE(contains(info.out, "none: RAE_ISA: unknown instruction set 'mmx'")) << info.out;
  EXPECT_EQ(drawn.status, 1) << drawn.out;
  EXPECT_TRUE(contains(drawn.err,
                       "rae: error: RAE_ISA: unknown instruction set 'mmx'; available "
                       "here: baseline"))
      << drawn.err;
}

TEST_F(Info, RefusesWhatItDoesNotKnow) {
  write("text", "hello, world, this is text");
  write("short", "\x89");
  write("cut.png", "\x89PNG\r\n\x1a\n");
  write("cut.safetensors", std::string("\xFF\0\0\0\0\0\0\0{", 9));
  write("cut.npz", "PK\x03\x04");
  for (const std::string name :
       {"text", "short", "cut.png", "cut.safetensors", "cut.npz", "absent", "."}) {
    const auto result = rae({"info", name});
    EXPECT_EQ(result.status, 1) << name;
    EXPECT_EQ(result.out, "") << name;
    EXPECT_EQ(result.err.rfind("rae: error: ", 0), 0u) << result.err;
    EXPECT_TRUE(contains(result.err, name));
  }
}

}  // namespace
}  // namespace rae::test
