// --preview of `rae generate`: the denoised estimates of the pictures, written while they are
// sampled.
#pragma once

#include <string>

#include "tool/model.hpp"

namespace rae::tool {

/// The values of --preview and --preview-interval.
struct PreviewChoice {
  std::string file;      ///< a PNG that is replaced, or empty
  index_t interval = 5;  ///< steps from one preview to the next
};

/// Adds the options.
void add_preview_options(CLI::App& command, PreviewChoice& choice);

/// Declares the file as an output. Throws UsageError with several ranks.
void declare_preview(CommandFiles& files, PreviewChoice& choice, int ranks);

/// A callback that writes a preview of the batch. The generator must keep its networks loaded and
/// live longer. Throws FileError.
[[nodiscard]] Function<bool(const StepInfo&)> previewing(const PreviewChoice& choice,
                                                         const Generator& generator);

}  // namespace rae::tool
