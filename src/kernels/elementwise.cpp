#include "rae/kernels/elementwise.hpp"

#include <algorithm>

#include "core/kernel_profile.hpp"
#include "kernels/contiguous.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {

using detail::require_elements;

template <Real T>
void axpby(T alpha, View<const T> x, T beta, View<const T> y, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise,
                                        [&] { return detail::cost_of_bytes(x, y, out); });
  require_elements("axpby", out.numel(), x, y, out);
  const T *a = x.data(), *b = y.data();
  T* target = out.data();
  detail::parallel_elements(out.numel(), [=](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) target[i] = alpha * a[i] + beta * b[i];
  });
}

template <Real T>
void multiply(View<const T> x, View<const T> y, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise,
                                        [&] { return detail::cost_of_bytes(x, y, out); });
  require_elements("multiply", out.numel(), x, y, out);
  const T *a = x.data(), *b = y.data();
  T* target = out.data();
  detail::parallel_elements(out.numel(), [=](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) target[i] = a[i] * b[i];
  });
}

template <Real T>
void add_row(View<const T> x, View<const T> row, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise,
                                        [&] { return detail::cost_of_bytes(x, row, out); });
  const index_t d = row.numel();
  if (d == 0 || x.numel() % d != 0)
    raise<ShapeError>("add_row: a row of ", d, " elements does not divide x ", x.shape());
  require_elements("add_row", x.numel(), x, out);
  require_elements("add_row", d, row);
  parallel_for(x.numel() / d, detail::row_grain(d), [&](index_t r) {
    const T *a = x.data() + r * d, *b = row.data();
    T* target = out.data() + r * d;
    for (index_t i = 0; i < d; ++i) target[i] = a[i] + b[i];
  });
}

template <Real T>
void add_column_sums(View<const T> x, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise,
                                        [&] { return detail::cost_of_bytes(x, out); });
  const index_t d = out.numel();
  if (d == 0 || x.numel() % d != 0)
    raise<ShapeError>("add_column_sums: ", d, " columns do not divide x ", x.shape());
  require_elements("add_column_sums", x.numel(), x);
  require_elements("add_column_sums", d, out);
  constexpr index_t kRowsPerSum = 64;
  const index_t rows = x.numel() / d, tasks = (rows + kRowsPerSum - 1) / kRowsPerSum;
  Tensor<T> partial(Shape{tasks, d}, T(0));  // (tasks, D)
  T* sums = partial.data();
  parallel_for(tasks, std::max<index_t>(1, detail::row_grain(d) / kRowsPerSum), [&](index_t task) {
    T* sum = sums + task * d;
    for (index_t r = task * kRowsPerSum; r < std::min(rows, (task + 1) * kRowsPerSum); ++r)
      for (index_t i = 0; i < d; ++i) sum[i] += x.data()[r * d + i];
  });
  for (index_t task = 0; task < tasks; ++task)
    for (index_t i = 0; i < d; ++i) out.data()[i] += sums[task * d + i];
}

template void axpby<float>(float, View<const float>, float, View<const float>, View<float>);
template void axpby<double>(double, View<const double>, double, View<const double>, View<double>);
template void multiply<float>(View<const float>, View<const float>, View<float>);
template void multiply<double>(View<const double>, View<const double>, View<double>);
template void add_row<float>(View<const float>, View<const float>, View<float>);
template void add_row<double>(View<const double>, View<const double>, View<double>);
template void add_column_sums<float>(View<const float>, View<float>);
template void add_column_sums<double>(View<const double>, View<double>);

}  // namespace rae
