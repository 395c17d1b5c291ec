// Frozen encoders of an experiment: pretrained ones, random ones, and those of models and folders.
// Each is an autoencoder without a decoder and without statistics of the latents.
//
// Diffusion Transformers with Representation Autoencoders (arXiv 2510.11690), section 3.
#pragma once

#include <string>

#include "frame/networks.hpp"
#include "frame/options.hpp"
#include "rae/io/dataset.hpp"
#include "rae/models/rae.hpp"

namespace rae::experiments {

/// How an encoder is pretrained: by classes, by masked pictures, by both, by self-distillation, or
/// not at all.
enum class Pretraining { labels, masks, labels_and_masks, self_distillation, none };

/// "supervised", "masked", "labels and masks", "self-distilled", "random".
[[nodiscard]] std::string name_of(Pretraining how);

/// Trains an encoder of these sizes for `steps` on square pictures of three channels. Throws as
/// `train_encoder`.
[[nodiscard]] Rae<float> pretrained_encoder(Pretraining how,
                                            const OwnedPointer<const ImageDataset>& data,
                                            const NetworkPlan& plan, index_t steps,
                                            std::uint64_t seed, TrainingContext context);

/// The encoder of a model (a bundle), which sees pictures of the model's size, or of a folder as
/// Hugging Face saves them, which sees pictures of 4 x 4 patches. Pictures of `size` pixels are
/// resized for it. Throws as `Bundle::load` and `open_encoder_folder`, and ConfigError for an
/// encoder of gray pictures.
[[nodiscard]] Rae<float> encoder_of(const std::string& path, index_t size);

/// The encoder of the first of `options.models`, else one that labels and masked pictures pretrain
/// for `steps`, kept in OUT/encoder. Throws as the two functions above and `kept_training`.
[[nodiscard]] Rae<float> shared_encoder(const Options& options,
                                        const OwnedPointer<const ImageDataset>& data,
                                        const NetworkPlan& plan, index_t steps,
                                        const ConfigNode& settings);

/// Tokens per side of `random_encoder`, and the pixels of its pictures per side.
inline constexpr index_t kRandomGrid = 4, kRandomSize = 32;

/// A ViT with random weights, the same in every run: two layers of `width` elements, which 16
/// divides, whose output is 4 x 4 tokens of `width` elements.
[[nodiscard]] Rae<float> random_encoder(index_t width);

}  // namespace rae::experiments
