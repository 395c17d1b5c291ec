#include "rae/kernels/leaky_relu.hpp"

#include "core/kernel_profile.hpp"
#include "kernels/contiguous.hpp"

namespace rae {

using detail::require_elements;

template <Real T>
void leaky_relu(View<const T> x, T slope, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::activation,
                                        [&] { return detail::cost_of_bytes(x, out); });
  require_elements("leaky_relu", x.numel(), x, out);
  const T* a = x.data();
  T* target = out.data();
  detail::parallel_elements(x.numel(), [=](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) target[i] = a[i] > 0 ? a[i] : slope * a[i];
  });
}

template <Real T>
void leaky_relu_backward(View<const T> x, T slope, View<const T> dout, View<T> dx) {
  const detail::ProfiledKernel profiled(detail::KernelKind::activation,
                                        [&] { return detail::cost_of_bytes(x, dout, dx); });
  require_elements("leaky_relu_backward", x.numel(), x, dout, dx);
  const T *a = x.data(), *d = dout.data();
  T* target = dx.data();
  detail::parallel_elements(x.numel(), [=](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) target[i] = a[i] > 0 ? d[i] : slope * d[i];
  });
}

template void leaky_relu<float>(View<const float>, float, View<float>);
template void leaky_relu<double>(View<const double>, double, View<double>);
template void leaky_relu_backward<float>(View<const float>, float, View<const float>, View<float>);
template void leaky_relu_backward<double>(View<const double>, double, View<const double>,
                                          View<double>);

}  // namespace rae
