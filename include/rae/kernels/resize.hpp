// Resizing of images, feature maps and position tables, as torch.nn.functional.interpolate with
// align_corners=False.
//
// Cubic convolution: Keys, "Cubic convolution interpolation for digital image processing" (1981),
// equation 15 with the parameter a.
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// Interpolation of `resize`.
///
/// - `nearest`: the input floor(i * in / out) for output i along each axis.
/// - `bilinear`: two taps per axis.
/// - `bicubic`: four taps per axis, a = -3/4, indices clamped to the border; overshoots are kept.
/// - `bicubic_antialias`: a = -1/2, the support widened by the scale when it shrinks, windows cut
/// at the border and re-normalised.
enum class Resize { nearest, bilinear, bicubic, bicubic_antialias };

/// out (B, C, h, w) from image (B, C, H, W); along x first, then along y. Neighbouring outputs are
/// computed together, so that a NaN or an infinity also reaches some whose weight for it is zero.
/// Throws ShapeError for another rank, other B or C, or an empty picture.
template <Real T>
void resize(View<const T> image, Resize method, View<T> out);

/// dimage (B, C, H, W), overwritten, for dout (B, C, h, w): the transposed weights of `resize`.
/// Throws ShapeError.
template <Real T>
void resize_backward(View<const T> dout, Resize method, View<T> dimage);

extern template void resize<float>(View<const float>, Resize, View<float>);
extern template void resize<double>(View<const double>, Resize, View<double>);
extern template void resize_backward<float>(View<const float>, Resize, View<float>);
extern template void resize_backward<double>(View<const double>, Resize, View<double>);

}  // namespace rae
