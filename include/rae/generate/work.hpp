// How much of its networks a sampling run computed.
#pragma once

#include "rae/core/shape.hpp"

namespace rae {

/// How much of one network was computed. Each image counts once for every label that it was
/// evaluated with at a time.
struct SamplingWork {
  index_t evaluations = 0;    ///< of the network
  index_t backbones = 0;      ///< of those, the ones that evaluated its backbone: all of them
                              ///< without `reuse_error`
  index_t conditionings = 0;  ///< pairs of time and label that modulations were computed for
};

/// The same for a model and, with autoguidance, for its guide.
struct SamplingReport {
  SamplingWork model;  ///< of the model itself
  SamplingWork guide;  ///< of the guide
};

}  // namespace rae
