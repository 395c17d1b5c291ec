// Sizes of models from their configurations, without making them: what a file must hold before
// memory is taken for it.
#pragma once

#include "rae/models/decoder.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/encoder.hpp"
#include "rae/models/lightning_dit.hpp"

namespace rae {

/// Number of elements of all parameters of an encoder.
[[nodiscard]] index_t parameter_count(const EncoderConfig& config);
/// The same for a decoder.
[[nodiscard]] index_t parameter_count(const DecoderConfig& config);
/// The same for a DiT^DH.
[[nodiscard]] index_t parameter_count(const DitDhConfig& config);
/// The same for a LightningDiT.
[[nodiscard]] index_t parameter_count(const LightningDitConfig& config);

}  // namespace rae
