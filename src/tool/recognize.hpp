// What weights are those of, told by names and shapes of the tensors alone.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "rae/io/tensor_source.hpp"

namespace rae::tool {

/// A model that was recognised.
struct Recognized {
  std::string what;  // "DiT^DH, DiTDH-XL for 256 x 256 pictures"
  std::vector<std::pair<std::string, std::string>> facts;  // sizes and options, for people
};

/// The model of these weights, without the wrappers of a training checkpoint; `what` is empty when
/// it is none of those that the official code has.
[[nodiscard]] Recognized recognize(const TensorSource& weights);

}  // namespace rae::tool
