// Whether the tensors of official files are those that a configuration describes, seen by names and
// shapes before anything is read.
#pragma once

#include <string>

#include "rae/io/tensor_source.hpp"
#include "rae/models/decoder.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/lightning_dit.hpp"

namespace rae::official {

/// Throws ShapeError or FormatError with the tensor and the key of the configuration that disagree.
/// `where` is the place in the configuration. As the official strict loading, refuses tensors that
/// the model does not have.
void require_weights(const TensorSource& file, const std::string& where, const DitDhConfig& config);
/// The same for a LightningDiT.
void require_weights(const TensorSource& file, const std::string& where,
                     const LightningDitConfig& config);
/// The same for a decoder, whose file may hold other tensors, too.
void require_weights(const TensorSource& file, const std::string& where,
                     const DecoderConfig& config);

}  // namespace rae::official
