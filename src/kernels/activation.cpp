#include "rae/kernels/activation.hpp"

#include "core/kernel_profile.hpp"
#include "kernels/contiguous.hpp"
#include "kernels/kernel_table.hpp"
#include "rae/core/parallel.hpp"

namespace rae {

using detail::kernel_table;
using detail::require_elements;

namespace {

void require_elementwise(std::string_view where, Activation f) {
  if (f == Activation::swiglu)
    raise<ArgumentError>(
        where, ": swiglu joins the halves of a row and is no function of one element; call swiglu");
}

}  // namespace

template <Real T>
void activate(Activation f, View<const T> x, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::activation,
                                        [&] { return detail::cost_of_bytes(x, out); });
  require_elementwise("activate", f);
  require_elements("activate", x.numel(), x, out);
  const auto& table = kernel_table<T>();
  detail::parallel_elements(x.numel(), [&](index_t b, index_t e) {
    table.activate(f, e - b, x.data() + b, out.data() + b);
  });
}

template <Real T>
void activate_backward(Activation f, View<const T> x, View<const T> dout, View<T> dx) {
  const detail::ProfiledKernel profiled(detail::KernelKind::activation,
                                        [&] { return detail::cost_of_bytes(x, dout, dx); });
  require_elementwise("activate_backward", f);
  require_elements("activate_backward", x.numel(), x, dout, dx);
  const auto& table = kernel_table<T>();
  detail::parallel_elements(x.numel(), [&](index_t b, index_t e) {
    table.activate_backward(f, e - b, x.data() + b, dout.data() + b, dx.data() + b);
  });
}

template <Real T>
void swiglu(View<const T> x, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::activation,
                                        [&] { return detail::cost_of_bytes(x, out); });
  const index_t f = out.shape().rank() ? out.extent(-1) : 0, rows = out.shape().rows();
  if (f == 0 || x.shape().rank() == 0 || x.extent(-1) != 2 * f)
    raise<ShapeError>("swiglu: expected x (..., 2F) for out (..., F), got x ", x.shape(), ", out ",
                      out.shape());
  require_elements("swiglu: x", 2 * f * rows, x);
  require_elements("swiglu: out", f * rows, out);
  const auto& table = kernel_table<T>();
  parallel_for(rows, detail::row_grain(3 * f),
               [&](index_t r) { table.swiglu(f, x.data() + 2 * f * r, out.data() + f * r); });
}

template <Real T>
void swiglu_backward(View<const T> x, View<const T> dout, View<T> dx) {
  const detail::ProfiledKernel profiled(detail::KernelKind::activation,
                                        [&] { return detail::cost_of_bytes(x, dout, dx); });
  const index_t f = dout.shape().rank() ? dout.extent(-1) : 0, rows = dout.shape().rows();
  if (f == 0) raise<ShapeError>("swiglu_backward: expected dout (..., F), got ", dout.shape());
  require_elements("swiglu_backward: dout", f * rows, dout);
  require_elements("swiglu_backward: x, dx", 2 * f * rows, x, dx);
  const auto& table = kernel_table<T>();
  parallel_for(rows, detail::row_grain(5 * f), [&](index_t r) {
    table.swiglu_backward(f, x.data() + 2 * f * r, dout.data() + f * r, dx.data() + 2 * f * r);
  });
}

template void activate<float>(Activation, View<const float>, View<float>);
template void activate<double>(Activation, View<const double>, View<double>);
template void activate_backward<float>(Activation, View<const float>, View<const float>,
                                       View<float>);
template void activate_backward<double>(Activation, View<const double>, View<const double>,
                                        View<double>);
template void swiglu<float>(View<const float>, View<float>);
template void swiglu<double>(View<const double>, View<double>);
template void swiglu_backward<float>(View<const float>, View<const float>, View<float>);
template void swiglu_backward<double>(View<const double>, View<const double>, View<double>);

}  // namespace rae
