// Plain-loop twin of kernels/patch.hpp.
#pragma once

#include "rae/kernels/patch.hpp"

namespace rae::reference {

/// Position of (c, p, q) among the features of a patch.
[[nodiscard]] inline index_t patch_feature(PatchOrder order, index_t channels, index_t patch,
                                           index_t c, index_t p, index_t q) {
  return order == PatchOrder::channels_first ? c * patch * patch + p * patch + q
                                             : p * patch * channels + q * channels + c;
}

/// tokens (B, h*w, C*P*P) from image (B, C, h*P, w*P).
template <Real T>
void patchify(View<const T> image, index_t patch, PatchOrder order, View<T> tokens) {
  const index_t channels = image.extent(1), grid_w = image.extent(3) / patch;
  for (index_t b = 0; b < image.extent(0); ++b)
    for (index_t c = 0; c < channels; ++c)
      for (index_t y = 0; y < image.extent(2); ++y)
        for (index_t x = 0; x < image.extent(3); ++x)
          tokens(b, y / patch * grid_w + x / patch,
                 patch_feature(order, channels, patch, c, y % patch, x % patch)) =
              image(b, c, y, x);
}

/// image (B, C, h*P, w*P) from tokens (B, h*w, C*P*P).
template <Real T>
void unpatchify(View<const T> tokens, index_t patch, PatchOrder order, View<T> image) {
  const index_t channels = image.extent(1), grid_w = image.extent(3) / patch;
  for (index_t b = 0; b < image.extent(0); ++b)
    for (index_t c = 0; c < channels; ++c)
      for (index_t y = 0; y < image.extent(2); ++y)
        for (index_t x = 0; x < image.extent(3); ++x)
          image(b, c, y, x) =
              tokens(b, y / patch * grid_w + x / patch,
                     patch_feature(order, channels, patch, c, y % patch, x % patch));
}

/// out (B, N, M) from x (B, M, N).
template <Real T>
void transpose_tokens(View<const T> x, View<T> out) {
  for (index_t b = 0; b < x.extent(0); ++b)
    for (index_t m = 0; m < x.extent(1); ++m)
      for (index_t n = 0; n < x.extent(2); ++n) out(b, n, m) = x(b, m, n);
}

}  // namespace rae::reference
