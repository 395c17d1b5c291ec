// Whether the tensors of official files are those that a configuration describes, seen by names and
// shapes before anything is read.
#pragma once

#include <string>

#include "rae/formats/model_files.hpp"

namespace rae::official {

/// Throws ShapeError or FormatError, naming the tensor and the key of the configuration that
/// disagree, unless the tensors are those of this network, a decoder or a diffusion network.
/// `where` is the place in the configuration. As the official strict loading does, refuses tensors
/// that a diffusion network does not have; the file of a decoder may hold others.
void require_weights(const TensorGroup& group, const std::string& where, const ModelConfig& config,
                     NetworkRole role);

}  // namespace rae::official
