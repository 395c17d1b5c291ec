// A second model that is trained in turn with the first, as the discriminator of an adversarial
// loss is.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rae/train/adamw.hpp"

namespace rae {

/// What the training loop has to know of a second model: its turn in a step, and its state, which
/// belongs into checkpoints.
struct Opponent {
  std::string name;                   ///< of its part of a checkpoint, "discriminator"
  AdamW<float>* optimizer = nullptr;  ///< its parameters and moments
  std::vector<std::pair<std::string, Tensor<float>*>> buffers{};  ///< what else it changes
  std::function<void(index_t step)> turn{};  ///< called after each step of the first model
  std::function<std::map<std::string, double>()>
      measurements{};  ///< of the last step, for the log; may be empty
};

}  // namespace rae
