#include "rae/kernels/embedding.hpp"

#include <algorithm>

#include "core/kernel_profile.hpp"
#include "kernels/contiguous.hpp"
#include "rae/core/parallel.hpp"

namespace rae {
namespace {

void check(std::string_view where, const Shape& table, const Shape& rows,
           std::span<const std::int64_t> ids) {
  if (table.rank() != 2) raise<ShapeError>(where, ": expected a table (V, D), got ", table);
  require_shape(where, rows, {static_cast<index_t>(ids.size()), table[1]});
  for (const std::int64_t id : ids)
    if (id < 0 || id >= table[0])
      raise<ArgumentError>(where, ": index ", id, " is outside [0, ", table[0], ")");
}

}  // namespace

template <Real T>
void embedding(View<const T> table, std::span<const std::int64_t> ids, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::copy,
                                        [&] { return detail::cost_of_bytes(out, out); });
  check("embedding", table.shape(), out.shape(), ids);
  detail::require_elements("embedding", out.numel(), out);
  const index_t d = table.extent(1);
  parallel_for(out.extent(0), detail::row_grain(d), [&](index_t n) {
    const View<const T> row = table.slice(0, ids[static_cast<std::size_t>(n)], 1);  // (1, D)
    if (row.is_contiguous())
      std::copy_n(row.data(), d, out.data() + n * d);
    else
      for (index_t i = 0; i < d; ++i) out.data()[n * d + i] = row(0, i);
  });
}

template <Real T>
void embedding_backward(View<const T> dout, std::span<const std::int64_t> ids, View<T> dtable) {
  const detail::ProfiledKernel profiled(detail::KernelKind::copy,
                                        [&] { return detail::cost_of_bytes(dout, dout); });
  check("embedding_backward", dtable.shape(), dout.shape(), ids);
  detail::require_elements("embedding_backward", dout.numel(), dout);
  const index_t d = dtable.extent(1);
  // Threads share columns, not rows: an index may occur many times.
  parallel_ranges(d, detail::row_grain(dout.extent(0)), [&](index_t begin, index_t end) {
    for (index_t n = 0; n < dout.extent(0); ++n)
      for (index_t i = begin; i < end; ++i)
        dtable(ids[static_cast<std::size_t>(n)], i) += dout.data()[n * d + i];
  });
}

template void embedding<float>(View<const float>, std::span<const std::int64_t>, View<float>);
template void embedding<double>(View<const double>, std::span<const std::int64_t>, View<double>);
template void embedding_backward<float>(View<const float>, std::span<const std::int64_t>,
                                        View<float>);
template void embedding_backward<double>(View<const double>, std::span<const std::int64_t>,
                                         View<double>);

}  // namespace rae
