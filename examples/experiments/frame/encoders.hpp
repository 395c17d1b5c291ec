// Frozen encoders of an experiment: random ones, which need no training, and those of models.
#pragma once

#include <string>

#include "rae/core/function.hpp"
#include "rae/core/tensor.hpp"

namespace rae::experiments {

/// Normalised latents (N, C, h, w) of pictures (N, 3, H, W) in [0, 1].
using Encode = Function<Tensor<float>(const Tensor<float>&)>;

/// Tokens per side of `random_encoder`, and the pixels of its pictures per side.
inline constexpr index_t kRandomGrid = 4, kRandomSize = 32;

/// A frozen ViT with random weights, the same in every run: two layers of `width` elements, which
/// 16 divides, whose output is 4 x 4 tokens of `width` elements. Latents are normalised by the mean
/// and variance of each element over `pictures` (N, 3, 32, 32), as in the paper.
[[nodiscard]] Encode random_encoder(index_t width, const Tensor<float>& pictures);

/// The encoder of a model, with its latent statistics. Throws as `Autoencoder::load`.
[[nodiscard]] Encode encoder_of_model(const std::string& path);

/// The size of the pictures of a model, which are square. Throws as `ModelFiles::open`.
[[nodiscard]] index_t model_picture_size(const std::string& path);

/// encode(pictures) in batches of at most 128.
[[nodiscard]] Tensor<float> encode_all(const Encode& encode, const Tensor<float>& pictures);

}  // namespace rae::experiments
