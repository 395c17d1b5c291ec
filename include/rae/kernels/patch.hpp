// Conversion between images and patches: the patch embedding of ViT and the unpatchify of its
// decoder.
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// Order of the features of one patch: (c, p, q) like the weight of a patch convolution, or (p, q,
/// c) like the ViT decoder's output.
enum class PatchOrder { channels_first, channels_last };

/// tokens (B, h*w, C*P*P) from image (B, C, h*P, w*P), row-major over the grid. The backward of
/// `unpatchify`. Throws ShapeError.
template <Real T>
void patchify(View<const T> image, index_t patch, PatchOrder order, View<T> tokens);

/// image (B, C, h*P, w*P) from tokens (B, h*w, C*P*P). The backward of `patchify`. Throws
/// ShapeError.
template <Real T>
void unpatchify(View<const T> tokens, index_t patch, PatchOrder order, View<T> image);

/// out (B, N, M) from x (B, M, N). Its own backward. Throws ShapeError.
template <Real T>
void transpose_tokens(View<const T> x, View<T> out);

extern template void patchify<float>(View<const float>, index_t, PatchOrder, View<float>);
extern template void patchify<double>(View<const double>, index_t, PatchOrder, View<double>);
extern template void unpatchify<float>(View<const float>, index_t, PatchOrder, View<float>);
extern template void unpatchify<double>(View<const double>, index_t, PatchOrder, View<double>);
extern template void transpose_tokens<float>(View<const float>, View<float>);
extern template void transpose_tokens<double>(View<const double>, View<double>);

}  // namespace rae
