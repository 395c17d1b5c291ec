// The cost of networks, from their configurations alone: the multiply-adds of a forward pass,
// counted exactly.
//
// Diffusion Transformers with Representation Autoencoders, section 3, Table 1, and section 5
// (decoders and heads are compared by GFLOPs).
#pragma once

#include "rae/models/conv_decoder.hpp"
#include "rae/models/decoder.hpp"
#include "rae/models/dit_dh.hpp"
#include "rae/models/encoder.hpp"
#include "rae/models/lightning_dit.hpp"
#include "rae/models/token_dit.hpp"
#include "rae/models/token_dit_dh.hpp"

namespace rae {

/// Multiply-adds of a forward pass for one picture; each is two floating-point operations. Norms,
/// activations, biases and sums are not counted. A convolution is counted as if the zeros around a
/// picture were multiplied too.
struct ForwardCost {
  index_t layers = 0;     ///< of linear layers and convolutions that depend on the picture
  index_t attention = 0;  ///< of the two products of all attentions
  /// Of layers that depend only on time and class, which a sampler computes once for all pictures.
  index_t conditioning = 0;
  index_t largest_output = 0;  ///< elements of the largest output of a layer

  /// Multiply-adds of one evaluation in a sampler: without the conditioning.
  [[nodiscard]] index_t evaluation() const noexcept { return layers + attention; }
  /// All multiply-adds.
  [[nodiscard]] index_t total() const noexcept { return evaluation() + conditioning; }
};

/// The cost of a diffusion network on latents of its own grid.
[[nodiscard]] ForwardCost forward_cost(const DitDhConfig& config);
/// See above.
[[nodiscard]] ForwardCost forward_cost(const LightningDitConfig& config);
/// See above; without the base head and the projection of REPA. The condition tokens pass through
/// the blocks and count there.
[[nodiscard]] ForwardCost forward_cost(const TokenDitConfig& config);
/// See above.
[[nodiscard]] ForwardCost forward_cost(const TokenDitDhConfig& config);
/// The cost of a ViT decoder on tokens of its own grid.
[[nodiscard]] ForwardCost forward_cost(const DecoderConfig& config);
/// The cost of an encoder on pictures of `height` x `width` pixels.
[[nodiscard]] ForwardCost forward_cost(const EncoderConfig& config, index_t height, index_t width);
/// The cost of a convolutional decoder on latents (C, h, w).
[[nodiscard]] ForwardCost forward_cost(const ConvDecoderConfig& config, index_t h, index_t w);

}  // namespace rae
