// Whether a file has the tensors of a network, decided by names and shapes alone.
#pragma once

#include <string>
#include <vector>

#include "rae/formats/model_files.hpp"

namespace rae::detail {

/// Names in the file of one of our parameters.
[[nodiscard]] std::vector<std::string> names_in_file(const TensorGroup& group,
                                                     const std::string& name);

/// The shape of each of `pieces` tensors of the same number of rows that together are a parameter.
[[nodiscard]] Shape piece_of(const Shape& parameter, std::size_t pieces);

/// True when a tensor of this shape in a file holds a parameter of shape `ours`. Extents of one do
/// not count, and the rows of a convolution with a larger kernel are the rows of our matrix.
[[nodiscard]] bool fits(const Shape& stored, const Shape& ours);

/// Throws FormatError unless the file has all tensors of these parameters, and of shapes that fit.
/// Reads none.
void require_group(const TensorGroup& group, const std::vector<ParameterShape>& parameters);

/// The prefix of all names of the only encoder of this family in a file, "" or "vit.". Throws
/// FormatError when there is none or more than one.
[[nodiscard]] std::string encoder_prefix(const TensorSource& tensors, EncoderFamily family);

}  // namespace rae::detail
