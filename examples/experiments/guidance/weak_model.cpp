#include "guidance/weak_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "rae/models/dit_dh.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/train/flow_trainer.hpp"

namespace rae::experiments {
namespace {

/// The same kind of network with a third of the blocks; other kinds than the built-in ones have
/// all.
Backbone shallower(Backbone network) {
  const auto third = [](index_t& depth) { depth = std::max<index_t>(1, depth / 3); };
  if (auto* dit = network.get_if<DitDhConfig>()) {
    third(dit->depth[0]);
    dit->depth[1] = 1;
  }
  if (auto* dit = network.get_if<LightningDitConfig>()) third(dit->depth);
  return network;
}

bool same(const Tensor<float>& a, const Tensor<float>& b) {
  return a.shape() == b.shape() && std::equal(a.span().begin(), a.span().end(), b.span().begin());
}

void require_same_latents(const Bundle& model, const Bundle& weak) {
  const ModelConfig &a = model.config, &b = weak.config;
  if (!b.dit) raise<ConfigError>(weak.origin, ": has no diffusion network");
  const LatentNorm<float> mine = model.latent_norm(), other = weak.latent_norm();
  if (!(a.dit->latent_shape() == b.dit->latent_shape()) || !same(mine.mean, other.mean) ||
      !same(mine.var, other.var))
    raise<ConfigError>(weak.origin, ": its latents are not those of ", model.origin,
                       "; a weak model needs the same encoder and the same statistics");
  if (a.num_classes() != b.num_classes() || a.path != b.path || a.prediction != b.prediction)
    raise<ConfigError>(weak.origin, ": has other classes, another path or another prediction than ",
                       model.origin);
}

Bundle train_weak(const FinishedModel& model, const WeakPlan& plan) {
  const Bundle& strong = model.bundle;
  Bundle out;
  out.config = strong.config;
  out.config.name += "-weak";
  out.config.decoder.reset();
  out.config.guide.reset();
  out.config.sampling.autoguidance.reset();
  out.config.dit = shallower(*strong.config.dit);
  out.store_latent_norm(strong.latent_norm());
  FlowOptions flow;
  flow.objective.path = strong.config.path;
  flow.objective.prediction = strong.config.prediction;
  flow.time_shift = strong.config.time_shift;
  const TrainingOptions training{.steps = plan.steps,
                                 .batch_size = plan.batch,
                                 .lr = 1e-3,
                                 .final_lr = 1e-4,
                                 .warmup_steps = plan.steps / 15,
                                 .ema_decay = 0.99,
                                 .log_every = std::max<index_t>(1, plan.steps / 5)};
  TrainingContext context{.stage = "weak model"};
  context.on_progress = [](const TrainingProgress& now) {
    if (now.eta_seconds > 10)
      std::printf("weak model: step %lld of %lld, %.0f s left\n", static_cast<long long>(now.step),
                  static_cast<long long>(now.steps), std::ceil(now.eta_seconds));
    std::fflush(stdout);
    return true;
  };
  const auto network = train_flow(model.train, strong.autoencoder(), *out.config.dit, flow,
                                  training, std::move(context));
  out.store("dit.", *network);
  return out;
}

/// The weak model in OUT/weak.safetensors, which is trained when it is missing or another one.
Bundle cached_weak(const Options& options, const FinishedModel& model, const WeakPlan& plan) {
  constexpr const char* kKey = "weak_model_of";
  const std::string path = options.out + "/weak.safetensors",
                    wanted =
                        ConfigNode::map({{"model", model.identity},
                                         {"pictures", concat(model.train->manifest().checksum())},
                                         {"steps", plan.steps},
                                         {"batch", plan.batch}})
                            .to_json();
  if (std::filesystem::exists(path)) {
    Bundle kept = Bundle::load(path);
    if (const auto note = kept.notes.find(kKey); note != kept.notes.end() && note->second == wanted)
      return kept;
  }
  Bundle out = train_weak(model, plan);
  out.notes[kKey] = wanted;
  std::filesystem::create_directories(options.out);
  out.save(path);
  out.origin = path;
  return out;
}

}  // namespace

Bundle with_guide(const Options& options, const FinishedModel& model, const WeakPlan& plan) {
  const Bundle weak =
      options.weak.empty() ? cached_weak(options, model, plan) : Bundle::load(options.weak);
  require_same_latents(model.bundle, weak);
  Bundle out = model.bundle;
  out.remove("guide.");
  out.config.guide = weak.config.dit;
  constexpr std::string_view kFrom = "dit.";
  for (const auto& [name, tensor] : weak.tensors)
    if (name.starts_with(kFrom)) out.tensors.emplace("guide." + name.substr(kFrom.size()), tensor);
  return out;
}

}  // namespace rae::experiments
