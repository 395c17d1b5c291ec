// The sections of an official configuration that only training uses. Source: build_optimizer,
// build_scheduler, build_discriminator, and the first lines of train.py and train_stage1.py.
#include <algorithm>
#include <limits>

#include "formats/official/training_sections.hpp"

namespace rae::official {
namespace {

constexpr index_t kMaxEpochs = 1'000'000, kMaxSteps = index_t{1} << 40;
constexpr double kMaxRate = 100.0;

OfficialOptimizer parse_optimizer(const ConfigNode& parent, double lr) {
  OfficialOptimizer out;
  out.lr = lr;
  const ConfigNode* node = given(parent, "optimizer");
  if (node == nullptr) return out;
  require_keys_known(*node, {"type", "lr", "betas", "beta", "weight_decay", "wd", "eps"});
  if (const ConfigNode* type = given(*node, "type"); type != nullptr) {
    std::string name = type->as_string();
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (name != "adamw") type->fail_expected("adamw");
  }
  out.lr = number_in(*node, "lr", lr, 0, kMaxRate);
  if (const ConfigNode* betas = given(*node, given(*node, "betas") != nullptr ? "betas" : "beta");
      betas != nullptr) {
    if (betas->is_list() && betas->elements().size() != 2)
      betas->fail_expected("one number or a list of two");
    for (std::size_t i = 0; i < 2; ++i) {
      const ConfigNode& element = betas->is_list() ? betas->elements()[i] : *betas;
      out.betas[i] = element.as_number();
      if (!(out.betas[i] >= 0 && out.betas[i] < 1)) element.fail_expected("a number in [0, 1)");
    }
  }
  out.weight_decay =
      number_in(*node, given(*node, "weight_decay") != nullptr ? "weight_decay" : "wd",
                out.weight_decay, 0, 1e3);
  out.eps = number_in(*node, "eps", out.eps, 0, 1);
  return out;
}

std::optional<index_t> steps_of(const ConfigNode& node, std::string_view key) {
  if (given(node, key) == nullptr) return std::nullopt;
  return size_of(node, key, 0, 0, kMaxSteps);
}

/// `fallback` has the values of the enclosing section.
std::optional<OfficialSchedule> parse_schedule(const ConfigNode& parent,
                                               OfficialSchedule fallback) {
  const ConfigNode* node = given(parent, "scheduler");
  if (node == nullptr || (node->is_map() && node->members().empty())) return std::nullopt;
  require_keys_known(*node, {"type", "base_lr", "final_lr", "warmup_steps", "warmup_epochs",
                             "warmup_from_zero", "decay_end_steps", "decay_end_epoch"});
  OfficialSchedule out = fallback;
  out.cosine = choice_of(*node, "type", "linear", {"linear", "cosine"}) == "cosine";
  out.base_lr = number_in(*node, "base_lr", fallback.base_lr, 0, kMaxRate);
  out.final_lr = number_in(*node, "final_lr",
                           given(parent, "final_lr") != nullptr ? fallback.final_lr : out.base_lr,
                           0, kMaxRate);
  out.warmup_epochs = number_in(*node, "warmup_epochs", fallback.warmup_epochs, 0, kMaxEpochs);
  out.decay_end_epoch =
      number_in(*node, "decay_end_epoch", std::max(fallback.decay_end_epoch, out.warmup_epochs), 0,
                kMaxEpochs);
  out.warmup_steps = steps_of(*node, "warmup_steps");
  out.decay_end_steps = steps_of(*node, "decay_end_steps");
  out.warmup_from_zero = node->get_or("warmup_from_zero", false);
  return out;
}

/// The keys of the official code of October 2025, which the 512 px training file of the release
/// still uses.
OfficialSchedule parse_old_schedule(const ConfigNode& node, double base_lr) {
  OfficialSchedule out;
  out.cosine = choice_of(node, "schedule_type", "linear", {"linear", "cosine"}) == "cosine";
  out.base_lr = base_lr;
  out.final_lr = number_in(node, "final_lr", base_lr, 0, kMaxRate);
  out.warmup_epochs = number_in(node, "decay_start_epoch", 0, 0, kMaxEpochs);
  out.decay_end_epoch = number_in(node, "decay_end_epoch", out.warmup_epochs, 0, kMaxEpochs);
  return out;
}

}  // namespace

OfficialTraining parse_training(const ConfigNode& node, bool stage_2, Notes& notes) {
  require_keys_known(node, {"epochs",
                            "ema_decay",
                            "global_batch_size",
                            "batch_size",
                            "grad_accum_steps",
                            "num_workers",
                            "clip_grad",
                            "log_interval",
                            "checkpoint_interval",
                            "sample_every",
                            "global_seed",
                            "cfg_scale",
                            "optimizer",
                            "scheduler",
                            "base_lr",
                            "final_lr",
                            "beta",
                            "wd",
                            "schedule_type",
                            "decay_start_epoch",
                            "log_every",
                            "ckpt_every",
                            "decay_end_epoch"});
  OfficialTraining out;
  if (!stage_2) {  // the defaults of train_stage1.py
    out.epochs = 200;
    out.ema_decay = 0.9999;
    out.sample_every = 1250;
  }
  out.epochs = size_of(node, "epochs", out.epochs, 1, kMaxEpochs);
  if (given(node, "global_batch_size") != nullptr)
    out.global_batch_size = size_of(node, "global_batch_size", 0, 1, 1 << 24);
  out.batch_size = size_of(node, "batch_size", out.batch_size, 1, 1 << 24);
  out.grad_accum_steps = size_of(node, "grad_accum_steps", out.grad_accum_steps, 1, 1 << 20);
  out.ema_decay = number_in(node, "ema_decay", out.ema_decay, 0, 1);
  out.clip_grad = number_in(node, "clip_grad", out.clip_grad, -1e9, 1e9);
  out.clip_grad = std::max(0.0, out.clip_grad);
  out.global_seed = static_cast<std::uint64_t>(
      size_of(node, "global_seed", 0, 0, std::numeric_limits<index_t>::max()));
  out.num_workers = size_of(node, "num_workers", out.num_workers, 0, 1 << 16);
  out.log_interval =
      size_of(node, "log_interval", size_of(node, "log_every", out.log_interval, 0, kMaxSteps), 0,
              kMaxSteps);
  out.checkpoint_interval =
      size_of(node, "checkpoint_interval", out.checkpoint_interval, 0, kMaxEpochs);
  (void)size_of(node, "ckpt_every", 0, 0, kMaxSteps);
  out.sample_every = size_of(node, "sample_every", out.sample_every, 0, kMaxSteps);
  if (given(node, "cfg_scale") != nullptr) out.cfg_scale = number_in(node, "cfg_scale", 1, 0, 1000);
  const double lr = number_in(node, "base_lr", out.optimizer.lr, 0, kMaxRate);
  out.optimizer = parse_optimizer(node, lr);
  const OfficialSchedule old =
      parse_old_schedule(node, given(node, "base_lr") != nullptr ? lr : out.optimizer.lr);
  out.scheduler = parse_schedule(node, old);

  std::string old_keys;
  for (const char* key : {"base_lr", "final_lr", "beta", "wd", "schedule_type", "decay_start_epoch",
                          "decay_end_epoch", "log_every", "ckpt_every"})
    if (node.contains(key)) old_keys += (old_keys.empty() ? "" : ", ") + std::string(key);
  if (!old_keys.empty() && !out.scheduler) {
    notes.push_back(concat(node.where(), ": no scheduler section and the old keys ", old_keys,
                           ": the official train.py ends with a NameError; here they are read as a "
                           "scheduler, as intended, and beta and wd, which train.py never "
                           "reads, are ignored"));
    out.scheduler = old;
  } else if (!old_keys.empty()) {
    notes.push_back(concat(node.where(), ": the old keys ", old_keys,
                           " repeat keys of the sections optimizer and scheduler, which take "
                           "precedence; beta, wd, schedule_type and ckpt_every have no effect"));
  } else if (!out.scheduler && stage_2) {
    notes.push_back(concat(node.where(),
                           ": no scheduler section: the official train.py ends with a NameError; "
                           "here the learning rate is constant"));
  }
  return out;
}

OfficialGan parse_gan(const ConfigNode& node) {
  require_keys_known(node, {"disc", "loss"});
  OfficialGan out;
  const ConfigNode& disc = node.at("disc");
  require_keys_known(disc, {"arch", "optimizer", "scheduler", "augment"});
  const ConfigNode& arch = disc.at("arch");
  require_keys_known(arch, {"dino_ckpt_path", "ks", "key_depths", "norm_type", "using_spec_norm",
                            "norm_eps", "recipe"});
  out.dino_ckpt_path = arch.get<std::string>("dino_ckpt_path");
  out.kernel_size = size_of(arch, "ks", out.kernel_size, 1, 1023);
  if (given(arch, "key_depths") != nullptr)
    out.key_depths = arch.get<std::vector<index_t>>("key_depths");
  out.norm_type = choice_of(arch, "norm_type", out.norm_type, {"bn", "gn"});
  out.using_spec_norm = arch.get_or("using_spec_norm", out.using_spec_norm);
  out.norm_eps = number_in(arch, "norm_eps", out.norm_eps, 0, 1);
  out.recipe = choice_of(arch, "recipe", out.recipe, {"S_8", "S_16", "B_16"});
  out.optimizer = parse_optimizer(disc, out.optimizer.lr);
  out.scheduler = parse_schedule(
      disc, OfficialSchedule{.base_lr = out.optimizer.lr, .final_lr = out.optimizer.lr});
  if (const ConfigNode* augment = given(disc, "augment"); augment != nullptr) {
    require_keys_known(*augment, {"prob", "cutout"});
    out.augment_prob = number_in(*augment, "prob", out.augment_prob, 0, 1);
    out.augment_cutout = number_in(*augment, "cutout", out.augment_cutout, 0, 1);
  }
  if (const ConfigNode* loss = given(node, "loss"); loss != nullptr) {
    require_keys_known(*loss,
                       {"disc_loss", "gen_loss", "disc_weight", "perceptual_weight", "disc_start",
                        "disc_upd_start", "lpips_start", "max_d_weight", "disc_updates"});
    out.disc_loss = choice_of(*loss, "disc_loss", out.disc_loss, {"hinge", "vanilla"});
    out.gen_loss = choice_of(*loss, "gen_loss", out.gen_loss, {"vanilla"});
    out.disc_weight = number_in(*loss, "disc_weight", 0, 0, 1e9);
    out.perceptual_weight = number_in(*loss, "perceptual_weight", 0, 0, 1e9);
    out.disc_start = size_of(*loss, "disc_start", 0, 0, kMaxEpochs);
    out.disc_upd_start = size_of(*loss, "disc_upd_start", out.disc_start, 0, kMaxEpochs);
    out.lpips_start = size_of(*loss, "lpips_start", 0, 0, kMaxEpochs);
    out.max_d_weight = number_in(*loss, "max_d_weight", out.max_d_weight, 0, 1e12);
    out.disc_updates = size_of(*loss, "disc_updates", out.disc_updates, 1, 1000);
  }
  return out;
}

OfficialEval parse_eval(const ConfigNode& node) {
  require_keys_known(node,
                     {"eval_interval", "eval_model", "data_path", "reference_npz_path", "metrics"});
  OfficialEval out;
  out.eval_interval = size_of(node, "eval_interval", out.eval_interval, 0, kMaxSteps);
  out.eval_model = node.get_or("eval_model", out.eval_model);
  out.data_path = node.get<std::string>("data_path");
  out.reference_npz_path = node.get<std::string>("reference_npz_path");
  if (const ConfigNode* metrics = given(node, "metrics"); metrics != nullptr) {
    out.metrics = metrics->as<std::vector<std::string>>();
    for (const ConfigNode& metric : metrics->elements()) {
      const std::string& name = metric.as_string();
      if (name != "rfid" && name != "psnr" && name != "ssim")
        metric.fail_expected("rfid, psnr or ssim");
    }
    if (out.metrics.empty()) metrics->fail_expected("at least one of rfid, psnr and ssim");
  }
  return out;
}

}  // namespace rae::official
