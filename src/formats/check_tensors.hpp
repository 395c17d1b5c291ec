// Whether a file has the tensors of a part, told from names and shapes alone.
#pragma once

#include <string>
#include <vector>

#include "rae/nn/outline.hpp"
#include "rae/spec/model_files.hpp"

namespace rae::detail {

/// Names in the file of one of our parameters.
[[nodiscard]] std::vector<std::string> files_of(const PartFile& part, const std::string& name);

/// Throws FormatError unless the file has all tensors of these parameters, and with as many
/// elements and rows as they need. Reads none.
void require_part(const PartFile& part, const std::vector<ParameterShape>& parameters);

/// What stands in front of all names of the only encoder of this family in a file, "" or "vit.".
/// Throws FormatError when there is none or more than one.
[[nodiscard]] std::string encoder_prefix(const TensorSource& tensors, EncoderFamily family);

}  // namespace rae::detail
