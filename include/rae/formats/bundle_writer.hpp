// Models from one form of files into another: into a bundle, and back to the names of the official
// code. Weights pass through memory one parameter at a time.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rae/formats/model_files.hpp"

namespace rae {

/// Writes a bundle (see bundle.hpp) of the networks that `files` has; matrices are stored as
/// `stored_as`, vectors and the statistics of the latents as f32. `notes` become metadata; the keys
/// "config" and "packed" are taken. Throws ConfigError, FormatError for a missing tensor, NaN or
/// infinity, ShapeError, ArgumentError for packed files, for a number that the type cannot hold
/// (f16 ends at 65504) and for a type that holds no real numbers, FileError. A failure leaves no
/// file.
void save_bundle(const ModelFiles& files, const std::string& path, DType stored_as = DType::f32,
                 const std::map<std::string, std::string>& notes = {});

/// Writes the same for `LoadOptions::dtype` = `dtype` and the kernels in use (see isa.hpp):
/// matrices are stored as products read them, so that loading maps the file and converts
/// nothing. Such a bundle serves machines with the same kernels, only to be loaded as `dtype`; it
/// cannot be trained or converted, and must not change while a model that was loaded from it lives.
/// Throws as `save_bundle`.
void save_packed_bundle(const ModelFiles& files, const std::string& path, DType dtype,
                        const std::map<std::string, std::string>& notes = {});

/// The result of `save_official`.
struct OfficialFiles {
  std::vector<std::string> written{};  ///< paths
  std::vector<std::string> notes{};    ///< properties of this model that the files lack
};

/// Writes a model as the official code has it, into a folder that is made if it is missing:
/// - `encoder/`, a folder of Hugging Face (config.json, preprocessor_config.json,
/// model.safetensors);
/// - state dicts that torch.load reads and the official classes accept: `decoder/model.pt` (and
/// config.json), `dit/stage2_model.pt`,
///   `guide/stage2_model.pt` (with the tables of rotary angles that belong to the official state
///   dict), and `stats/stat.pt` (`mean`, `var`);
/// - `config.yaml`, with paths relative to the folder, from which `open_official` reads the model
/// again.
///
/// Official files cannot describe gray pictures, pictures that are not square, networks that
/// predict the data, and diffusion networks other than DiT^DH and LightningDiT: such a model gets
/// the weights that can be written and a note, but no config.yaml. Throws as `save_bundle`, and
/// ArgumentError when there is nothing to write.
OfficialFiles save_official(const ModelFiles& files, const std::string& folder,
                            DType stored_as = DType::f32);

}  // namespace rae
