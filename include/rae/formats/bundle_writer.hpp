// Writes the files of a model: a bundle, or files that the official code reads. One parameter at a
// time is in memory.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rae/formats/model_files.hpp"

namespace rae {

/// How a bundle stores the matrices of its networks: as floats, or as int8w, with 8-bit integers in
/// groups of 32 with one scale each for those that LoadOptions::dtype = int8w narrows
/// (weight_types.hpp), bf16 for the other matrices and f32 for tables.
struct StoredTypes {
  DType dtype = DType::f32;    ///< of all networks
  std::optional<DType> dit{};  ///< of the diffusion network and its guide; absent: `dtype`
};

/// Writes a bundle (see bundle.hpp) of the networks that `files` has; matrices are stored as
/// `stored_as`, vectors and the statistics of the latents as f32. `notes` become metadata; the keys
/// "config" and "packed" are taken. Throws ConfigError, FormatError for a missing tensor, NaN or
/// infinity, ShapeError, ArgumentError for packed files, for a value that is too large for the type
/// (the limit of f16 is 65504) and for a type that is not a float type, FileError. A failure leaves
/// no file.
void save_bundle(const ModelFiles& files, const std::string& path, DType stored_as = DType::f32,
                 const std::map<std::string, std::string>& notes = {});

/// The same with a type for the diffusion networks of its own, or with int8w. The file is read as
/// any other bundle, with all options, and converted back without further rounding. Throws as the
/// function above.
void save_bundle(const ModelFiles& files, const std::string& path, const StoredTypes& types,
                 const std::map<std::string, std::string>& notes = {});

/// Writes a packed bundle for `LoadOptions::dtype` = `dtype` and the kernels in use (see isa.hpp):
/// matrices are stored in the layout of the kernels, so that loading maps the file and converts
/// nothing. Such a bundle can be loaded only as `dtype` and on machines with the same kernels. It
/// cannot be trained or converted, and the file must not change while a model that was loaded from
/// it lives. Throws as `save_bundle`.
void save_packed_bundle(const ModelFiles& files, const std::string& path, DType dtype,
                        const std::map<std::string, std::string>& notes = {});

/// The same with a type for each matrix: `types` has all matrices of the networks that `files` has.
/// The bundle is loaded with these types; LoadOptions::dtype must be absent. Throws as the function
/// above, and ConfigError, naming the matrix, when one has no type.
void save_packed_bundle(const ModelFiles& files, const std::string& path, const LayerTypes& types,
                        const std::map<std::string, std::string>& notes = {});

/// The bytes of the file that this function writes. Reads no weights. Throws as it does.
[[nodiscard]] std::uint64_t packed_bundle_bytes(
    const ModelFiles& files, const LayerTypes& types,
    const std::map<std::string, std::string>& notes = {});

/// A matrix of a model in a packed bundle.
struct PackableLayer {
  std::string name;            ///< as in a bundle: "dit.blocks.0.attn.qkv.weight"
  NetworkRole role{};          ///< its network
  ParameterShape parameter{};  ///< its name in the network, its shape (N, K) and its use
  /// Its bytes in a packed bundle for the kernels in use, in the order of kWeightTypes.
  std::vector<std::uint64_t> bytes{};
};

/// All matrices that a packed bundle of these files has. Throws ArgumentError for packed files,
/// FormatError when a tensor is missing, ShapeError.
[[nodiscard]] std::vector<PackableLayer> packable_layers(const ModelFiles& files);

/// The result of `save_official`.
struct OfficialFiles {
  std::vector<std::string> written{};  ///< paths of the written files
  std::vector<std::string> notes{};    ///< properties of the model that the files cannot store
};

/// Writes the files of a model for the official code into a folder, which is created if it is
/// missing:
///
/// - `encoder/`, a folder of Hugging Face (config.json, preprocessor_config.json,
///   model.safetensors);
/// - state dicts that torch.load reads and the official classes accept: `decoder/model.pt` (with a
///   config.json beside it), `dit/stage2_model.pt` and `guide/stage2_model.pt` (with the tables of
///   rotary angles that belong to the official state dict), and `stats/stat.pt` (`mean`, `var`);
/// - `config.yaml`, with paths relative to the folder, from which `open_official` reads the model
///   again.
///
/// Official files cannot describe gray pictures, pictures that are not square, networks that
/// predict the data, and diffusion networks other than DiT^DH and LightningDiT. For such a model,
/// the weights that can be written are written, config.yaml is not, and a note says why. Throws as
/// `save_bundle`, and ArgumentError when there is nothing to write.
OfficialFiles save_official(const ModelFiles& files, const std::string& folder,
                            DType stored_as = DType::f32);

}  // namespace rae
