// A model as files: its configuration, and the place of the weights of each network, so that no
// weight is read before it is needed or is in memory twice.
#pragma once

#include <optional>
#include <string>

#include "rae/io/tensor_source.hpp"
#include "rae/models/latent_norm.hpp"
#include "rae/models/name_map.hpp"
#include "rae/spec/layer_types.hpp"
#include "rae/spec/model_config.hpp"
#include "rae/spec/network_role.hpp"

namespace rae {

/// The tensors of one network in a file.
struct TensorGroup {
  TensorSource tensors;  ///< all tensors of the network, and possibly others
  NameMap names{};  ///< from the name of a parameter to its names in `tensors`; empty when they
                    ///< are the same
};

/// A model whose weights have not been read.
struct ModelFiles {
  ModelConfig config;                  ///< everything except the weights
  std::optional<TensorGroup> encoder;  ///< an absent network cannot be used
  std::optional<TensorGroup> decoder;  ///< see `encoder`
  std::optional<TensorGroup> dit;      ///< of `config.dit`
  std::optional<TensorGroup> guide;    ///< of `config.guide`
  LatentNorm<float> latent_norm;       ///< statistics of the latents; read, since they are small
  std::optional<DType> packed{};       ///< matrices are in the layout of the kernels, for this
                                       ///< `LoadOptions::dtype`
  LayerTypes layer_types{};            ///< of a packed model with a type for each matrix; `packed`
                                       ///< is then the narrowest of them
  std::string origin = "model";        ///< where it came from, for messages

  /// The tensors of the network of this role.
  [[nodiscard]] std::optional<TensorGroup>& network(NetworkRole role);
  /// See above.
  [[nodiscard]] const std::optional<TensorGroup>& network(NetworkRole role) const;

  /// A bundle (see bundle.hpp). Names, numbers of elements and configuration are checked, and only
  /// the statistics are read, and matrices that are stored as 8-bit integers. Throws FileError,
  /// FormatError, ConfigError, ShapeError.
  [[nodiscard]] static ModelFiles open(const std::string& path);
};

}  // namespace rae
