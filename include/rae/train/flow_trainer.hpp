// Stage 2: a diffusion network of any kind learns the flow between noise and normalised latents.
//
// Diffusion Transformers with Representation Autoencoders, section 4 (flow matching, time shift by
// the dimension of the latents); official train.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/core/owner.hpp"
#include "rae/models/rae.hpp"
#include "rae/spec/backbone.hpp"
#include "rae/train/batches.hpp"
#include "rae/train/flow_loss.hpp"
#include "rae/train/training_loop.hpp"

namespace rae {

/// Where a training keeps the latents of pictures that only mirroring varies, instead of running
/// the encoder in each step.
struct KeptLatents {
  std::string file{};      ///< made when missing; empty: in memory, as far as it suffices
  std::string identity{};  ///< of the encoder and the pictures; a file of another is made again
  DType stored_as = DType::f32;  ///< f32, or bf16, which rounds the latents and halves the file
  bool mirrored = false;  ///< there is room for mirror images, too, as an augmentation by `flip`
                          ///< needs it in any case
};

/// How a diffusion network is trained, apart from the numbers of the optimiser.
struct FlowOptions {
  FlowObjective objective{};  ///< path, prediction and weight of the loss
  TimeDistribution time = TimeDistribution::logit_normal(0, 1);  ///< before the shift
  double time_shift = 1.0;                                       ///< at least 1, see `time_shift`
  FurtherLosses further{};  ///< of networks with a base head or a projection for REPA; the features
                            ///< that the projection predicts are the latents' own tokens
  Augmentation augmentation{};  ///< of the pictures
  bool checkpointing = false;   ///< recompute the activations of each block in the backward pass
                                ///< instead of keeping them: less memory, the same numbers
  KeptLatents
      latents{};  ///< of a data set's pictures; several ranks use memory instead of the file
  /// int8w or int4: products read their weights rounded to the type that a model of this type
  /// stores them in (weight_types.hpp), so that the training adapts them to it. Absent: f32.
  std::optional<DType> quantize{};
};

/// The random part of a training step.
struct FlowDraws {
  Tensor<float> noise;               ///< (B, C, h, w)
  Tensor<float> t;                   ///< (B), shifted
  std::vector<std::int64_t> labels;  ///< (B), some replaced by the null class
};

/// Draws noise, times and dropped labels for latents of shape (B, C, h, w); sample b from stream
/// `first` + b of the seed. Labels are dropped with the probability of `model`.
[[nodiscard]] FlowDraws draw_flow(const Shape& latents, std::vector<std::int64_t> labels,
                                  const Backbone& model, const FlowOptions& options,
                                  std::uint64_t seed, std::uint64_t first);

/// Latents of one training step, or of one part of it.
struct LatentBatch {
  Tensor<float> latents;             ///< (B, C, h, w), normalised
  std::vector<std::int64_t> labels;  ///< (B), below the number of classes
  std::uint64_t first = 0;           ///< number of the first sample since the training began
};

/// Batch number `i` of the training, a function of `i` alone, so that a resumed run sees the same
/// latents.
using LatentSource = Function<LatentBatch(index_t i)>;

/// Receives a network with the averaged weights after `step` steps.
using OnAverage = Function<void(index_t step, BackboneNetwork<Tensor<float>>& average)>;

/// True when the projection of a network is trained. Throws ConfigError, beginning with `where`,
/// unless the tokens that it predicts have the shape of the latents' own ones.
[[nodiscard]] bool aligns(const Backbone& backbone, const FurtherLosses& losses,
                          const std::string& where = "dit");

/// Trains a new network on latents; returns it with its averaged weights, which are f32 also with
/// `FlowOptions::quantize`. Every batch must have
/// `training.batch_size` / `training.accumulate` latents of the network's shape, square or not.
/// `on_average` may be empty; else it is called at each checkpoint. Throws as `run_training`, and
/// ConfigError, before the first step, for an objective that cannot be trained
/// (`require_trainable`), for another type to quantise to than int8w and int4, or for latents of
/// another shape.
[[nodiscard]] OwnedPointer<BackboneNetwork<Tensor<float>>> train_flow(
    const LatentSource& latents, const Backbone& backbone, const FlowOptions& flow,
    const TrainingOptions& training, TrainingContext context, const OnAverage& on_average = {});

/// The same on the latents of a data set's pictures. A network with a single class is trained
/// without classes: every picture has the label 0. Throws ConfigError, too, when the data set has
/// more classes than a network with several.
[[nodiscard]] OwnedPointer<BackboneNetwork<Tensor<float>>> train_flow(
    OwnedPointer<const ImageDataset> data, const Rae<float>& autoencoder, const Backbone& backbone,
    const FlowOptions& flow, const TrainingOptions& training, TrainingContext context,
    const OnAverage& on_average = {});

}  // namespace rae
