// A second model that is trained in alternation with the first, such as the discriminator of an
// adversarial loss.
//
// Diffusion Transformers with Representation Autoencoders, section 3 (L_GAN): the alternation of
// decoder and discriminator (Goodfellow et al. 2014, algorithm 1).
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/train/adamw.hpp"

namespace rae {

/// The second model as the training loop sees it: its training step, and its state, which
/// checkpoints store.
struct SecondModel {
  std::string name;                   ///< prefix of its tensors in a checkpoint: "discriminator"
  AdamW<float>* optimizer = nullptr;  ///< its parameters and moments
  std::vector<std::pair<std::string, Tensor<float>*>> buffers{};  ///< its state beside parameters
  Function<void(index_t step)> train_step{};  ///< called after each step of the first model
  Function<std::map<std::string, double>()>
      measurements{};  ///< of the last step, for the log; may be empty
};

}  // namespace rae
