#include "rae/kernels/gate.hpp"

#include <algorithm>

#include "core/kernel_profile.hpp"
#include "kernels/contiguous.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {
namespace {

template <class T, class G>
index_t check(std::string_view where, const View<const T>& y, const Rows<G>& gate) {
  if (y.shape().rank() == 0 || y.extent(-1) == 0)
    raise<ShapeError>(where, ": expected y (..., D), got ", y.shape());
  if (gate.empty() || gate.groups <= 0 || y.shape().rows() % gate.groups != 0)
    raise<ShapeError>(where, ": ", gate.groups, " gates cannot serve ", y.shape().rows(), " rows");
  return y.extent(-1);
}

}  // namespace

template <Real T>
void gated_add(View<const T> x, Rows<const T> gate, View<const T> y, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise,
                                        [&] { return detail::cost_of_bytes(x, y, out); });
  const index_t d = check("gated_add", y, gate), rows = y.shape().rows(),
                rows_per_group = rows / gate.groups;
  detail::require_elements("gated_add", y.numel(), x, y, out);
  parallel_for(rows, detail::row_grain(d), [&](index_t r) {
    const T *g = gate.data + r / rows_per_group * gate.stride, *xr = x.data() + r * d,
            *yr = y.data() + r * d;
    T* target = out.data() + r * d;
    for (index_t i = 0; i < d; ++i) target[i] = xr[i] + g[i] * yr[i];
  });
}

template <Real T>
void gated_add_backward(Rows<const T> gate, View<const T> y, View<const T> dout, View<T> dy,
                        Rows<T> dgate) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise,
                                        [&] { return detail::cost_of_bytes(y, dout, dy); });
  const index_t d = check("gated_add_backward", y, gate), rows = y.shape().rows();
  detail::require_elements("gated_add_backward", y.numel(), y, dout, dy);
  if (!dgate.empty() && dgate.groups != gate.groups)
    raise<ShapeError>("gated_add_backward: dgate has another number of groups than gate");
  // Groups of many rows (one gate for everything) are split into fixed pieces, whose sums are then
  // added in order.
  constexpr index_t kRowsPerSum = 64;
  const index_t rows_per_group = rows / gate.groups,
                pieces = (rows_per_group + kRowsPerSum - 1) / kRowsPerSum;
  Tensor<T> partial;  // (groups * pieces, D)
  T* sums = nullptr;
  if (!dgate.empty() && pieces > 1) {
    partial = Tensor<T>(Shape{gate.groups * pieces, d}, T(0));
    sums = partial.data();
  }
  parallel_for(gate.groups * pieces,
               std::max<index_t>(1, detail::row_grain(d) / std::min(rows_per_group, kRowsPerSum)),
               [&](index_t task) {
                 const index_t group = task / pieces, first = task % pieces * kRowsPerSum,
                               last = std::min(rows_per_group, first + kRowsPerSum);
                 const T* g = gate.data + group * gate.stride;
                 T* sum = dgate.empty() ? nullptr
                          : sums        ? sums + task * d
                                        : dgate.data + group * dgate.stride;
                 for (index_t r = group * rows_per_group + first; r < group * rows_per_group + last;
                      ++r) {
                   const T *yr = y.data() + r * d, *dr = dout.data() + r * d;
                   T* target = dy.data() + r * d;
                   if (sum)
                     for (index_t i = 0; i < d; ++i) sum[i] += dr[i] * yr[i];
                   for (index_t i = 0; i < d; ++i) target[i] = g[i] * dr[i];
                 }
               });
  for (index_t task = 0; sums && task < gate.groups * pieces; ++task)
    for (index_t i = 0; i < d; ++i)
      dgate.data[task / pieces * dgate.stride + i] += sums[task * d + i];
}

template void gated_add<float>(View<const float>, Rows<const float>, View<const float>,
                               View<float>);
template void gated_add<double>(View<const double>, Rows<const double>, View<const double>,
                                View<double>);
template void gated_add_backward<float>(Rows<const float>, View<const float>, View<const float>,
                                        View<float>, Rows<float>);
template void gated_add_backward<double>(Rows<const double>, View<const double>, View<const double>,
                                         View<double>, Rows<double>);

}  // namespace rae
