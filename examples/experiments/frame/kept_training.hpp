// Trainings on which all points of an experiment depend: they are kept in OUT, so that an
// experiment that was interrupted continues them, bit for bit, and does not repeat those that are
// finished.
#pragma once

#include "frame/options.hpp"
#include "rae/train/training_loop.hpp"

namespace rae::experiments {

/// The files of a training in OUT/STAGE, whose checkpoint is refused if it has other `settings`.
/// Prints the progress. Throws FileError.
[[nodiscard]] TrainingContext kept_training(const Options& options, const std::string& stage,
                                            const ConfigNode& settings);

/// Prints a line about each tenth of a training that takes more than ten seconds. Returns true.
bool print_tenths(const TrainingProgress& now);

/// Seconds of all cores that this process has used.
[[nodiscard]] double cpu_seconds();

}  // namespace rae::experiments
