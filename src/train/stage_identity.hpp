// What a stage of a recipe depends on, as its checkpoint stores it, and the comparison with what it
// depends on now.
#pragma once

#include <string>

#include "rae/io/data_manifest.hpp"
#include "rae/train/recipe.hpp"

namespace rae::detail {

/// Checksums of the networks that a stage uses; empty where it uses none.
struct StageInputs {
  std::string encoder;     ///< the result of the stage encoder
  std::string statistics;  ///< the result of the stage statistics
  std::string initial;     ///< the network of another model from which the stage starts
};

/// Everything that the result of a stage depends on: its part of `model`, its own section without
/// choices that change no number, the data, and the results of earlier stages. Class names belong
/// to the data only where the stage uses them. Of data sets with more than 10,000 classes only
/// checksums are stored.
[[nodiscard]] ConfigNode stage_settings(const Recipe& recipe, TrainingStage stage,
                                        const DataManifest& data, const StageInputs& inputs);

/// Everything that the latents of the pictures depend on before their normalisation. `encoder` is
/// the checksum of the network.
[[nodiscard]] std::string latents_identity(const Recipe& recipe, const DataManifest& data,
                                           const std::string& encoder);

/// The number of pictures that were held out, by the settings of a checkpoint or record.
[[nodiscard]] index_t pictures_held_out(const ConfigNode& settings);

/// The same for stages.json: of the data only checksums.
[[nodiscard]] ConfigNode settings_of_record(ConfigNode settings);

/// The inputs as `stage_settings` stores them.
[[nodiscard]] ConfigNode to_config(const StageInputs& inputs);
/// The name of the first of `now` that `saved` has with another checksum or not at all; empty when
/// there is none, or when `saved` is null because they are not known.
[[nodiscard]] std::string changed_input(const ConfigNode& saved, const ConfigNode& now);

/// A change of the data with which a stage was continued, kept in its settings.
void add_accepted_change(ConfigNode& settings, const std::string& change);
/// Copies the accepted changes of other settings of the stage.
void keep_accepted_changes(ConfigNode& settings, const ConfigNode& saved);
/// All of them in words, "; " between them; empty when there are none.
[[nodiscard]] std::string accepted_changes(const ConfigNode& settings);

/// How the settings of a checkpoint differ from those of now.
struct StageComparison {
  std::string inputs{};       ///< the earlier result that is another now; empty: none
  std::string settings{};     ///< the first setting that differs; empty: none
  std::string data{};         ///< the differences of the data in words; empty: none
  bool same_reading = true;   ///< false: classes were renamed, or pictures are read in another way
  bool data_is_known = true;  ///< false: an earlier version stored only the number of pictures
};

/// Compares the settings of the same stage. Those of checkpoints of earlier versions have the whole
/// `model`, of which only the stage's part counts, and the number of pictures. Throws ConfigError
/// for settings that are damaged.
[[nodiscard]] StageComparison compare_stage(TrainingStage stage, const ConfigNode& saved,
                                            const ConfigNode& now);

}  // namespace rae::detail
