// Decodes latents into pictures in batches of limited memory, for Generator and Autoencoder.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "generate/batches.hpp"
#include "rae/core/workspace.hpp"
#include "rae/io/image.hpp"
#include "rae/models/rae.hpp"

namespace rae::detail {

/// Decodes the latents (B, C, h, w) in batches of at most `batch`, and calls f(begin, pixels (b,
/// channels, H, W)) for each. Throws ShapeError for latents of another shape than `latent` (C, h,
/// w) and NumericError for NaN and infinity, with messages that begin with `where`.
template <class F>
void decode_batches(const Rae<float>& autoencoder, std::string_view where,
                    const Tensor<float>& latents, const Shape& latent, index_t batch, F f) {
  require_batch(where, latents, latent);
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  for_batches(latents.extent(0), batch, [&](index_t begin, index_t count) {
    f(begin, autoencoder.decode(samples(latents, begin, count)));
  });
}

/// The pictures of latents; see `decode_batches`.
[[nodiscard]] inline std::vector<Image> decode_images(const Rae<float>& autoencoder,
                                                      std::string_view where,
                                                      const Tensor<float>& latents,
                                                      const Shape& latent, index_t batch) {
  std::vector<Image> out;
  decode_batches(autoencoder, where, latents, latent, batch,
                 [&](index_t, const Tensor<float>& pixels) {
                   for (Image& image : Image::from_batch(pixels)) out.push_back(std::move(image));
                 });
  return out;
}

/// The same as a tensor (B, channels, H, W), for pictures of the shape `picture` (channels, H, W).
[[nodiscard]] inline Tensor<float> decode_pixels(const Rae<float>& autoencoder,
                                                 std::string_view where,
                                                 const Tensor<float>& latents, const Shape& latent,
                                                 const Shape& picture, index_t batch) {
  Tensor<float> out;  // (B, channels, H, W)
  decode_batches(
      autoencoder, where, latents, latent, batch, [&](index_t begin, const Tensor<float>& pixels) {
        if (out.empty())
          out = Tensor<float>(Shape{latents.extent(0), picture[0], picture[1], picture[2]});
        std::copy_n(pixels.data(), pixels.numel(), out.data() + begin * picture.numel());
      });
  return out;
}

}  // namespace rae::detail
