// Noise added to the tokens on which a decoder is trained, so that it tolerates imperfect latents.
// Diffusion Transformers with Representation Autoencoders, section 4 (noise-augmented decoding);
// official class RAE, `noising`.
#pragma once

#include <cstdint>
#include <span>

#include "rae/core/math.hpp"
#include "rae/core/random.hpp"
#include "rae/core/tensor.hpp"

namespace rae {

/// The distribution of the noise's standard deviation: sigma = tau * U(0, 1), as in the official
/// code, or sigma = |N(0, tau^2)|, as in the paper.
enum class NoiseLaw { uniform, half_normal };

/// Adds sigma * N(0, 1) to tokens (B, N, D), with sigma drawn once per sample. Sample b uses
/// stream `first_stream` + b of the seed, so its noise does not depend on the other samples of the
/// batch. `tau` is in units of the tokens. Section 4 of the paper. Throws ArgumentError unless
/// tau >= 0.
template <Real T>
Tensor<T> noise_augment(const Tensor<T>& tokens, double tau, NoiseLaw law, std::uint64_t seed,
                        std::uint64_t first_stream) {
  if (!(tau >= 0)) raise<ArgumentError>("noise_augment: tau must not be negative, got ", tau);
  if (tau == 0) return tokens;
  Tensor<T> out(tokens.shape());  // (B, N, D)
  T* target = out.data();
  const index_t n = tokens.numel() / tokens.extent(0);
  for (index_t b = 0; b < tokens.extent(0); ++b) {
    const Philox random(seed, first_stream + static_cast<std::uint64_t>(b));
    // Index 0 is used for sigma; the noise starts with the next block of four numbers.
    const double draw = law == NoiseLaw::uniform ? random.uniform(0) : math::fabs(random.normal(0));
    T* noise = target + b * n;
    random.fill_normal(std::span(noise, static_cast<std::size_t>(n)), 4);
    for (index_t i = 0; i < n; ++i)
      noise[i] = tokens[b * n + i] + static_cast<T>(tau * draw) * noise[i];
  }
  return out;
}

}  // namespace rae
