// Whether a run keeps the latents of its pictures in a file, by the recipe, the data and the disk.
//
// Diffusion Transformers with Representation Autoencoders, section 4: the flow is trained on the
// latents of a frozen encoder, so that a picture has the same latent in every epoch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "rae/train/recipe.hpp"

namespace rae::detail {

/// The decision about a file of latents.
struct LatentFileChoice {
  bool used = false;   ///< false: latents are kept in memory
  std::string note{};  ///< why an automatic choice uses memory, for people; may be empty
};

/// Decides whether the file `path` is used. `free_bytes`: room on its disk, without the file itself
/// if it exists; absent: that of the disk. Throws FileError when the recipe wants a file for which
/// there is no room, ConfigError when it wants one for pictures that vary.
[[nodiscard]] LatentFileChoice choose_latent_file(const Recipe& recipe, const ImageDataset& data,
                                                  const RankSharing& ranks, const std::string& path,
                                                  std::optional<std::uint64_t> free_bytes = {});

}  // namespace rae::detail
