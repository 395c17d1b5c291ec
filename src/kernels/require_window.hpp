// The check that convolution and pooling share.
#pragma once

#include <string_view>

#include "rae/core/shape.hpp"
#include "rae/kernels/window.hpp"

namespace rae::detail {

/// Throws ShapeError unless x is pictures (B, C, H, W) into which the window fits.
inline void require_window(std::string_view where, const Shape& x, const Window& w) {
  if (x.rank() != 4 || x.numel() == 0)
    raise<ShapeError>(where, ": expected pictures (B, C, H, W), got ", x);
  if (w.height < 1 || w.width < 1 || w.stride < 1 || w.pad_h < 0 || w.pad_w < 0 ||
      x[2] + 2 * w.pad_h < w.height || x[3] + 2 * w.pad_w < w.width)
    raise<ShapeError>(where, ": a window ", w.height, " x ", w.width, " with stride ", w.stride,
                      " and padding ", w.pad_h, ", ", w.pad_w, " does not fit pictures ", x);
}

}  // namespace rae::detail
