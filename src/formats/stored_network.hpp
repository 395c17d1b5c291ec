// The networks of a model in files, for writing it again: their parameters, and the values of one
// parameter at a time.
#pragma once

#include <string>
#include <vector>

#include "rae/formats/model_files.hpp"

namespace rae::detail {

/// One network of a model, and the place of its weights.
struct StoredNetwork {
  NetworkRole role;
  const TensorGroup* group;
  NetworkOutline outline;
};

/// The networks that the files have. Throws ArgumentError for packed files, FormatError when a
/// tensor is missing, ShapeError.
[[nodiscard]] std::vector<StoredNetwork> stored_networks(const ModelFiles& files);

/// The value of one parameter, with its own shape; pieces in the file are concatenated along the
/// rows. Throws FormatError for NaN and infinity, ArgumentError for a value that is too large for
/// `stored_as`, ShapeError.
[[nodiscard]] Tensor<float> read_parameter(const StoredNetwork& network,
                                           const ParameterShape& parameter, DType stored_as);

/// Throws ArgumentError unless the type is a float type.
void require_float(DType type);

/// Equivalent statistics for an epsilon of 1e-5, which readers of bundles and the official code add
/// to the variance. Throws FormatError when there are no such statistics.
[[nodiscard]] LatentNorm<float> with_official_eps(const LatentNorm<float>& norm,
                                                  const std::string& origin);

}  // namespace rae::detail
