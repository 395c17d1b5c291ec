// Resizing of feature maps and position tables in the model text, on Tensor and on Var.
#pragma once

#include "rae/autograd/var.hpp"
#include "rae/kernels/resize.hpp"

namespace rae {

/// x (B, C, H, W) on another grid: (B, C, h, w). Throws ShapeError for another rank or an empty
/// grid.
template <Real T>
Tensor<T> resize(const Tensor<T>& x, Resize method, index_t h, index_t w) {
  if (x.rank() != 4) raise<ShapeError>("resize: expected (B, C, H, W), got ", x.shape());
  Tensor<T> out(Shape{x.extent(0), x.extent(1), h, w});
  resize<T>(x.view(), method, out.view());
  return out;
}
template <Real T>
Var<T> resize(const Var<T>& x, Resize method, index_t h, index_t w) {
  return detail::make_result<T>(
      resize(x.value(), method, h, w),
      [x, method](const Tensor<T>& g) {
        Tensor<T> dx(x.shape());
        resize_backward<T>(g.view(), method, dx.view());
        x.accumulate(std::move(dx));
      },
      x);
}

}  // namespace rae
