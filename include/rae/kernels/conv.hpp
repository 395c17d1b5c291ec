// Convolution of pictures and 2 x 2 max-pooling, forward and backward: the layers of the classifier
// that judges generated pictures.
//
// LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition" (1998);
// torch.nn.functional.conv2d, max_pool2d.
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// out (B, O, H, W): out[b, o] = bias[o] + sum over c of x[b, c] correlated with weight[o, c], for
/// x (B, C, H, W), weight (O, C, k, k) with odd k and bias (O) or empty. The picture is
/// padded with (k - 1) / 2 zeros on each side, so that out has its size. All contiguous. Throws
/// ShapeError.
template <Real T>
void conv2d(View<const T> x, View<const T> weight, View<const T> bias, View<T> out);

/// dx (B, C, H, W) from dout (B, O, H, W) and the forward's weight (O, C, k, k). Throws ShapeError.
template <Real T>
void conv2d_backward_input(View<const T> dout, View<const T> weight, View<T> dx);

/// dweight (O, C, k, k) += and dbias (O) += from the forward's x (B, C, H, W) and dout (B, O, H,
/// W); dbias may be empty. Sums run over the batch in an order that depends on its size only.
/// Throws ShapeError.
template <Real T>
void conv2d_backward_weight(View<const T> x, View<const T> dout, View<T> dweight, View<T> dbias);

/// out (B, C, H/2, W/2) = the largest of each 2 x 2 block of x (B, C, H, W); an odd last row or
/// column is left out. Throws ShapeError.
template <Real T>
void max_pool2d(View<const T> x, View<T> out);

/// dx (B, C, H, W): dout goes to the first of the largest in each block, 0 to the others. Throws
/// ShapeError.
template <Real T>
void max_pool2d_backward(View<const T> x, View<const T> dout, View<T> dx);

extern template void conv2d<float>(View<const float>, View<const float>, View<const float>,
                                   View<float>);
extern template void conv2d<double>(View<const double>, View<const double>, View<const double>,
                                    View<double>);
extern template void conv2d_backward_input<float>(View<const float>, View<const float>,
                                                  View<float>);
extern template void conv2d_backward_input<double>(View<const double>, View<const double>,
                                                   View<double>);
extern template void conv2d_backward_weight<float>(View<const float>, View<const float>,
                                                   View<float>, View<float>);
extern template void conv2d_backward_weight<double>(View<const double>, View<const double>,
                                                    View<double>, View<double>);
extern template void max_pool2d<float>(View<const float>, View<float>);
extern template void max_pool2d<double>(View<const double>, View<double>);
extern template void max_pool2d_backward<float>(View<const float>, View<const float>, View<float>);
extern template void max_pool2d_backward<double>(View<const double>, View<const double>,
                                                 View<double>);

}  // namespace rae
