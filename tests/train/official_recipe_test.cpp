// Pretrained encoders in recipes, and recipes made from official configurations of stage 1.
#include "rae/train/official_recipe.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "rae/formats/bundle.hpp"
#include "rae/formats/official/open.hpp"
#include "rae/io/safetensors_writer.hpp"
#include "support/idx_files.hpp"
#include "support/official_files.hpp"
#include "support/tiny_loss_networks.hpp"

namespace rae::test {
namespace {

constexpr const char* kTraining = R"(
epochs: 3
global_batch_size: 4
ema_decay: 0.9
clip_grad: 0.0
log_interval: 10
checkpoint_interval: 1
global_seed: 5
optimizer: {lr: 1e-3, betas: [0.9, 0.95], weight_decay: 0.01}
scheduler: {type: cosine, warmup_epochs: 1, decay_end_epoch: 2, base_lr: 1e-3, final_lr: 1e-4, warmup_from_zero: true}
)";

constexpr const char* kGan = R"(
disc:
  arch: {dino_ckpt_path: dino.safetensors, ks: 3, key_depths: [0, 14], norm_type: bn, using_spec_norm: true, recipe: S_8}
  optimizer: {lr: 3e-4, betas: [0.5, 0.9]}
  scheduler: {type: linear, warmup_steps: 1, decay_end_epoch: 3, base_lr: 2e-4, final_lr: 1e-4}
  augment: {prob: 0.5, cutout: 0.1}
loss: {disc_loss: hinge, gen_loss: vanilla, disc_weight: 0.75, perceptual_weight: 0.5, disc_start: 2, disc_upd_start: 1, lpips_start: 1,
       max_d_weight: 100.0, disc_updates: 2}
)";

/// Stage 1 of the golden model with the sections for its training, and files of the networks of its
/// losses.
class OfficialRecipe : public testing::Test {
 protected:
  OfficialRecipe() {
    write_tiny_dino(folder_ / "dino.safetensors");
    write_tiny_lpips(folder_ / "lpips.safetensors");
    for (const char* split : {"train", "t10k"}) {
      folder_.write(std::string(split) + "-images-idx3-ubyte", idx_images(10, 8, 8));
      folder_.write(std::string(split) + "-labels-idx1-ubyte",
                    idx_labels({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
    }
  }

  /// A configuration with changes, each of the form "key.path=YAML".
  [[nodiscard]] OfficialConfig config(const std::vector<std::string>& changes = {}) const {
    ConfigNode node = ConfigNode::map(
        {{"stage_1", ConfigNode::load(golden_model_path("config.yaml")).at("stage_1")},
         {"training", ConfigNode::parse_yaml(kTraining)},
         {"gan", ConfigNode::parse_yaml(kGan)}});
    node.apply_override("gan.disc.arch.dino_ckpt_path=" + folder_ / "dino.safetensors");
    for (const std::string& change : changes) node.apply_override(change);
    return parse_official_config(
        ConfigNode::parse_json(node.to_json(), golden_model_path("train.yaml")));
  }

  [[nodiscard]] OfficialRecipeFiles files() const {
    return {.lpips = {folder_ / "lpips.safetensors"}};
  }

  [[nodiscard]] RecipeRun run(const std::string& out) const {
    RecipeRun run;
    run.data = folder_.path();
    run.out = folder_ / out;
    return run;
  }

  TempFolder folder_;
};

TEST_F(OfficialRecipe, HasTheValuesOfTheConfiguration) {
  const Recipe recipe = official_recipe(config(), 10, files());  // two steps per epoch
  EXPECT_EQ(recipe.model.image_size, 64);
  EXPECT_EQ(recipe.model.encoder_size, 56);
  EXPECT_EQ(recipe.model.encoder.get<EncoderConfig>().registers, 4);
  EXPECT_EQ(recipe.model.decoder->hidden_size, 32);
  EXPECT_FALSE(recipe.model.dit);
  EXPECT_TRUE(recipe.data.random_crop);
  EXPECT_FALSE(recipe.data.flip);
  const TrainingOptions& train = recipe.decoder_training;
  EXPECT_EQ(training_settings(train), training_settings({.steps = 6,
                                                         .batch_size = 4,
                                                         .lr = 1e-3,
                                                         .final_lr = 1e-4,
                                                         .decay = LrDecay::cosine,
                                                         .warmup_steps = 2,
                                                         .decay_end_step = 4,
                                                         .weight_decay = 0.01,
                                                         .max_grad_norm = 0,
                                                         .ema_decay = 0.9,
                                                         .seed = 5}));
  EXPECT_EQ(train.checkpoint_every, 2);
  EXPECT_EQ(schedule_of(train)(5), 1e-4);
  const DecoderLossOptions& loss = recipe.decoder_loss;
  EXPECT_EQ(loss.noise_law, NoiseLaw::uniform);
  EXPECT_EQ(loss.perceptual_weight, 0);
  EXPECT_EQ(loss.lpips->weight, 0.5);
  EXPECT_EQ(loss.lpips->start.first_step(2), 2);
  ASSERT_TRUE(loss.gan);
  EXPECT_EQ(loss.gan->key_layers, (std::vector<index_t>{0}));  // there is no layer 14
  EXPECT_EQ(loss.gan->kernel_size, 3);
  EXPECT_EQ(loss.gan->loss, GanLoss::hinge);
  EXPECT_EQ(loss.gan->weight, 0.75);
  EXPECT_EQ(loss.gan->max_weight, 100);
  EXPECT_EQ(loss.gan->start.first_step(2), 4);
  EXPECT_EQ(loss.gan->discriminator_start.first_step(2), 2);
  EXPECT_EQ(loss.gan->updates, 2);
  EXPECT_EQ(loss.gan->augment.cutout, 0.1);
  const LrSchedule schedule = schedule_of(*loss.gan->training);
  EXPECT_EQ(schedule(0), 2e-4);  // constant during warm-up, at the rate of the scheduler
  EXPECT_EQ(schedule(6), 1e-4);
  EXPECT_EQ(loss.gan->training->beta1, 0.5);
  EXPECT_EQ(loss.gan->training->max_grad_norm, 0);
}

TEST_F(OfficialRecipe, TrainsTheDecoderOnThePretrainedEncoder) {
  Recipe recipe = official_recipe(config({"stage_1.params.noise_tau=0.5"}), 10, files());
  recipe.decoder_loss.gan->num_heads = 2;  // heads of the tiny file are narrower than DINO's
  run_recipe(recipe, run("out"));
  const Bundle bundle = Bundle::load(folder_ / "out/model.safetensors");
  EXPECT_FALSE(bundle.config.dit);
  EXPECT_EQ(bundle.latent_norm().var.shape(), (Shape{48, 4, 4}));
  // Pretrained weights are kept bit for bit, and pictures are normalised as the encoder's folder
  // says.
  const auto file = TensorSource::open(golden_model_path("encoder"));
  const Tensor<float> stored = file.read<float>("embeddings.cls_token"),
                      kept = bundle.tensors.at("encoder.cls_token");  // (1, 1, D) each
  EXPECT_TRUE(std::equal(stored.span().begin(), stored.span().end(), kept.span().begin(),
                         kept.span().end()));
  EXPECT_EQ(bundle.config.pixels.mean,
            open_official(golden_model_path("config.yaml")).config.pixels.mean);
  // A finished run can be continued. With another encoder its decoder is trained again.
  EXPECT_NO_THROW(run_recipe(recipe, run("out")));
  std::filesystem::copy(golden_model_path("encoder"), folder_ / "other");
  const TensorSource weights = TensorSource::open(golden_model_path("encoder"));
  std::vector<SafetensorsEntry> entries;
  for (const std::string& name : weights.names()) {
    Tensor<float> tensor = weights.read<float>(name);  // any shape
    if (name == "embeddings.cls_token") tensor[0] += 1;
    entries.push_back({name, tensor});
  }
  std::filesystem::remove(folder_ / "other/model.safetensors");
  write_safetensors(folder_ / "other/model.safetensors", entries);
  recipe.pretrained_encoder = folder_ / "other";
  RecipeRun other = run("out");
  std::string events;
  other.on_event = [&](const std::string& event) { events += event + "\n"; };
  run_recipe(recipe, other);
  EXPECT_NE(
      events.find("decoder: trained again, because its checkpoint belongs to another encoder"),
      std::string::npos)
      << events;
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/decoder/checkpoint-stale-1.safetensors"));
  run_recipe(recipe, run("fresh"));
  EXPECT_EQ(slurp(folder_ / "out/model.safetensors"), slurp(folder_ / "fresh/model.safetensors"));
}

TEST_F(OfficialRecipe, RefusesWithReasons) {
  const auto message = [&](const std::vector<std::string>& changes, index_t pictures = 10) {
    return message_of<Error>([&] { (void)official_recipe(config(changes), pictures, files()); });
  };
  EXPECT_NE(message({}, 3).find("a batch of 4 pictures is more than the data set has, 3"),
            std::string::npos);
  EXPECT_NE(message({"gan.disc.arch.norm_type=gn"}).find("norm_type: expected bn"),
            std::string::npos);
  EXPECT_NE(message({"gan.disc.arch.using_spec_norm=false"}).find("using_spec_norm"),
            std::string::npos);
  EXPECT_NE(message({"training.optimizer.eps=1e-6"}).find("training.optimizer.eps"),
            std::string::npos);
  // All missing files are reported at once.
  const std::string missing = message({"gan.disc.arch.dino_ckpt_path=models/discs/none.pth",
                                       "stage_1.params.decoder_config_path=configs/decoder/None"});
  EXPECT_NE(missing.find("2 parts of the model are missing"), std::string::npos) << missing;
  EXPECT_NE(missing.find("hf download nyu-visionx/RAE-collections discs/none.pth"),
            std::string::npos)
      << missing;
  const std::string lpips = message_of<FileError>([&] { (void)official_recipe(config(), 10); });
  EXPECT_NE(lpips.find("--lpips"), std::string::npos) << lpips;
  EXPECT_FALSE(
      official_recipe(config({"gan.loss.perceptual_weight=0", "gan.loss.disc_weight=0"}), 10)
          .decoder_loss.gan);
  const OfficialConfig whole = load_official_config(golden_model_path("config.yaml"));
  EXPECT_NE(message_of<ConfigError>([&] {
              (void)official_recipe(whole, 10);
            }).find("'encoder.pretrained'"),
            std::string::npos);
}

}  // namespace
}  // namespace rae::test
