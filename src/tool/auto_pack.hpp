// `rae convert --pack auto`: a packed bundle with a type for each layer.
#pragma once

#include <map>
#include <string>

#include "rae/formats/model_files.hpp"
#include "tool/command.hpp"
#include "tool/command_files.hpp"
#include "tool/data_source.hpp"

namespace rae::tool {

/// The options of `--pack auto`.
struct AutoPack {
  std::string budget, max_loss;  ///< exactly one is given
  std::string data;              ///< folder of a data set for the calibration; empty: samples
  std::string classifier;        ///< classifier.safetensors of an evaluation; empty: none
  index_t calibration = 256;     ///< latents
  DataFlags data_flags{};
};

/// Adds the options to `command`; they need its option --pack.
void add_auto_pack_options(CLI::App& command, AutoPack& options);

/// Throws UsageError for options that do not fit each other; declares the files and replaces their
/// paths. `automatic`: --pack auto is given; else none of the options may be.
void declare_auto_pack(const CLI::App& command, CommandFiles& files, AutoPack& options,
                       bool automatic);

/// Measures or reads the sensitivities of the model, which are kept beside `model` (empty: not
/// kept), prints the types of all layers, and writes the bundle.
void pack_automatically(const ModelFiles& files, const std::string& model, const std::string& out,
                        const std::map<std::string, std::string>& notes, const AutoPack& options,
                        const CommandFiles& command);

}  // namespace rae::tool
