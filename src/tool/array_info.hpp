// The output of `rae info` for arrays: latents, statistics of latents, and pictures, with shape,
// range and mean.
#pragma once

#include <string>

#include "rae/io/safetensors.hpp"

namespace rae::tool {

/// Prints a safetensors file whose tensors are latents, pixels or statistics of latents, as this
/// program writes them, and returns true; returns false for any other file.
[[nodiscard]] bool print_known_arrays(const SafetensorsFile& file);

/// Prints an .npz archive. Throws FileError, FormatError.
void print_npz(const std::string& path);

/// Prints an .npy file. Throws FileError, FormatError.
void print_npy(const std::string& path);

}  // namespace rae::tool
