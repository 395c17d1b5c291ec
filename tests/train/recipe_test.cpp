#include "rae/train/recipe.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "rae/diffusion/latent_statistics.hpp"
#include "rae/formats/model_files.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/models/dit_dh.hpp"
#include "support/golden.hpp"
#include "support/idx_files.hpp"
#include "support/temp_folder.hpp"
#include "support/third_backbone.hpp"
#include "support/tiny_loss_networks.hpp"
#include "support/tiny_recipe.hpp"

namespace rae::test {
namespace {

Recipe recipe_of(const std::string& text = kTinyRecipe) {
  return parse_recipe(ConfigNode::parse_yaml(text, "tiny.yaml"));
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

void write_data(const TempFolder& folder) {
  for (const char* split : {"train", "t10k"}) {
    folder.write(std::string(split) + "-images-idx3-ubyte", idx_images(10, 8, 8));
    folder.write(std::string(split) + "-labels-idx1-ubyte",
                 idx_labels({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }
}

RecipeRun run_in(const TempFolder& data, const std::string& out) {
  RecipeRun run;
  run.data = data.path();
  run.out = out;
  run.samples = 4;
  return run;
}

TEST(Recipe, TrainsAllStagesIntoOneBundle) {
  const TempFolder data, out;
  write_data(data);
  RecipeRun run = run_in(data, out.path());
  std::vector<std::string> events;
  run.on_event = [&](const std::string& e) { events.push_back(e); };
  run_recipe(recipe_of(), run);
  const Bundle bundle = Bundle::load(out / "model.safetensors");
  EXPECT_EQ(bundle.config.name, "tiny");
  EXPECT_EQ(bundle.config.class_names.size(), 10u);
  EXPECT_EQ(bundle.notes.at("licence"), "MIT");
  EXPECT_EQ(bundle.latent_norm().mean.shape(), (Shape{8, 2, 2}));
  Generator generator(bundle);
  EXPECT_EQ(generator.sample({.labels = {3, 4}}).size(), 2u);
  Autoencoder autoencoder(bundle);
  EXPECT_EQ(autoencoder.encode(Tensor<float>::zeros(Shape{1, 1, 8, 8})).shape(),
            (Shape{1, 8, 2, 2}));
  for (const char* step : {"0000002", "0000004", "0000006"})  // a row for each of four classes
    EXPECT_EQ(Image::open(out / ("samples/step-" + std::string(step) + ".png")).height(),
              4 * 8 + 3 * 2);
  EXPECT_TRUE(events.front().starts_with("train: 10 pictures in 10 classes (0 1, 1 1, 2 1, "));
  EXPECT_EQ(events[1], "stage encoder");
}

TEST(Recipe, AnotherAverageCanBeChosenAfterTheTraining) {
  const TempFolder data, out;
  write_data(data);
  const auto train = [&](const std::string& decays, const std::string& folder) {
    run_recipe(recipe_of(replaced(kTinyRecipe, "seed: 3", "seed: 3, ema_decay: " + decays)),
               run_in(data, out / folder));
    return slurp(out / (folder + "/model.safetensors"));
  };
  const std::string slow = train("0.9", "slow"), fast = train("0.5", "fast");
  EXPECT_NE(slow, fast);
  EXPECT_EQ(train("[0.9, 0.5]", "both"), slow);
  EXPECT_EQ(train("[0.5, 0.9]", "both"), fast);
  EXPECT_EQ(train("[0.9, 0.5]", "both"), slow);
  EXPECT_THROW(train("[0.9, 0.6]", "both"), ConfigError);
  EXPECT_THROW(train("0.9", "both"), ConfigError);
}

TEST(Recipe, AContinuedRunGivesTheSameFile) {
  const TempFolder data, whole, broken;
  write_data(data);
  run_recipe(recipe_of(), run_in(data, whole.path()));
  for (const char* stage : {"encoder", "decoder", "dit"}) {
    RecipeRun run = run_in(data, broken.path());
    run.on_progress = [&](const TrainingProgress& p) { return p.stage != stage || p.step < 3; };
    EXPECT_THROW(run_recipe(recipe_of(), run), Cancelled) << stage;
  }
  run_recipe(recipe_of(), run_in(data, broken.path()));
  EXPECT_EQ(slurp(broken / "model.safetensors"), slurp(whole / "model.safetensors"));
}

/// The tiny recipe for RGB pictures of 16 x 16, as LPIPS and the discriminator need them.
std::string adversarial_recipe(const TempFolder& networks) {
  write_tiny_lpips(networks / "lpips.safetensors");
  write_tiny_dino(networks / "dino.safetensors");
  std::string text = replaced(kTinyRecipe, "image_size: 8", "image_size: 16");
  text = replaced(text, "mean: [0.5], std: [0.3]", "mean: [0.5, 0.5, 0.5], std: [0.3, 0.3, 0.3]");
  for (int part = 0; part < 2; ++part) {
    text = replaced(text, "patch_size: 4", "patch_size: 8");
    text = replaced(text, "channels: 1", "channels: 3");
  }
  return replaced(text, "loss: {noise_tau: 0.4, perceptual_weight: 0.2}",
                  "loss: {noise_tau: 0.4, lpips: {weights: [" + networks / "lpips.safetensors" +
                      R"(], weight: 0.5, start: 1}}
  gan:
    backbone: )" + networks / "dino.safetensors" +
                      R"(
    num_heads: 2
    key_layers: [0, 1]
    kernel_size: 3
    loss: vanilla
    weight: 0.6
    max_weight: 100
    start: {epoch: 2}
    discriminator_start: 1
    updates: 2
    augment: {prob: 0.9, cutout: 0.2}
    train: {lr: 1e-3, final_lr: 1e-4, decay: linear, betas: [0.5, 0.9]})");
}

TEST(Recipe, ReadsTheOfficialLosses) {
  const TempFolder networks;
  const Recipe recipe = recipe_of(adversarial_recipe(networks));
  const DecoderLossOptions& loss = recipe.decoder_loss;
  EXPECT_EQ(loss.perceptual_weight, 0);  // LPIPS replaces the features of the encoder
  EXPECT_EQ(loss.lpips->weights, std::vector<std::string>{networks / "lpips.safetensors"});
  EXPECT_EQ(loss.lpips->weight, 0.5);
  EXPECT_EQ(loss.lpips->start.first_step(10), 1);
  EXPECT_EQ(loss.gan->num_heads, 2);
  EXPECT_EQ(loss.gan->key_layers, (std::vector<index_t>{0, 1}));
  EXPECT_EQ(loss.gan->kernel_size, 3);
  EXPECT_EQ(loss.gan->loss, GanLoss::vanilla);
  EXPECT_EQ(loss.gan->weight, 0.6);
  EXPECT_EQ(loss.gan->max_weight, 100);
  EXPECT_EQ(loss.gan->start.first_step(10), 20);
  EXPECT_EQ(loss.gan->discriminator_start.first_step(10), 1);
  EXPECT_EQ(loss.gan->updates, 2);
  EXPECT_EQ(loss.gan->augment.prob, 0.9);
  EXPECT_EQ(loss.gan->augment.cutout, 0.2);
  EXPECT_EQ(loss.gan->training->lr, 1e-3);
  EXPECT_EQ(loss.gan->training->decay, LrDecay::linear);
  EXPECT_EQ(loss.gan->training->beta1, 0.5);
  EXPECT_EQ(loss.gan->training->steps, 4);  // the same as the decoder
  EXPECT_EQ(loss.gan->training->max_grad_norm, 0);
  EXPECT_FALSE(recipe_of().decoder_loss.lpips || recipe_of().decoder_loss.gan);
}

TEST(Recipe, ReadsTheOfficialValuesInTheTutorial) {
  const std::string page = slurp(std::string(RAE_SOURCE_DIR) + "/docs/05_training.md");
  const std::string fence = "```yaml\n";
  const auto begin = page.find(fence + "decoder:") + fence.size();
  ConfigNode node = ConfigNode::parse_yaml(kTinyRecipe, "tiny.yaml");
  node.set("decoder",
           ConfigNode::parse_yaml(page.substr(begin, page.find("```", begin) - begin), "tutorial")
               .at("decoder"));
  const DecoderLossOptions loss = parse_recipe(node).decoder_loss;
  const GanOptions defaults;
  EXPECT_EQ(loss.lpips->weights.size(), 2u);
  EXPECT_EQ(loss.gan->start.first_step(2502), 8 * 2502);
  EXPECT_EQ(loss.gan->discriminator_start.first_step(2502), 6 * 2502);
  EXPECT_EQ(loss.gan->weight, defaults.weight);
  EXPECT_EQ(loss.gan->max_weight, defaults.max_weight);
}

TEST(Recipe, TrainsADecoderWithTheOfficialLosses) {
  const TempFolder data, networks, whole, broken, none;
  write_data(data);
  const std::string text = adversarial_recipe(networks);
  RecipeRun run = run_in(data, whole.path());
  run.stages = {TrainingStage::encoder, TrainingStage::decoder};
  std::map<std::string, double> last;
  run.on_progress = [&](const TrainingProgress& p) { return last = p.measurements, true; };
  run_recipe(recipe_of(text), run);
  for (const char* name : {"l1", "lpips", "gan", "adaptive_weight", "discriminator"})
    EXPECT_TRUE(std::isfinite(last.at(name))) << name;
  run.out = broken.path();
  run.on_progress = [&](const TrainingProgress& p) { return p.stage != "decoder" || p.step < 3; };
  EXPECT_THROW(run_recipe(recipe_of(text), run), Cancelled);
  run.on_progress = nullptr;
  run_recipe(recipe_of(text), run);
  EXPECT_EQ(slurp(broken / "model.safetensors"), slurp(whole / "model.safetensors"));
  // Missing files are reported before anything is computed.
  run.out = none / "run";
  EXPECT_THROW(run_recipe(recipe_of(replaced(text, "dino.safetensors", "dina.safetensors")), run),
               FileError);
  EXPECT_THROW(run_recipe(recipe_of(replaced(text, "lpips.safetensors", "vgg.safetensors")), run),
               FileError);
  EXPECT_TRUE(none.entries().empty());
}

TEST(Recipe, AStageRequiresItsPredecessor) {
  const TempFolder data, out;
  write_data(data);
  RecipeRun run = run_in(data, out.path());
  run.stages = {TrainingStage::decoder};
  EXPECT_NE(message_of<ConfigError>([&] {
              run_recipe(recipe_of(), run);
            }).find("run the stage encoder first"),
            std::string::npos);
  run.stages = {TrainingStage::encoder};
  run_recipe(recipe_of(), run);
  run.stages = {TrainingStage::dit};
  EXPECT_NE(message_of<ConfigError>([&] {
              run_recipe(recipe_of(), run);
            }).find("run the stage decoder first"),
            std::string::npos);
  run.stages = {TrainingStage::decoder};
  run_recipe(recipe_of(), run);
  run.stages = {TrainingStage::dit};
  EXPECT_NE(message_of<ConfigError>([&] {
              run_recipe(recipe_of(), run);
            }).find("run the stage statistics first"),
            std::string::npos);
}

TEST(Recipe, ARunIsNotContinuedWithOtherSettings) {
  const TempFolder data, out;
  write_data(data);
  run_recipe(recipe_of(), run_in(data, out.path()));
  const Recipe other = recipe_of(replaced(kTinyRecipe, "noise_tau: 0.4", "noise_tau: 0.5"));
  EXPECT_NE(message_of<ConfigError>([&] {
              run_recipe(other, run_in(data, out.path()));
            }).find("noise_tau is 0.5, was 0.4"),
            std::string::npos);
}

TEST(Recipe, MistakesAreReportedWithTheirPath) {
  const struct {
    const char *from, *to, *message;
  } cases[] = {
      {"seed: 3,", "sede: 3,", "dit.train"},
      {"name: tiny", "nmae: tiny", "model"},
      {"hidden_size: 8, num_layers: 1, num_heads: 2, intermediate_size: 16, table_h",
       "hidden_size: 9, num_layers: 1, num_heads: 2, intermediate_size: 16, table_h", "encoder"},
      {"in_dim: 8", "in_dim: 4", "decoder"},
      {"time: logit-normal_0_1", "time: normal", "time"},
      {"noise_tau: 0.4", "noise_tau: -1", "noise_tau"},
      {"shift: 1", "shift: -1", "shift"},
      {"time_shift: 2.0", "time_shift: 0.5", "time_shift"},
      {"notes: {licence: MIT}", "notes: 3", "notes"},
      {"perceptual_weight: 0.2", "noise_law: gauss", "noise_law"},
  };
  for (const auto& c : cases) {
    try {
      (void)recipe_of(replaced(kTinyRecipe, c.from, c.to));
      ADD_FAILURE() << c.to << ": accepted";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(c.message), std::string::npos) << e.what();
    }
  }
}

// A network that no file of the library knows needs only to be registered to be trained; see also
// tests/generate/third_backbone_test.cpp.
/// Every examples/models/NAME.yaml is the recipe of the model NAME beside it, once that is there.
TEST(Recipe, ShippedRecipesBelongToTheirModels) {
  namespace fs = std::filesystem;
  index_t recipes = 0;
  for (const auto& entry : fs::directory_iterator(RAE_SOURCE_DIR "/examples/models")) {
    if (entry.path().extension() != ".yaml") continue;
    ++recipes;
    const std::string name = entry.path().stem().string();
    const Recipe recipe = parse_recipe(ConfigNode::load(entry.path().string()));
    EXPECT_EQ(recipe.model.name, name);
    ASSERT_TRUE(recipe.model.dit) << name;
    for (const char* note : {"data", "data_licence", "licence"})
      EXPECT_TRUE(recipe.notes.contains(note)) << name << ": notes." << note;
    // The network is at least as wide as a token (Theorem 1); in DiT^DH the head.
    if (const auto* dit = recipe.model.dit->get_if<DitDhConfig>()) {
      EXPECT_GE(std::max(dit->hidden_size[0], dit->hidden_size[1]), dit->in_channels) << name;
    }
    const fs::path file = fs::path(entry.path()).replace_extension(".safetensors");
    if (!fs::exists(file)) continue;
    EXPECT_LE(fs::file_size(file), 32'000'000u) << name;
    EXPECT_TRUE(fs::exists(fs::path(file).replace_extension(".md"))) << name;
    const ModelConfig model = ModelFiles::open(file.string()).config;
    EXPECT_EQ(model.name, name);
    EXPECT_TRUE(model.encoder == recipe.model.encoder) << name;
    EXPECT_TRUE(to_config(*model.decoder) == to_config(*recipe.model.decoder)) << name;
    EXPECT_TRUE(*model.dit == *recipe.model.dit) << name;
    EXPECT_EQ(model.image_shape(), recipe.model.image_shape()) << name;
    EXPECT_EQ(model.time_shift, recipe.model.time_shift) << name;
    EXPECT_EQ(model.prediction, recipe.model.prediction) << name;
  }
  EXPECT_GE(recipes, 1);
}

TEST(Recipe, HistoryIsKeptAtCheckpoints) {
  const auto with = [](const std::string& every) {
    return recipe_of(
        replaced(kTinyRecipe, "  flow: {time", "  keep_every: " + every + "\n  flow: {time"));
  };
  EXPECT_EQ(recipe_of().keep_every, 0);
  EXPECT_EQ(with("4").keep_every, 4);
  for (const char* wrong : {"3", "-2"})
    EXPECT_NE(
        message_of<ConfigError>([&] {
          (void)with(wrong);
        }).find("dit.keep_every: expected a multiple of train.checkpoint_every, 2, or 0, got "),
        std::string::npos)
        << wrong;
}

TEST(Recipe, TrainsARegisteredNetwork) {
  ASSERT_TRUE(register_backbone<TokenMlpKind>());
  const std::string dit =
      "dit: {grid_h: 2, grid_w: 2, in_channels: 8, hidden_size: [8, 12], depth: "
      "[1, 1], num_heads: [2, 3], num_classes: 10, class_dropout_prob: 0.1}";
  const std::string mlp =
      "token_mlp: {grid_h: 2, grid_w: 2, channels: 8, hidden_size: 12, "
      "num_classes: 10, class_dropout_prob: 0.1}";
  const TempFolder data, out;
  write_data(data);
  run_recipe(recipe_of(replaced(kTinyRecipe, dit, mlp)), run_in(data, out.path()));
  const Bundle bundle = Bundle::load(out / "model.safetensors");
  ASSERT_TRUE(bundle.config.dit);
  EXPECT_EQ(bundle.config.dit->name(), "token_mlp");
  EXPECT_EQ(Generator(bundle).sample({.labels = {3, 4}}).size(), 2u);
}

// The error is thrown before any stage runs, not when the model is saved.
TEST(Recipe, RefusesAGuideThatNoStageTrains) {
  const std::string dit =
      "dit: {grid_h: 2, grid_w: 2, in_channels: 8, hidden_size: [8, 12], depth: "
      "[1, 1], num_heads: [2, 3], num_classes: 10, class_dropout_prob: 0.1}";
  const std::string text = replaced(kTinyRecipe, dit, dit + "\n  guide" + dit.substr(3));
  const std::string message = message_of<ConfigError>([&] { (void)recipe_of(text); });
  EXPECT_NE(message.find("tiny.yaml: model.guide: no stage"), std::string::npos) << message;
}

TEST(Recipe, PretrainedEncoders) {
  const std::string folder = data_path("golden/e2e_dinov2_ag/encoder");
  std::string text = replaced(kTinyRecipe, "image_size: 8", "image_size: 64\n  encoder_size: 56");
  text = replaced(text,
                  "pretraining: {augmentation: {shift: 1, flip: true}}\n  train: {steps: 4, "
                  "batch_size: 6, log_every: 1, seed: 1}",
                  "pretrained: " + folder);
  EXPECT_NE(message_of<ConfigError>([&] { (void)recipe_of(text); }).find("leave this member out"),
            std::string::npos);
  text = replaced(text, "  encoder: {family", "  #{family");
  text = replaced(text, "grid_h: 2, grid_w: 2, in_dim: 8", "grid_h: 4, grid_w: 4, in_dim: 48");
  text =
      replaced(text, "patch_size: 4, channels: 1}\n  dit", "patch_size: 16, channels: 3}\n  dit");
  text = replaced(text, "grid_h: 2, grid_w: 2, in_channels: 8",
                  "grid_h: 4, grid_w: 4, in_channels: 48");
  const std::string own_pixels =
      replaced(text, "mean: [0.5], std: [0.3]", "mean: [0.5, 0.5, 0.5], std: [0.3, 0.3, 0.3]");
  const Recipe recipe = recipe_of(replaced(text, "  pixels: {mean: [0.5], std: [0.3]}\n", ""));
  EXPECT_EQ(recipe.model.encoder.width(), 48);
  EXPECT_EQ(recipe.model.pixels.mean[0], 0.485);
  EXPECT_EQ(recipe_of(own_pixels).model.pixels.std[2], 0.3);
  EXPECT_EQ(recipe.pretrained_encoder, folder);

  // A recipe without a DiT would end after the statistics, so its section dit is refused.
  EXPECT_THROW((void)recipe_of(replaced(text, "  dit: {grid_h", "  #{grid_h")), ConfigError);
  EXPECT_THROW((void)recipe_of(replaced(own_pixels, folder, folder + "/nowhere")), FileError);
}

TEST(Recipe, RefusesMistakesInTheOfficialLosses) {
  const TempFolder networks;
  const std::string text = adversarial_recipe(networks);
  const struct {
    const char *from, *to, *message;
  } cases[] = {
      {"start: 1}", "start: -1}", "start"},
      {"start: {epoch: 2}", "start: {epoch: 2, step: 3}", "gan.start"},
      {"start: {epoch: 2}", "start: late", "gan.start"},
      {"loss: vanilla", "loss: wasserstein", "gan.loss"},
      {"updates: 2", "updates: 0", "gan.updates"},
      {"prob: 0.9", "prob: 1.5", "augment.prob"},
      {"train: {lr: 1e-3", "train: {batch_size: 3, lr: 1e-3", "batch_size"},
      {"train: {lr: 1e-3", "train: {lr: -1", "gan.train"},
      {"max_weight: 100", "max_wieght: 100", "max_wieght"},
      {"weight: 0.5, start", "wait: 0.5, start", "lpips"},
  };
  for (const auto& c : cases)
    EXPECT_NE(message_of<ConfigError>([&] {
                (void)recipe_of(replaced(text, c.from, c.to));
              }).find(c.message),
              std::string::npos)
        << c.to;
}

TEST(Recipe, TakesStatisticsLikeTheOfficialScript) {
  const TempFolder data, exact, official;
  write_data(data);
  const std::string section =
      "statistics: {rule: official, batch_size: 4, momentum: 0.25, seed: 5, augmentation: {flip: "
      "true}}\ndit:\n  flow";
  const auto statistics_in = [&](const TempFolder& out, const std::string& text) {
    RecipeRun run = run_in(data, out.path());
    run.stages = {TrainingStage::encoder, TrainingStage::decoder, TrainingStage::statistics};
    run_recipe(recipe_of(text), run);
    return Bundle::load(out / "model.safetensors");
  };
  const std::string text = replaced(kTinyRecipe, "dit:\n  flow", section);
  const Bundle bundle = statistics_in(official, text);
  const LatentNorm<float> norm = bundle.latent_norm(),
                          other = statistics_in(exact, kTinyRecipe).latent_norm();

  // The expected result: three batches of the ten pictures in their order, the last one filled up.
  Autoencoder autoencoder(bundle);
  MomentumLatentStatistics expected(0.25);
  Batches batches(open_dataset(data.path(), Split::train, {}), 4, 5, {.flip = true});
  for (index_t i = 0; i < 3; ++i) {
    Tensor<float> z =
        autoencoder.encode(batches(i).images);  // normalised by the bundle's statistics
    expected.update(norm.denormalize(z));
  }
  EXPECT_TRUE(close(norm.mean, expected.mean(), 1e-4));
  EXPECT_TRUE(close(norm.var, expected.variance(), 1e-4));
  EXPECT_FALSE(close(norm.var, other.var, 1e-2));
  for (const char* wrong : {"rule: exakt", "rule: exact, momentum: 0.1",
                            "rule: official, momentum: 0", "rule: official, batch_size: 0"})
    EXPECT_THROW((void)recipe_of(replaced(
                     text, section, std::string("statistics: {") + wrong + "}\ndit:\n  flow")),
                 ConfigError)
        << wrong;
}

TEST(Recipe, NamesOfStagesAreParsed) {
  for (const TrainingStage s : {TrainingStage::encoder, TrainingStage::decoder,
                                TrainingStage::statistics, TrainingStage::dit})
    EXPECT_EQ(parse_training_stage(name_of(s)), s);
  EXPECT_THROW((void)parse_training_stage("vae"), ArgumentError);
}

}  // namespace
}  // namespace rae::test
