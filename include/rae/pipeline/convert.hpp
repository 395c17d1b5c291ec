// Models from one form of files into another: into a bundle, and back to the names of the official code. Weights pass through memory one
// parameter at a time.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rae/pipeline/model_files.hpp"

namespace rae {

/// Writes a bundle (see bundle.hpp) of the parts that `files` has; matrices are stored as `stored_as`, vectors and the statistics of the
/// latents as f32. `notes` become metadata; the key "config" is taken. Throws FormatError for a missing tensor, NaN or infinity,
/// ShapeError, ArgumentError for a number that the type cannot hold (f16 ends at 65504) and for a type that holds no real numbers,
/// FileError. A failure leaves no file.
void save_bundle(const ModelFiles& files, const std::string& path, DType stored_as = DType::f32,
                 const std::map<std::string, std::string>& notes = {});

/// Writes state dicts that torch.load reads and the official classes accept, into a folder that is made if need be: `decoder/model.pt`,
/// `dit/stage2_model.pt` and `guide/stage2_model.pt` (with the tables of rotary angles that belong to the official state dict), and
/// `stats/stat.pt` (`mean` and `var`). The encoder is not written: the official code takes it from Hugging Face. Returns the paths that
/// were written. Throws as `save_bundle`, and ArgumentError when there is nothing to write.
std::vector<std::string> save_official_weights(const ModelFiles& files, const std::string& folder, DType stored_as = DType::f32);

}  // namespace rae
