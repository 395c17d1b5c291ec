// Convolution of pictures, forward and backward, for windows of any size, stride and padding.
//
// LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition" (1998);
// torch.nn.functional.conv2d.
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"
#include "rae/kernels/window.hpp"

namespace rae {

/// out (B, O, h, w): out[b, o] = bias[o] + sum over c of x[b, c] correlated with weight[o, c], for
/// x (B, C, H, W), weight (O, C, kh, kw) of the window's size and bias (O) or empty. The padding
/// is zeros. All contiguous. Throws ShapeError.
template <Real T>
void conv2d(View<const T> x, View<const T> weight, View<const T> bias, const Window& window,
            View<T> out);

/// dx (B, C, H, W) from dout (B, O, h, w) and the forward's weight (O, C, kh, kw). Throws
/// ShapeError.
template <Real T>
void conv2d_backward_input(View<const T> dout, View<const T> weight, const Window& window,
                           View<T> dx);

/// dweight (O, C, kh, kw) += and dbias (O) += from the forward's x (B, C, H, W) and dout (B, O, h,
/// w); dbias may be empty. The order of the sums depends on the shapes only, not on the number of
/// threads. Throws ShapeError.
template <Real T>
void conv2d_backward_weight(View<const T> x, View<const T> dout, const Window& window,
                            View<T> dweight, View<T> dbias);

extern template void conv2d<float>(View<const float>, View<const float>, View<const float>,
                                   const Window&, View<float>);
extern template void conv2d<double>(View<const double>, View<const double>, View<const double>,
                                    const Window&, View<double>);
extern template void conv2d_backward_input<float>(View<const float>, View<const float>,
                                                  const Window&, View<float>);
extern template void conv2d_backward_input<double>(View<const double>, View<const double>,
                                                   const Window&, View<double>);
extern template void conv2d_backward_weight<float>(View<const float>, View<const float>,
                                                   const Window&, View<float>, View<float>);
extern template void conv2d_backward_weight<double>(View<const double>, View<const double>,
                                                    const Window&, View<double>, View<double>);

}  // namespace rae
