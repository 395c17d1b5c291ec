#include "rae/train/official_recipe.hpp"

#include <algorithm>
#include <filesystem>

#include "rae/formats/official/open.hpp"

namespace rae {
namespace {

/// Rates and moments of one optimiser, as a recipe writes them.
ConfigNode optimizer_of(const OfficialOptimizer& optimizer,
                        const std::optional<OfficialSchedule>& schedule, index_t steps_per_epoch,
                        const std::string& where) {
  if (optimizer.eps != 1e-8)
    raise<ConfigError>(where, ".optimizer.eps: expected 1e-8, which rae's AdamW has, got ",
                       optimizer.eps);
  ConfigNode out =
      ConfigNode::map({{"betas", ConfigNode::list({optimizer.betas[0], optimizer.betas[1]})},
                       {"weight_decay", optimizer.weight_decay}});
  if (!schedule) {
    out.set("lr", optimizer.lr);
    out.set("final_lr", optimizer.lr);
    return out;
  }
  const auto steps = [&](double epochs) {
    return static_cast<index_t>(epochs * static_cast<double>(steps_per_epoch));
  };
  const index_t warmup = schedule->warmup_steps.value_or(steps(schedule->warmup_epochs));
  out.set("lr", schedule->base_lr);
  out.set("final_lr", schedule->final_lr);
  out.set("decay", schedule->cosine ? "cosine" : "linear");
  out.set("warmup_steps", warmup);
  out.set("warmup_from_zero", schedule->warmup_from_zero);
  // 0 would be the last step; a decay that ends at once is one of a step.
  const index_t end = schedule->decay_end_steps.value_or(steps(schedule->decay_end_epoch));
  out.set("decay_end_step", std::max({end, warmup, index_t{1}}));
  return out;
}

ConfigNode from_epoch(index_t epoch) { return ConfigNode::map({{"epoch", epoch}}); }

ConfigNode gan_of(const OfficialGan& gan, const std::string& backbone, index_t steps_per_epoch,
                  const std::string& origin) {
  const std::string arch = origin + ": gan.disc.arch.";
  if (gan.norm_type != "bn")
    raise<ConfigError>(arch, "norm_type: expected bn; other heads are not supported");
  if (!gan.using_spec_norm)
    raise<ConfigError>(arch, "using_spec_norm: expected true; heads without are not supported");
  if (gan.norm_eps != 1e-6) raise<ConfigError>(arch, "norm_eps: expected 1e-6, got ", gan.norm_eps);
  constexpr index_t kDepth = 12;  // of all its recipes; the official class drops deeper ones, too
  ConfigNode::List layers;
  for (const index_t layer : gan.key_depths)
    if (layer < kDepth) layers.emplace_back(layer);
  return ConfigNode::map(
      {{"backbone", backbone},
       {"key_layers", ConfigNode::list(std::move(layers))},
       {"kernel_size", gan.kernel_size},
       {"loss", gan.disc_loss},
       {"weight", gan.disc_weight},
       {"max_weight", gan.max_d_weight},
       {"start", from_epoch(gan.disc_start)},
       {"discriminator_start", from_epoch(gan.disc_upd_start)},
       {"updates", gan.disc_updates},
       {"augment", ConfigNode::map({{"prob", gan.augment_prob}, {"cutout", gan.augment_cutout}})},
       {"train",
        optimizer_of(gan.optimizer, gan.scheduler, steps_per_epoch, origin + ": gan.disc")}});
}

ConfigNode training_of(const OfficialTraining& training, index_t batch, index_t steps_per_epoch,
                       const std::string& origin) {
  ConfigNode out =
      optimizer_of(training.optimizer, training.scheduler, steps_per_epoch, origin + ": training");
  out.set("steps", training.epochs * steps_per_epoch);
  out.set("batch_size", batch);
  out.set("max_grad_norm", training.clip_grad);
  out.set("ema_decay", training.ema_decay);
  out.set("seed", training.global_seed);
  out.set("log_every", std::max<index_t>(1, training.log_interval));
  out.set("checkpoint_every", steps_per_epoch * std::max<index_t>(1, training.checkpoint_interval));
  return out;
}

}  // namespace

Recipe official_recipe(const OfficialConfig& c, index_t pictures,
                       const OfficialRecipeFiles& files) {
  if (c.version_2)
    raise<ConfigError>(c.origin,
                       ": is a configuration of RAEv2, which rae generates and encodes with, but "
                       "does not train from; train by a recipe");
  if (c.stage_2)
    raise<ConfigError>(c.origin,
                       ": trains stage 2, a diffusion transformer; rae trains one by a recipe, "
                       "whose 'encoder.pretrained' names "
                       "the encoder's folder");
  if (!c.training || !c.gan)
    raise<ConfigError>(
        c.origin, ": the section ", c.training ? "gan" : "training",
        " is missing; expected a recipe, or an official configuration that trains stage 1");
  const bool adversarial = c.gan->disc_weight > 0, perceptual = c.gan->perceptual_weight > 0;
  const ModelFiles model = open_official(c, {.models_dir = files.models_dir,
                                             .decoder = false,
                                             .dit = false,
                                             .discriminator = adversarial});
  if (perceptual && files.lpips.empty())
    raise<FileError>(c.origin,
                     ": gan.loss.perceptual_weight asks for LPIPS, which the official code "
                     "downloads: the VGG-16 of torchvision and the "
                     "heads of LPIPS; name their files (rae train --lpips vgg16.pth --lpips "
                     "lpips.pth), or set the weight to 0");
  const index_t batch = c.training->global_batch_size.value_or(c.training->batch_size),
                steps_per_epoch = pictures / batch;
  if (steps_per_epoch < 1)
    raise<ConfigError>(c.origin, ": training: a batch of ", batch,
                       " pictures is more than the data set has, ", pictures);

  const ModelConfig& config = model.config;
  ConfigNode whole = to_config(config), network;
  for (const char* key : {"name", "image_size", "encoder_size", "pixels", "decoder"})
    network.set(key, whole.at(key));
  ConfigNode loss = ConfigNode::map(
      {{"noise_tau", c.stage_1->noise_tau}, {"noise_law", "uniform"}, {"perceptual_weight", 0.0}});
  if (perceptual) {
    ConfigNode::List weights(files.lpips.begin(), files.lpips.end());
    loss.set("lpips", ConfigNode::map({{"weights", ConfigNode::list(std::move(weights))},
                                       {"weight", c.gan->perceptual_weight},
                                       {"start", from_epoch(c.gan->lpips_start)}}));
  }
  ConfigNode decoder = ConfigNode::map(
      {{"loss", loss}, {"train", training_of(*c.training, batch, steps_per_epoch, c.origin)}});
  if (adversarial)
    decoder.set("gan", gan_of(*c.gan, find_official_discriminator(c, files.models_dir),
                              steps_per_epoch, c.origin));
  const auto folder = std::filesystem::path(model.encoder->tensors.origin()).parent_path().string();
  ConfigNode recipe = ConfigNode::map(
      {{"model", network},
       // Resize to 3/2 of the side, then a random square, of all pictures, as train_stage1.py.
       {"data", ConfigNode::map(
                    {{"random_crop", true}, {"seed", c.training->global_seed}, {"held_out", 0}})},
       {"encoder", ConfigNode::map({{"pretrained", folder}})},
       {"decoder", decoder},
       {"notes",
        ConfigNode::map({{"recipe", std::filesystem::path(c.origin).filename().string()}})}});
  return parse_recipe(ConfigNode::parse_json(recipe.to_json(), c.origin));
}

}  // namespace rae
