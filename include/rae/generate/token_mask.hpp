// Masks of pictures as masks of tokens, for inpainting in latent space: the flow of sections 4 and
// 5 changes only some of the tokens of a picture.
#pragma once

#include "rae/core/tensor.hpp"
#include "rae/io/image.hpp"
#include "rae/spec/model_config.hpp"

namespace rae {

/// The mask (1, 1, h, w) of a model's tokens for a mask of pixels, which is white where a picture
/// is to change and black where it is kept. It is prepared as `Autoencoder::prepare` prepares the
/// picture, so both should have the same size. A token is 1, it changes, if one of its pixels is at
/// least half white, otherwise 0. Throws ArgumentError for an empty mask.
[[nodiscard]] Tensor<float> token_mask(const Image& mask, const ModelConfig& model);

}  // namespace rae
