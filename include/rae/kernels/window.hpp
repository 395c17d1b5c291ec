// Windows that move over pictures, and pooling with them, forward and backward.
//
// torch.nn.functional.max_pool2d and avg_pool2d(count_include_pad=False).
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// A rectangle that moves over a picture.
struct Window {
  index_t height = 1, width = 1;  ///< of the rectangle
  index_t stride = 1;             ///< pixels between neighbouring windows, down and to the right
  index_t pad_h = 0, pad_w = 0;   ///< padding: rows above and below, columns left and right

  /// Height of the output for a picture of `rows` rows; below 1 when the window does not fit.
  [[nodiscard]] constexpr index_t out_h(index_t rows) const noexcept {
    return (rows + 2 * pad_h - height) / stride + 1;
  }
  /// Width of the output for a picture of `columns` columns; below 1 when the window does not fit.
  [[nodiscard]] constexpr index_t out_w(index_t columns) const noexcept {
    return (columns + 2 * pad_w - width) / stride + 1;
  }
};

/// out (B, C, h, w) = the largest of x (B, C, H, W) in the window; padding does not
/// count. Throws ShapeError, also for padding above half of the window.
template <Real T>
void max_pool2d(View<const T> x, const Window& window, View<T> out);

/// dx (B, C, H, W) from dout (B, C, h, w) and the forward's x: each element of dout goes to the
/// first of the largest in its window. Throws as max_pool2d.
template <Real T>
void max_pool2d_backward(View<const T> x, View<const T> dout, const Window& window, View<T> dx);

/// The mean instead of the largest, of the pixels inside of the picture. Throws as max_pool2d.
template <Real T>
void avg_pool2d(View<const T> x, const Window& window, View<T> out);

/// dx (B, C, H, W) from dout (B, C, h, w): each element of dout is divided equally among the pixels
/// of its window that are inside of the picture. Throws as max_pool2d.
template <Real T>
void avg_pool2d_backward(View<const T> dout, const Window& window, View<T> dx);

extern template void max_pool2d<float>(View<const float>, const Window&, View<float>);
extern template void max_pool2d<double>(View<const double>, const Window&, View<double>);
extern template void max_pool2d_backward<float>(View<const float>, View<const float>, const Window&,
                                                View<float>);
extern template void max_pool2d_backward<double>(View<const double>, View<const double>,
                                                 const Window&, View<double>);
extern template void avg_pool2d<float>(View<const float>, const Window&, View<float>);
extern template void avg_pool2d<double>(View<const double>, const Window&, View<double>);
extern template void avg_pool2d_backward<float>(View<const float>, const Window&, View<float>);
extern template void avg_pool2d_backward<double>(View<const double>, const Window&, View<double>);

}  // namespace rae
