#include "rae/train/quantized_run.hpp"

#include <algorithm>
#include <filesystem>

#include "rae/kernels/group_rounding.hpp"
#include "rae/train/checkpoint.hpp"
#include "train/run_folder.hpp"

namespace rae {
namespace {

/// Throws ConfigError unless the stage dit of a run has trained all steps of its recipe.
void require_finished(const Recipe& recipe, const std::string& out) {
  const detail::RunFolder folder(out, detail::RunFolder::Access::look);
  constexpr TrainingStage stage = TrainingStage::dit;
  const index_t steps = recipe.dit_training.steps,
                done = folder.has_checkpoint(stage)
                           ? read_checkpoint_info(folder.checkpoint(stage)).step
                           : 0;
  std::error_code none;
  if (done < steps || !std::filesystem::exists(folder.model(), none))
    raise<ConfigError>(out, ": the stage dit has trained ", done, " of ", steps,
                       " steps; fine-tuning for narrow weights begins with a finished network: "
                       "finish the stage first, or give a model to begin with (--init, "
                       "RecipeRun::init)");
}

/// All options of a training as the section of a recipe.
ConfigNode section_of(const TrainingOptions& options) {
  ConfigNode out = training_settings(options);
  out.set("log_every", options.log_every);
  out.set("checkpoint_every", options.checkpoint_every);
  return out;
}

}  // namespace

TrainingOptions quantized_training_defaults(TrainingOptions dit) {
  constexpr index_t kPart = 10;
  dit.steps = std::max<index_t>(1, dit.steps / kPart);
  dit.lr /= kPart;
  dit.final_lr /= kPart;
  dit.warmup_steps = dit.decay_end_step = 0;
  const double averaged = std::max(1.0, static_cast<double>(dit.steps) / kPart);
  dit.ema_decay = std::min(dit.ema_decay, 1 - 1 / averaged);
  return dit;
}

QuantizedRun quantized_run(const Recipe& recipe, const RecipeRun& run, DType stored) {
  if (!has_groups(stored))
    raise<ConfigError>("a network cannot be fine-tuned for weights of ", name_of(stored),
                       ": expected int8w or int4");
  if (!recipe.model.dit)
    raise<ConfigError>("the recipe has no dit, which could be fine-tuned for weights of ",
                       name_of(stored));
  if (run.stages != std::vector{TrainingStage::dit})
    raise<ConfigError>("fine-tuning for weights of ", name_of(stored),
                       " trains the stage dit alone; choose it (--stage dit, RecipeRun::stages)");
  if (run.init.empty() && run.ranks.is_root()) require_finished(recipe, run.out);
  QuantizedRun out{recipe, run};
  const std::filesystem::path folder = run.out;
  if (run.init.empty()) out.run.init = (folder / "model.safetensors").string();
  out.run.base = out.run.init;
  out.run.out = (folder / concat("dit-", name_of(stored))).string();
  out.recipe.flow.quantize = stored;
  out.recipe.dit_training = recipe.quantized_training;
  out.recipe.source.set_path("dit.quantize", std::string(name_of(stored)));
  out.recipe.source.set_path("dit.train", section_of(recipe.quantized_training));
  out.recipe.notes["fine_tuned_for"] = name_of(stored);
  return out;
}

}  // namespace rae
