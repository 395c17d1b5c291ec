// The loop that all trainers share: gradients, clipping, AdamW, schedule and average, with
// checkpoints, a log, a watchdog and a callback.
//
// Diffusion Transformers with Representation Autoencoders, official train.py, without its
// accumulation error (math of one large batch).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/core/owner.hpp"
#include "rae/io/config.hpp"
#include "rae/io/image_dataset.hpp"
#include "rae/train/adamw.hpp"
#include "rae/train/communicator.hpp"
#include "rae/train/lr_schedule.hpp"
#include "rae/train/second_model.hpp"

namespace rae {

/// The report of a trainer after a step.
struct TrainingProgress {
  std::string stage;             ///< "encoder", "decoder", "dit"
  index_t step = 0;              ///< finished steps
  index_t steps = 0;             ///< steps in all
  double loss = 0;               ///< mean since the last report
  double lr = 0;                 ///< learning rate of the step
  double grad_norm = 0;          ///< before clipping
  double images_per_second = 0;  ///< since the run began or was continued
  double seconds = 0;            ///< since the run began or was continued
  double eta_seconds = 0;        ///< expected time to the end
  std::map<std::string, double>
      measurements{};  ///< of the last step, where a second model is trained
};

/// Receives the progress; false stops the training after writing a checkpoint.
using OnTrainingProgress = Function<bool(const TrainingProgress&)>;

/// Numbers of a training run.
struct TrainingOptions {
  index_t steps = 0;         ///< optimiser steps
  index_t batch_size = 128;  ///< pictures of one step
  index_t accumulate =
      1;             ///< parts in which a step is computed, to save memory; divides batch_size
  double lr = 2e-4;  ///< highest learning rate
  double final_lr = 2e-5;            ///< at the end of the decay
  LrDecay decay = LrDecay::cosine;   ///< shape between the two
  index_t warmup_steps = 0;          ///< before the decay
  bool warmup_from_zero = true;      ///< a ramp; otherwise the warm-up is constant at `lr`
  index_t decay_end_step = 0;        ///< step from which the rate is `final_lr`; 0: the last
  double beta1 = 0.9, beta2 = 0.95;  ///< of AdamW
  double weight_decay = 0;           ///< decoupled
  /// GMuon: matrices are updated by Muon, whose rate and decay are the ones above, and all else by
  /// AdamW (adamw.hpp). Absent: AdamW alone. The discriminator's update is always AdamW.
  std::optional<MuonOptions> muon{};
  double max_grad_norm = 1.0;                ///< 0 does not clip
  double ema_decay = 0.999;                  ///< of the averaged weights
  std::vector<double> further_ema_decays{};  ///< of other averages that the checkpoint keeps, so
                                             ///< that one of them can be chosen later
  DType dtype = DType::f32;  ///< type of the operands of matrix products: f32 or bf16; weights,
                             ///< sums and all else stay f32
  std::uint64_t seed = 0;    ///< of everything that is drawn
  index_t log_every = 50;    ///< steps between lines of the log and calls of the callback
  index_t checkpoint_every = 1000;  ///< steps between checkpoints
};

/// Reads "steps", "batch_size", ...; "ema_decay" may be a list, whose first member is `ema_decay`.
/// "optimizer" is adamw or gmuon, which has the members "momentum" and "nesterov". Members that are
/// not there keep `fallback`'s values. Throws ConfigError.
[[nodiscard]] TrainingOptions parse_training_options(const ConfigNode& node,
                                                     TrainingOptions fallback = {});
/// The options that decide the trained weights: all but `log_every` and `checkpoint_every`.
[[nodiscard]] ConfigNode training_settings(const TrainingOptions& options);
/// Learning rate by step.
[[nodiscard]] LrSchedule schedule_of(const TrainingOptions& options);

/// The optimiser of a model with these options. `further_decays`: of averages beside that of
/// `ema_decay`.
template <class Model>
[[nodiscard]] AdamW<float> make_optimizer(Model& model, const TrainingOptions& options,
                                          const std::vector<double>& further_decays) {
  return AdamW<float>(
      model, {.beta1 = options.beta1, .beta2 = options.beta2, .weight_decay = options.weight_decay},
      options.ema_decay, further_decays, options.muon);
}
/// The same with `further_ema_decays`.
template <class Model>
[[nodiscard]] AdamW<float> make_optimizer(Model& model, const TrainingOptions& options) {
  return make_optimizer(model, options, options.further_ema_decays);
}

/// The value with which a parameter begins, given its name and the value that was drawn for it.
using InitialValue = Function<Tensor<float>(const std::string& name, const Tensor<float>& drawn)>;

/// Replaces the drawn values of a model's parameters; does nothing without `initial`.
template <class Model>
void set_initial_values(Model& model, const InitialValue& initial) {
  if (!initial) return;
  model.parameters([&](const std::string& name, Parameter<Var<float>>& p) {
    if (!p.empty()) p.set(initial(name, p.tensor()));
  });
}

/// How several ranks share a training. Each takes one contiguous part of every batch, so that the
/// pictures of a step do not depend on the number of ranks; then the gradients are added over the
/// ranks, and every rank makes the same update. Results differ from those of one rank only by the
/// rounding of these sums; the same number of ranks gives the same bits.
struct RankSharing {
  Communicator* communicator = nullptr;  ///< null: one rank
  bool shard_optimizer = false;  ///< each rank keeps only its part of the moments and averages, and
                                 ///< updates its part of the weights (Rajbhandari et al. 2020,
                                 ///< "ZeRO", stage 1); the result is the same
  bool overlap = true;  ///< sums begin while the backward pass still runs; no effect on results
  index_t bucket_bytes =
      0;  ///< least size of the buckets in which gradients are added; 0: 4 MiB, or
          ///< 128 KiB for each rank where that is more, so that messages do not become too small

  /// True with more than one rank.
  [[nodiscard]] bool several() const noexcept {
    return communicator != nullptr && communicator->size() > 1;
  }
  /// True on the only rank that reads and writes files: rank 0.
  [[nodiscard]] bool is_root() const noexcept {
    return communicator == nullptr || communicator->is_root();
  }
  /// The samples of this rank among `count`.
  [[nodiscard]] RankPart part(index_t count) const noexcept {
    return several() ? part_of(count, communicator->rank(), communicator->size())
                     : RankPart{0, count};
  }
  /// Throws ConfigError, naming the stage, unless each rank gets a picture of each part of a batch,
  /// and for Muon with `shard_optimizer`, since it needs whole matrices.
  void require_shareable(const TrainingOptions& options, std::string_view stage) const;
  /// Throws ConfigError on all ranks unless all use the kernels of one instruction set and version:
  /// others round differently, and the weights of the ranks would drift apart.
  void require_same_kernels() const;
  /// Calls `work` on rank 0 while the others wait, ten times as long as for a sum. Its error is
  /// thrown on every rank.
  void on_root(const Function<void()>& work) const;
};

/// The files of a run, and the functions that receive its progress.
struct TrainingContext {
  std::string stage = "train";  ///< name in messages
  std::string
      folder{};  ///< existing folder for checkpoint.safetensors and log.jsonl; empty: no files
  ConfigNode settings{};           ///< of the run; a checkpoint with other settings is refused
  bool replaces_settings = false;  ///< the caller has compared the settings of the checkpoint: it
                                   ///< is continued whatever they are, and written again with these
  RankSharing ranks{};             ///< only rank 0 uses `folder` and the functions
  InitialValue initial{};          ///< of parameters in a run without a checkpoint; may be empty
  OnTrainingProgress on_progress{};  ///< may be empty
  Function<bool()>
      should_stop{};  ///< asked after every step; true stops as `on_progress` does. May be empty
  OwnedPointer<const ImageDataset> held_out{};  ///< pictures that the training does not see; the
                                                ///< trainers compute their loss on some of them at
                                                ///< each checkpoint that is written. May be null
  Function<double(index_t step)>
      held_out_loss{};  ///< set by the trainers that use `held_out`: the loss after this step; its
                        ///< value is logged as "held_out_loss", and those of the averages as
                        ///< "held_out_loss_ema_0.999", ..., if there are several. May be empty
  Function<void(index_t step)>
      on_checkpoint{};  ///< at the checkpoint from which a run continues, and after each that is
                        ///< written, the last at the end; may be empty
};

/// The gradient of one part of a step must be accumulated by `loss(step, part)`'s result, the mean
/// over its pictures; with several ranks, over those of this rank.
using StepLoss = Function<Var<float>(index_t step, index_t part)>;

/// Trains until `options.steps`, from the checkpoint in the folder when there is one; a second
/// model takes its training step after each step of the first. Throws ConfigError for options out
/// of range or a checkpoint of other settings, NumericError, naming the last checkpoint, when loss
/// or gradients are no longer finite (the parameters stay those of the last good step), and
/// Cancelled, after writing a checkpoint, when the callback or a CancellationScope says so; the
/// latter is also asked within a step.
void run_training(AdamW<float>& optimizer, const TrainingOptions& options,
                  const TrainingContext& context, const StepLoss& loss,
                  SecondModel* second = nullptr);

}  // namespace rae
