// Which results of an earlier run in the same folder a recipe may use: decided by what each stage
// depends on, before anything is computed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rae/io/data_manifest.hpp"
#include "rae/train/stage_outlook.hpp"
#include "rae/train/training_loop.hpp"
#include "train/initial_model.hpp"
#include "train/run_bundle.hpp"
#include "train/run_folder.hpp"
#include "train/stage_identity.hpp"
#include "train/stages.hpp"

namespace rae::detail {

/// The folder of a run, its bundle, and the results that are known to be those of the recipe.
class RunState {
 public:
  /// `stages`: those of this run, in order. `initial` may be null. Locks the folder, unless the
  /// state is only looked at. Throws as RunFolder and RunBundle.
  RunState(const Recipe& recipe, const RecipeRun& run, std::vector<TrainingStage> stages,
           DataManifest data, std::vector<std::string> class_names, const InitialModel* initial,
           RunFolder::Access access = RunFolder::Access::train);

  [[nodiscard]] const RunFolder& folder() const noexcept { return folder_; }
  [[nodiscard]] RunBundle& bundle() noexcept { return bundle_; }

  /// Refuses, before this stage is computed, the checkpoints of it and of later stages that are
  /// known not to fit. Throws ConfigError.
  void check_from(TrainingStage stage) const;

  /// What a run would do with a stage: a refusal is not thrown but described.
  [[nodiscard]] StageOutlook outlook(TrainingStage stage) const;

  /// Prepares the training of a stage, with or without a checkpoint: one that belongs to earlier
  /// results is set aside. `prefix` is that of the network among the parameters that are trained.
  /// Throws ConfigError when a result is missing or the checkpoint does not fit.
  [[nodiscard]] TrainingContext begin(TrainingStage stage, const std::string& prefix = "");
  /// The same for an encoder that is not trained.
  void begin_untrained_encoder();
  /// The same for the statistics; false when those of the bundle are the right ones.
  [[nodiscard]] bool begin_statistics();

  /// The identity of the latents of the bundle's encoder, see `latents_identity`.
  [[nodiscard]] std::string latents_identity() const {
    return detail::latents_identity(recipe_, data_, bundle_.checksum(TrainingStage::encoder));
  }

  /// Writes the bundle, whose result of this stage is complete, and notes to what it belongs.
  void finish(TrainingStage stage);

 private:
  /// How a stage continues.
  struct Decision {
    std::optional<ConfigNode> saved{};  ///< settings of the checkpoint; absent: there is none
    std::string stale{};                ///< the earlier result that is another now
    std::string accepted{};             ///< changes of the data with which it continues
    bool data_is_known = true;          ///< false: an earlier version wrote it
  };
  [[nodiscard]] Decision decide(TrainingStage stage, const ConfigNode& now) const;

  /// Whether the bundle has the right statistics.
  struct KnownStatistics {
    bool known = false;
    bool kept = false;  ///< although the pictures are others now
  };
  /// Adds accepted changes of the data to `settings`.
  [[nodiscard]] KnownStatistics decide_statistics(ConfigNode& settings) const;
  [[nodiscard]] std::string unknown_input(TrainingStage stage) const;
  [[nodiscard]] std::string describe_training(TrainingStage stage) const;
  [[nodiscard]] std::string describe_statistics() const;

  [[nodiscard]] std::optional<std::string> known_result(TrainingStage stage) const;
  [[nodiscard]] std::optional<StageInputs> known_inputs(TrainingStage stage,
                                                        bool with_statistics = true) const;
  [[nodiscard]] StageInputs require_inputs(TrainingStage stage) const;
  [[nodiscard]] ConfigNode settings_of(TrainingStage stage, const StageInputs& inputs) const;
  [[nodiscard]] bool is_planned(TrainingStage stage) const;
  [[nodiscard]] index_t steps_of(TrainingStage stage) const;
  void start_from_initial(TrainingStage stage, const std::string& prefix,
                          TrainingContext& context) const;
  void accept(TrainingStage stage, ConfigNode& settings, const std::string& change) const;
  void set_settings(TrainingStage stage, ConfigNode settings);
  void record_earlier_version();
  void say(const std::string& event) const;

  const Recipe& recipe_;
  const RecipeRun& run_;
  std::vector<TrainingStage> stages_;
  DataManifest data_;
  const InitialModel* initial_;
  RunFolder folder_;
  RunBundle bundle_;
  std::map<TrainingStage, std::string> results_;  // of the stages that this run has completed
  std::map<TrainingStage, ConfigNode> settings_;  // of the stages that this run has begun
};

}  // namespace rae::detail
