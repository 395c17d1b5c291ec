// Recognizes the network of a file of weights by the names and shapes of its tensors.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "rae/io/tensor_source.hpp"

namespace rae::tool {

/// A recognized network or set of networks.
struct Recognized {
  std::string summary;  // "DiT^DH, DiTDH-XL for 256 x 256 pictures"
  std::vector<std::pair<std::string, std::string>>
      facts;  // names and values of sizes and options, for display
};

/// Recognizes the networks of the official code. `weights` are the tensors without the wrapper of a
/// training checkpoint. `summary` is empty if the network is unknown.
[[nodiscard]] Recognized recognize(const TensorSource& weights);

}  // namespace rae::tool
