// Checkpoints of a training run: parameters, moments, average and step in one file, written whole
// or not at all.
//
// A training step is a function of (parameters, moments, average, step), so a run continued from a
// checkpoint repeats the unbroken run bit for bit.
//
// Contents: the state of AdamW (Loshchilov and Hutter 2019, algorithm 2) and the exponential moving
// average of the weights that the official train.py keeps.
#pragma once

#include <string>

#include "rae/io/config.hpp"
#include "rae/train/second_model.hpp"

namespace rae {

/// Writes the optimiser's state, and that of the second model if there is one. `settings` is what
/// the run was started with; a run with others does not continue it, except that `steps` may grow.
/// Throws FileError; the old file is then as it was.
void save_checkpoint(const std::string& path, const AdamW<float>& optimizer,
                     const ConfigNode& settings, const SecondModel* second = nullptr);

/// A checkpoint without its tensors.
struct CheckpointInfo {
  index_t step = 0;     ///< finished steps
  ConfigNode settings;  ///< as `save_checkpoint` stored them
};

/// Reads only the step and the settings. Throws FileError, and FormatError when the file is no
/// checkpoint.
[[nodiscard]] CheckpointInfo read_checkpoint_info(const std::string& path);

/// The first setting that differs and so keeps a run from being continued, "decoder.train.lr is
/// 0.1, was 0.2"; empty when there is none. `steps` may grow.
[[nodiscard]] std::string settings_difference(const ConfigNode& saved, const ConfigNode& now);

/// Restores the optimiser's state and with it the model's parameters, and those of the second
/// model. Throws FileError, FormatError, and ConfigError when the file belongs to a run with other
/// settings or to another model; nothing is changed then.
void load_checkpoint(const std::string& path, AdamW<float>& optimizer, const ConfigNode& settings,
                     SecondModel* second = nullptr);

}  // namespace rae
