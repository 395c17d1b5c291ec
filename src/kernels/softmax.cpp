#include "rae/kernels/softmax.hpp"

#include "core/kernel_profile.hpp"
#include "kernels/contiguous.hpp"
#include "kernels/kernel_table.hpp"

namespace rae {

namespace {

/// Elements of a row. Throws ShapeError for scalars and rows without elements.
index_t row_length(std::string_view where, const Shape& shape) {
  if (shape.rank() == 0 || shape[-1] == 0)
    raise<ShapeError>(where, ": expected rows of at least one element, got shape ", shape);
  return shape[-1];
}

}  // namespace

template <Real T>
void softmax(View<const T> x, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise,
                                        [&] { return detail::cost_of_bytes(x, out); });
  const index_t n = row_length("softmax", x.shape());
  require_shape("softmax: out", out.shape(), x.shape());
  detail::require_elements("softmax", x.numel(), x, out);
  const auto& table = detail::kernel_table<T>();
  parallel_for(x.shape().rows(), detail::row_grain(8 * n),
               [&](index_t r) { table.softmax(n, x.data() + n * r, out.data() + n * r); });
}

template <Real T>
void softmax_backward(View<const T> p, View<const T> dp, View<T> dx) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise,
                                        [&] { return detail::cost_of_bytes(p, dp, dx); });
  const index_t n = row_length("softmax_backward", p.shape());
  require_shape("softmax_backward: dp", dp.shape(), p.shape());
  require_shape("softmax_backward: dx", dx.shape(), p.shape());
  detail::require_elements("softmax_backward", p.numel(), p, dp, dx);
  const auto& table = detail::kernel_table<T>();
  parallel_for(p.shape().rows(), detail::row_grain(4 * n), [&](index_t r) {
    table.softmax_backward(n, p.data() + n * r, dp.data() + n * r, dx.data() + n * r);
  });
}

template void softmax<float>(View<const float>, View<float>);
template void softmax<double>(View<const double>, View<double>);
template void softmax_backward<float>(View<const float>, View<const float>, View<float>);
template void softmax_backward<double>(View<const double>, View<const double>, View<double>);

}  // namespace rae
