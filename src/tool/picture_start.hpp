// Options of `rae generate` for pictures that begin with others: --init, --strength, --mask,
// --variations.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "tool/model.hpp"

namespace rae::tool {

/// The values of those options.
struct StartChoice {
  std::string init, mask;             ///< files, or empty
  std::string init_name, mask_name;   ///< their names, for the settings in a PNG
  std::optional<double> strength;     ///< --strength
  std::optional<index_t> variations;  ///< --variations

  /// True if pictures do not depend on classes, seeds and settings alone.
  [[nodiscard]] bool any() const { return !init.empty() || variations.has_value(); }
  /// The value of --strength, or the default for the other options.
  [[nodiscard]] double share() const;
};

/// Adds the options.
void add_start_options(CLI::App& command, StartChoice& choice);

/// Declares the files as inputs. Throws UsageError for options that do not fit together.
void declare_start(CommandFiles& files, StartChoice& choice);

/// The latents (1, C, h, w) of a picture, by the encoder of the model; of a safetensors file, which
/// may have several (B, C, h, w), as they are stored. Throws as their readers.
[[nodiscard]] Tensor<float> latents_of_file(const std::string& path, const ModelFiles& model,
                                            const LoadOptions& load);

/// Sets the beginning of sampling; the labels must be set, for variations those of the first
/// variation of each class, which are then repeated.
void set_start(const StartChoice& choice, const ModelFiles& model, const LoadOptions& load,
               const Generator& generator, GenerateOptions& options);

/// Completes the settings of a picture, or of all.
void complete_text(const StartChoice& choice, const GenerateOptions& options,
                   std::map<std::string, std::string>& text);

}  // namespace rae::tool
