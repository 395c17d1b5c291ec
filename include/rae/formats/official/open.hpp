// Opens a model of the official release by its YAML configuration. Source: instantiate_from_config
// and RAE.__init__ of the official repository (bytetriper/RAE).
#pragma once

#include <optional>
#include <string>

#include "rae/formats/model_files.hpp"
#include "rae/formats/official/config.hpp"

namespace rae {

/// The folder of an official model's files, and the parts that are needed. The files of other parts
/// may be absent.
struct OfficialOptions {
  std::string models_dir{};  ///< folder of downloaded models, see `open_official`; empty: "models"
                             ///< beside the configuration
  bool encoder = true;       ///< the encoder's weights, not only its description
  bool decoder = true;       ///< the decoder's weights
  bool dit = true;           ///< the diffusion network's weights
  std::optional<bool>
      guide{};  ///< the guide's weights; absent: needed if the configuration uses autoguidance
  bool discriminator = false;  ///< the backbone of the discriminator that trains the decoder; only
                               ///< its presence is checked
};

/// Finds the files that an official configuration names, and checks that they fit it and each
/// other. The statistics are read; of all other tensors, only names and shapes are checked.
/// Networks for which the configuration names no weights are absent.
///
/// A relative path is searched for in the configuration's folder, in each folder above it, in the
/// working directory, and in the folder of models (also without a leading "models/"). An id of
/// Hugging Face may also be in the folder of models in the layout of Hugging Face's cache; the
/// user's own cache is searched last. To download the folder of models: `hf download
/// nyu-visionx/RAE-collections --local-dir DIR`.
///
/// Throws FileError with the list of all missing files and the commands that download them;
/// ConfigError, FormatError or ShapeError for files that do not fit, with the key of the
/// configuration.
[[nodiscard]] ModelFiles open_official(const OfficialConfig& config,
                                       const OfficialOptions& options = {});

/// The same for the path of a configuration, whose `notes` are dropped.
[[nodiscard]] ModelFiles open_official(const std::string& path,
                                       const OfficialOptions& options = {});

/// Path of the file `gan.disc.arch.dino_ckpt_path`, found as all others. Throws FileError when it
/// is missing, ConfigError without a section `gan`.
[[nodiscard]] std::string find_official_discriminator(const OfficialConfig& config,
                                                      const std::string& models_dir = {});

}  // namespace rae
