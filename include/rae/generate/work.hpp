// Counts the evaluations of networks in a sampling run.
#pragma once

#include "rae/core/shape.hpp"

namespace rae {

/// The evaluations of one network. Each pair of an image and a label counts as one.
struct SamplingWork {
  index_t evaluations = 0;    ///< evaluations of the network
  index_t backbones = 0;      ///< those that evaluated its backbone as well: all of them
                              ///< without `reuse_error`
  index_t conditionings = 0;  ///< pairs of time and label whose conditioning was computed
};

/// The evaluations of a model and, with autoguidance, of its guide.
struct SamplingReport {
  SamplingWork model;  ///< of the model itself
  SamplingWork guide;  ///< of the guide
};

}  // namespace rae
