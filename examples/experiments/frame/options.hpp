// The command line of an experiment, which all experiments share.
#pragma once

#include <string>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/core/shape.hpp"

namespace rae::experiments {

/// Options of the command line.
struct Options {
  std::string name{};  ///< of the experiment
  bool quick = false;  ///< a reduced version with synthetic pictures, for tests
  std::string data{};  ///< folder of pictures; empty: synthetic ones, in the reduced version only
  std::vector<std::string> models{};  ///< bundles whose encoders are used, or folders of encoders
  std::string classifier{};  ///< file of the classifier that judges pictures; empty: trained in OUT
  std::string out{};         ///< folder of the measured points and the table of results
  std::string docs{};        ///< folder of findings.md and images/findings
  index_t points = -1;       ///< stop after measuring so many points; -1: measure all
};

/// Reads [--quick] [--data DIR] [--model FILE]... [--classifier FILE] [--out DIR] [--docs DIR]
/// [--points N]. Without
/// --out it is the folder experiments/NAME, with "-quick" for the reduced version; without --docs
/// it is the folder docs in --out. Throws ArgumentError.
[[nodiscard]] Options parse_options(int argc, const char* const* argv, const std::string& name);

/// The main function of an experiment: parses the options, calls `run`, prints the message of an
/// error. Returns the exit status: 2 for wrong options.
int run_experiment(int argc, const char* const* argv, const std::string& name,
                   const Function<void(const Options&)>& run);

}  // namespace rae::experiments
