// Checks by names and shapes whether a file has the tensors of a network.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rae/formats/model_files.hpp"

namespace rae::detail {

/// The names in the file of one parameter; several if it is stored in pieces.
[[nodiscard]] std::vector<std::string> names_in_file(const TensorGroup& group,
                                                     const std::string& name);

/// The shape of one piece of a parameter that is stored as `pieces` tensors with equal numbers of
/// rows.
[[nodiscard]] Shape piece_of(const Shape& parameter, std::size_t pieces);

/// True when a tensor of the shape `stored` can be read as a parameter of the shape `ours`. Extents
/// of 1 are ignored, and the weight of a convolution (N, C, P, P) is the matrix (N, C P P).
[[nodiscard]] bool fits(const Shape& stored, const Shape& ours);

/// True when there is a tensor of this name. Throws FormatError, with the reason, when there is one
/// that cannot be read, so that it is not mistaken for an absent one.
[[nodiscard]] bool has_tensor(const TensorSource& tensors, std::string_view name);

/// The reason why a file does not have a tensor, to follow its name in a message: " is missing",
/// with the nearest name, or " cannot be read: it ...".
[[nodiscard]] std::string why_missing(const TensorSource& tensors, std::string_view name);

/// Throws FormatError unless the file has all tensors of these parameters with shapes that fit.
/// Reads no tensor.
void require_group(const TensorGroup& group, const std::vector<ParameterShape>& parameters);

/// The prefix of the names of the only encoder of this family in a file, for example "" or "vit.".
/// Throws FormatError when there is none or more than one.
[[nodiscard]] std::string encoder_prefix(const TensorSource& tensors, EncoderFamily family);

}  // namespace rae::detail
