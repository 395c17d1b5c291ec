// Resizing of pictures, feature maps and position tables, for Tensor (inference) and for Var
// (recorded, with a gradient).
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/resize.hpp"

namespace rae {

/// x (B, C, H, W) resized to (B, C, h, w), as torch.nn.functional.interpolate with
/// align_corners=False. Throws ShapeError for another rank or an empty grid.
template <Real T>
Tensor<T> resize(const Tensor<T>& x, Resize method, index_t h, index_t w) {
  if (x.rank() != 4) raise<ShapeError>("resize: expected (B, C, H, W), got ", x.shape());
  Tensor<T> out(Shape{x.extent(0), x.extent(1), h, w});  // (B, C, h, w)
  resize<T>(x.view(), method, out.view());
  return out;
}
/// The same, recorded: the gradient goes to x.
template <Real T>
Var<T> resize(const Var<T>& x, Resize method, index_t h, index_t w) {
  return detail::make_result<T>(
      resize(x.value(), method, h, w),
      [x, method](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());  // (B, C, H, W)
        resize_backward<T>(g.view(), method, dx.view());
        x.accumulate(std::move(dx));
      },
      x);
}

}  // namespace rae
