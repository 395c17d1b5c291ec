// A network of a model that is still in files, for those who write models: its parameters, and
// their values one at a time.
#pragma once

#include <string>
#include <vector>

#include "rae/formats/model_files.hpp"

namespace rae::detail {

/// One network of a model, and where its weights are.
struct StoredNetwork {
  NetworkRole role;
  const TensorGroup* group;
  NetworkOutline outline;
};

/// The networks that the files have. Throws ArgumentError for packed files, FormatError when a
/// tensor is missing, ShapeError.
[[nodiscard]] std::vector<StoredNetwork> stored_networks(const ModelFiles& files);

/// The value of one parameter, whose pieces in the file are its rows. Throws FormatError for NaN
/// and infinity, ArgumentError for a number that `stored_as` cannot hold, ShapeError.
[[nodiscard]] Tensor<float> read_parameter(const StoredNetwork& network,
                                           const ParameterShape& parameter, DType stored_as);

/// Throws ArgumentError unless weights can be stored as this type.
void require_float(DType type);

/// The statistics for readers that add 1e-5 to the variance, as bundles and the official code do.
/// Throws FormatError when there are none that do the same.
[[nodiscard]] LatentNorm<float> with_official_eps(const LatentNorm<float>& norm,
                                                  const std::string& origin);

}  // namespace rae::detail
