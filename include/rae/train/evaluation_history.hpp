// Quality of a model over its training: the bundles that a run has kept (`Recipe::keep_every`),
// each evaluated with the same classifier and the same noise.
//
// Curves of distance over training steps, as in section 4 of the paper, in the measures of
// evaluation.hpp.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "rae/io/svg_plot.hpp"
#include "rae/train/evaluation.hpp"

namespace rae {

/// A bundle that a run has kept.
struct KeptBundle {
  index_t step = 0;  ///< of stage 2
  std::string path;  ///< of the file
};

/// The files `run`/history/step-NUMBER.safetensors, ascending by step. Throws FileError when there
/// are none.
[[nodiscard]] std::vector<KeptBundle> kept_bundles(const std::string& run);

/// The evaluation of a bundle that a run has kept.
struct HistoryPoint {
  index_t step = 0;   ///< of stage 2
  ConfigNode report;  ///< as `to_config(EvaluationReport)`
};

/// Evaluates the samples of bundles, one after the other, without reconstruction, neighbours and
/// probes. In `options.folder` it leaves history.json, history.csv and history.svg, which are
/// written after each bundle, and classifier.safetensors. Bundles whose file, data and options are
/// those of history.json are not evaluated again. With several ranks, the result is complete on
/// rank 0. Throws ArgumentError without bundles or samples, or for `options.layer_types`; else as
/// `evaluate`.
[[nodiscard]] std::vector<HistoryPoint> evaluate_history(std::span<const KeptBundle> bundles,
                                                         OwnedPointer<const ImageDataset> train,
                                                         OwnedPointer<const ImageDataset> test,
                                                         const EvaluationOptions& options);

/// One line for each point, with a heading; fields that the reports lack are empty.
[[nodiscard]] std::string history_csv(std::span<const HistoryPoint> points);

/// Distance and class consistency over the steps, with those of real pictures as dashed lines: the
/// distance is that of as many training pictures as there are samples without guidance.
[[nodiscard]] Plot history_plot(std::span<const HistoryPoint> points);

}  // namespace rae
