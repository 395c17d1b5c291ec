// A model of the official release, from the files that its YAML configuration names. Source:
// instantiate_from_config and RAE.__init__ of the official repository (bytetriper/RAE).
#pragma once

#include <optional>
#include <string>

#include "rae/formats/model_files.hpp"
#include "rae/formats/official/config.hpp"

namespace rae {

/// Where to look for the files of an official model, and which of them are wanted. The others may
/// be absent.
struct OfficialOptions {
  std::string models_dir{};  ///< folder of downloaded models, see `open_official`; empty: "models"
                             ///< beside the configuration
  bool encoder = true;       ///< the encoder's weights, not only its description
  bool decoder = true;       ///< the decoder's weights
  bool dit = true;           ///< the diffusion network's weights
  std::optional<bool>
      guide{};                 ///< the guide's weights; absent: when the configuration guides by it
  bool discriminator = false;  ///< the backbone of the discriminator that trains the decoder, which
                               ///< is only looked for
};

/// Finds the files that an official configuration names, and checks that they fit it and each
/// other; the statistics are read, of all other weights only names and shapes. Networks for
/// which the configuration names no weights are absent.
///
/// A relative path is tried below the configuration's folder and each folder above it, the working
/// directory, and the folder of models (also without a leading "models/"). An id of Hugging Face
/// may also be there in the layout of Hugging Face's cache, and is looked for in the user's own
/// cache last. The folder of models is made by `hf download nyu-visionx/RAE-collections --local-dir
/// DIR`.
///
/// Throws FileError with the list of all that is missing and the commands that download it;
/// ConfigError, FormatError or ShapeError for files that do not fit, with the key of the
/// configuration.
[[nodiscard]] ModelFiles open_official(const OfficialConfig& config,
                                       const OfficialOptions& options = {});

/// The same for a file that is not loaded yet. Its `notes` are lost.
[[nodiscard]] ModelFiles open_official(const std::string& path,
                                       const OfficialOptions& options = {});

/// The file of `gan.disc.arch.dino_ckpt_path`, looked for as the others. Throws FileError,
/// ConfigError without a section `gan`.
[[nodiscard]] std::string find_official_discriminator(const OfficialConfig& config,
                                                      const std::string& models_dir = {});

}  // namespace rae
