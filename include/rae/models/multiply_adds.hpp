// Multiply-adds of the decoders, counted exactly: the cost that the paper compares.
//
// Diffusion Transformers with Representation Autoencoders, section 3, Table 1 (GFLOPs of decoders:
// multiply-adds of matrix products and convolutions).
#pragma once

#include "rae/models/conv_decoder.hpp"
#include "rae/models/decoder.hpp"

namespace rae {

/// Multiply-adds of one picture; one is two floating-point operations. Norms, activations, biases
/// and sums are not counted. A convolution counts the zeros of its padding as elements.
struct MultiplyAdds {
  index_t layers = 0;     ///< of linear layers and convolutions
  index_t attention = 0;  ///< of both products of all attentions

  /// All multiply-adds.
  [[nodiscard]] index_t total() const noexcept { return layers + attention; }
  /// Floating-point operations, two per multiply-add.
  [[nodiscard]] double flops() const noexcept { return 2.0 * static_cast<double>(total()); }
};

/// Multiply-adds of a ViT decoder for tokens of its native grid.
[[nodiscard]] inline MultiplyAdds multiply_adds(const DecoderConfig& c) {
  const index_t patches = c.grid_h * c.grid_w, tokens = patches + 1, width = c.hidden_size;
  MultiplyAdds out;
  out.layers = patches * c.in_dim * width +
               c.num_layers * tokens * width * (4 * width + 2 * c.intermediate_size) +
               tokens * width * c.patch_size * c.patch_size * c.channels;
  out.attention = c.num_layers * 2 * tokens * tokens * width;
  return out;
}

/// Multiply-adds of a convolutional decoder for latents (C, h, w).
[[nodiscard]] inline MultiplyAdds multiply_adds(const ConvDecoderConfig& c, index_t h, index_t w) {
  index_t positions = h * w, width = c.block_channels.back();
  const auto block = [&](index_t in, index_t out) {
    return positions * (9 * in * out + 9 * out * out + (in != out ? in * out : 0));
  };
  MultiplyAdds out;
  out.layers = positions * c.latent_channels * (c.latent_channels + 9 * width) +
               2 * block(width, width) + positions * 4 * width * width;
  out.attention = 2 * positions * positions * width;
  for (std::size_t i = c.block_channels.size(); i-- > 0;) {
    const index_t next = c.block_channels[i];
    out.layers += block(width, next) + c.layers_per_block * block(next, next);
    width = next;
    if (i == 0) continue;
    positions *= 4;
    out.layers += positions * 9 * width * width;
  }
  out.layers += positions * 9 * width * c.channels;
  return out;
}

}  // namespace rae
