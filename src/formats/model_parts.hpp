// What a writer of models needs of one that is still in files: its parts, and their values one
// parameter at a time.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "rae/nn/outline.hpp"
#include "rae/spec/model_files.hpp"

namespace rae::detail {

/// One part of a model: where it is and what it has.
struct ModelPart {
  std::string prefix;  // in a bundle: "encoder.", "decoder.", "dit.", "guide."
  const PartFile* file;
  std::vector<ParameterShape> parameters;
  std::function<DType(DType wanted, std::string_view name)> weight_type;  // of weight_types.hpp
};

/// The parts that the files have. Throws ArgumentError for packed files, FormatError when a tensor
/// is missing, ShapeError.
[[nodiscard]] std::vector<ModelPart> parts_of(const ModelFiles& files);

/// The value of one parameter, whose pieces in the file are its rows. Throws FormatError for NaN
/// and infinity, ArgumentError for a number that `stored_as` cannot hold, ShapeError.
[[nodiscard]] Tensor<float> read_parameter(const ModelPart& part, const ParameterShape& parameter,
                                           DType stored_as);

/// Throws ArgumentError unless weights can be stored as this type.
void require_float(DType type);

/// The statistics for readers that add 1e-5 to the variance, as bundles and the official code do.
/// Throws FormatError where none would do.
[[nodiscard]] LatentNorm<float> with_official_eps(const LatentNorm<float>& norm,
                                                  const std::string& origin);

}  // namespace rae::detail
