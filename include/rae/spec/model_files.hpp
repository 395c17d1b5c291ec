// A model as files: its configuration, and where the weights of each part are when they are wanted,
// so that nothing is read before it is used and nothing is held twice.
#pragma once

#include <optional>
#include <string>

#include "rae/io/tensor_source.hpp"
#include "rae/models/name_map.hpp"
#include "rae/spec/model_config.hpp"

namespace rae {

/// The weights of one part.
struct PartFile {
  TensorSource tensors;  ///< all tensors of the part, and maybe others
  NameMap names{};  ///< from the name of our parameter to names in `tensors`; empty when they are
                    ///< the same
};

/// A model whose weights have not been read.
struct ModelFiles {
  ModelConfig config;               ///< everything that is not a weight
  std::optional<PartFile> encoder;  ///< absent parts cannot be used
  std::optional<PartFile> decoder;  ///< see `encoder`
  std::optional<PartFile> dit;      ///< of `config.dit` or `config.lightning_dit`
  std::optional<PartFile> guide;    ///< of `config.guide`
  LatentNorm<float> latent_norm;    ///< statistics of the latents; read, since they are small
  std::optional<DType> packed{};  ///< matrices lie in the files as the kernels read them, for this
                                  ///< `LoadOptions::dtype`
  std::string origin = "model";   ///< where it came from, for messages

  /// A bundle (see bundle.hpp). Names, numbers of elements and configuration are checked, and only
  /// the statistics are read. Throws FileError, FormatError, ConfigError, ShapeError.
  [[nodiscard]] static ModelFiles open(const std::string& path);
};

/// How the weights of a model come into memory.
struct LoadOptions {
  /// True loads all parts at once and keeps them. False loads a part when it is used first, and
  /// lets go of the others then: of encoder and decoder before the diffusion transformer is loaded,
  /// and the reverse. So the memory of the largest is enough, but a program that goes to and fro
  /// reads the files again each time.
  bool keep_loaded = true;
  /// What matrix products compute with: DType::f32, or for speed and less memory DType::bf16 or
  /// DType::int8, or for less memory alone DType::int8w or DType::int4, with the exceptions of
  /// weight_types.hpp. Tensors are converted one by one as they are read. None: f32, or what the
  /// files are packed for.
  std::optional<DType> dtype{};
  /// Bytes that weights may take; 0 asks the system how many it has to give. A model that needs
  /// more is refused with MemoryError before anything is read.
  std::uint64_t available_memory = 0;
};

}  // namespace rae
