// The encoder that a recipe takes from elsewhere instead of training one.
#pragma once

#include <string>

#include "rae/formats/model_files.hpp"

namespace rae::detail {

/// An encoder whose weights are still in a file.
struct TakenEncoder {
  AnyEncoder config;
  PixelNorm pixels;
  TensorGroup tensors;
};

/// Opens `encoder.pretrained` of a recipe: a folder of Hugging Face, or a bundle that has an
/// encoder. Throws as `open_encoder_folder` and `ModelFiles::open`, FormatError for a bundle
/// without an encoder or with packed weights.
[[nodiscard]] TakenEncoder open_pretrained(const std::string& path);

}  // namespace rae::detail
