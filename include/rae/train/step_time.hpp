// The time of a training step of a stage: measured by a few steps, or estimated from the number of
// operations.
//
// The stages are those of Diffusion Transformers with Representation Autoencoders: encoder, decoder
// (section 3), DiT^DH (section 4).
#pragma once

#include "rae/io/image_dataset.hpp"
#include "rae/train/recipe.hpp"

namespace rae {

/// Floating-point operations of a training step of a stage: twice the multiply-adds of all products
/// in forward and backward pass, in the stage `decoder` those of the frozen encoder included. An
/// upper bound: matrices that are used once per picture count once per token. Of the stage
/// `statistics`: to encode one picture. Throws ConfigError for encoders and diffusion networks of
/// other kinds than `EncoderConfig` and `DitDhConfig`.
[[nodiscard]] double training_operations(const Recipe& recipe, TrainingStage stage);

/// Seconds of a training step of `recipe` on this machine with matrix products of type `dtype`, as
/// it is from the second epoch on, when pictures and latents are in memory; of the stage
/// `statistics`, seconds to encode one picture. The fastest of up to twelve rounds of 0.1 seconds
/// counts, so that other programs disturb little. Networks have the weights with which a training
/// begins, frozen encoders have zeros; nothing is written. `should_stop` may be empty. Throws
/// Cancelled, and as the trainers.
[[nodiscard]] double measure_step(const Recipe& recipe,
                                  const OwnedPointer<const ImageDataset>& data, TrainingStage stage,
                                  DType dtype, const Function<bool()>& should_stop = {});

}  // namespace rae
