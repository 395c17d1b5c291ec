// Checks by names and shapes whether the tensors of official files are those that a configuration
// describes.
#pragma once

#include <string>

#include "rae/formats/model_files.hpp"

namespace rae::official {

/// Throws ShapeError or FormatError, naming the tensor and the key of the configuration that
/// disagree, unless the tensors are those of this network, a decoder or a diffusion network.
/// `where` is the place in the configuration. As in the official strict loading, the file of a
/// diffusion network must not have other tensors; the file of a decoder may.
void require_weights(const TensorGroup& group, const std::string& where, const ModelConfig& config,
                     NetworkRole role);

}  // namespace rae::official
