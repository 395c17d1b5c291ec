#include "rae/kernels/norm.hpp"

#include <algorithm>

#include "core/kernel_profile.hpp"
#include "kernels/norm_rows.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {
namespace {

// Rows whose weight gradients are summed by one task before the partial sums are added up: fixed,
// so that the order of additions does not depend on the number of threads.
constexpr index_t kRowsPerSum = 64;

template <class T>
index_t check(std::string_view where, const View<const T>& x, const NormInputs<T>& in,
              index_t elements) {
  if (x.shape().rank() == 0 || x.extent(-1) == 0)
    raise<ShapeError>(where, ": expected x (..., D), got ", x.shape());
  const index_t d = x.extent(-1), rows = x.shape().rows();
  detail::require_elements(where, elements, x);
  detail::check_norm(where, rows, d, in);
  return d;
}

}  // namespace

template <Real T>
void norm(View<const T> x, const NormInputs<T>& in, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::norm,
                                        [&] { return detail::cost_of_bytes(x, out); });
  const index_t d = check("norm", x, in, out.numel()), rows = x.shape().rows();
  detail::require_elements("norm: out", x.numel(), out);
  const auto& table = detail::kernel_table<T>();
  const index_t rows_per_group = detail::rows_per_group(rows, in);
  parallel_for(rows, detail::row_grain(d), [&](index_t r) {
    table.norm(d, x.data() + r * d, detail::norm_row_inputs(in, r / rows_per_group),
               out.data() + r * d);
  });
}

template <Real T>
void norm_backward(View<const T> x, const NormInputs<T>& in, View<const T> dout,
                   const NormGradients<T>& g) {
  const detail::ProfiledKernel profiled(detail::KernelKind::norm,
                                        [&] { return detail::cost_of_bytes(x, dout, g.dx); });
  const index_t d = check("norm_backward", x, in, dout.numel()), rows = x.shape().rows();
  detail::require_elements("norm_backward: dout, dx", x.numel(), dout, g.dx);
  if (!g.add.empty()) detail::require_elements("norm_backward: add", x.numel(), g.add);
  if (!g.dweight.empty()) detail::require_elements("norm_backward: dweight", d, g.dweight);
  if (!g.dbias.empty()) detail::require_elements("norm_backward: dbias", d, g.dbias);
  if (rows == 0) return;
  const auto& table = detail::kernel_table<T>();
  const index_t rows_per_group = detail::rows_per_group(rows, in);
  // A task takes whole groups (it alone writes their dshift and dscale) and about kRowsPerSum rows.
  const index_t rows_per_task =
      in.scale.empty() ? kRowsPerSum
                       : std::max<index_t>(1, kRowsPerSum / rows_per_group) * rows_per_group;
  const index_t tasks = (rows + rows_per_task - 1) / rows_per_task;
  const bool sums = !g.dweight.empty() || !g.dbias.empty();
  Tensor<T> partial;  // (tasks, 2, D)
  T* partial_sums = nullptr;
  if (sums) {
    partial = Tensor<T>(Shape{tasks, 2, d}, T(0));
    partial_sums = partial.data();
  }
  parallel_for(tasks, std::max<index_t>(1, detail::row_grain(d) / rows_per_task),
               [&](index_t task) {
                 for (index_t r = task * rows_per_task;
                      r < std::min(rows, (task + 1) * rows_per_task); ++r) {
                   const index_t group = r / rows_per_group;
                   const detail::NormRowGradients<T> row{
                       g.add.empty() ? nullptr : g.add.data() + r * d,
                       g.dweight.empty() ? nullptr : partial_sums + 2 * task * d,
                       g.dbias.empty() ? nullptr : partial_sums + (2 * task + 1) * d,
                       g.dshift.empty() ? nullptr : g.dshift.data + group * g.dshift.stride,
                       g.dscale.empty() ? nullptr : g.dscale.data + group * g.dscale.stride};
                   table.norm_backward(d, x.data() + r * d, detail::norm_row_inputs(in, group),
                                       dout.data() + r * d, g.dx.data() + r * d, row);
                 }
               });
  for (index_t task = 0; sums && task < tasks; ++task)
    for (index_t i = 0; i < d; ++i) {
      if (!g.dweight.empty()) g.dweight.data()[i] += partial_sums[2 * task * d + i];
      if (!g.dbias.empty()) g.dbias.data()[i] += partial_sums[(2 * task + 1) * d + i];
    }
}

template void norm<float>(View<const float>, const NormInputs<float>&, View<float>);
template void norm<double>(View<const double>, const NormInputs<double>&, View<double>);
template void norm_backward<float>(View<const float>, const NormInputs<float>&, View<const float>,
                                   const NormGradients<float>&);
template void norm_backward<double>(View<const double>, const NormInputs<double>&,
                                    View<const double>, const NormGradients<double>&);

}  // namespace rae
