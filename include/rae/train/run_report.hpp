// The report of a run: one HTML page that shows the logs and pictures in the folder of a recipe,
// and the same numbers as CSV.
//
// The run is that of Diffusion Transformers with Representation Autoencoders: encoder, decoder
// (section 3) and DiT^DH (section 4).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "rae/core/shape.hpp"
#include "rae/io/config.hpp"

namespace rae {

/// A stage of a run whose log is in the folder of its name.
struct ReportedStage {
  std::string name;        ///< "encoder", "decoder", "dit"
  index_t steps = 0;       ///< in all; 0: it is not trained
  index_t batch_size = 0;  ///< pictures of a step
};

/// What a report says beside the logs and pictures.
struct RunFacts {
  std::string title{};                                         ///< of the page
  std::vector<ReportedStage> stages{};                         ///< in order
  ConfigNode settings{};                                       ///< shown as JSON
  std::vector<std::pair<std::string, std::string>> details{};  ///< names and values in a table
};

/// The reports of a stage by step, from the lines of its log.jsonl: numbers of one step are merged
/// into one map, a step that was computed again after an interruption counts once, and lines
/// without a step are left out. Of a last line that is not complete nothing is used. `seconds` is
/// the time in all runs of the stage up to this step. Throws FileError; ConfigError for another
/// line that is not JSON. A missing file has no lines.
[[nodiscard]] std::vector<ConfigNode> read_training_log(const std::string& path);

/// The reports of stages as CSV: the columns "stage" and "step", then every other number in the
/// order in which it first appears; empty where a report has none.
[[nodiscard]] std::string training_log_csv(
    const std::vector<std::pair<std::string, std::vector<ConfigNode>>>& stages);

/// Writes report.html and log.csv into the folder of a run, each with AtomicFile. The page needs no
/// other file: it holds the reports (at most 2,000 of a stage) and their charts, the pictures in
/// `samples` and `reconstructions` (at most twelve of each, the last one included, at most 1,200
/// pixels wide), and the code that draws them. Throws FileError, FormatError for a damaged picture,
/// ConfigError.
void write_run_report(const std::string& folder, const RunFacts& facts);

}  // namespace rae
