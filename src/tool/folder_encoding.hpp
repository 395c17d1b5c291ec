// Many pictures to latents, or to latents and back. A run that was interrupted continues.
#pragma once

#include <string>

#include "rae/io/image.hpp"
#include "tool/model.hpp"

namespace rae::tool {

/// Pictures that `rae encode` and `rae reconstruct` take together.
struct FolderEncoding {
  std::string in;   ///< a folder or .npz archive, see PictureSet
  std::string out;  ///< the file to write
  std::string
      originals{};       ///< of `reconstruct`: the pictures before, as another .npz; may be empty
  index_t batch = 16;    ///< pictures that are encoded together
  index_t per_file = 0;  ///< of `encode`: latents in a file; 0: as many as fit into 256 MiB
  ImageOptions image{};  ///< how the pictures are opened
};

/// True for a path that names several pictures: a folder or an .npz archive.
[[nodiscard]] bool is_picture_set(const std::string& path);

/// Reconstructs each picture's central square and writes arr_0 (N, H, W, channels) of uint8, in the
/// order of the names. Returns a summary for the terminal. Throws Cancelled on Ctrl-C and the
/// errors of NpzStream; the same call then continues.
[[nodiscard]] std::string reconstruct_pictures(const ModelChoice& model,
                                               const FolderEncoding& options);

/// Encodes each picture's central square and writes the tensor "latent" (N, C, h, w), f32, with the
/// names of the pictures as metadata. If one file is not enough, it writes
/// NAME-00001-of-00004.safetensors and so on, and then NAME.safetensors.index.json, which says
/// how many latents each has. Files that are complete and belong to the same model and pictures are
/// kept. Returns a summary for the terminal. Throws Cancelled on Ctrl-C; ConfigError for files of
/// other models or pictures; FileError.
[[nodiscard]] std::string encode_pictures(const ModelChoice& model, const FolderEncoding& options);

}  // namespace rae::tool
