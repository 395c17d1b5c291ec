#include "rae/kernels/group_rounding.hpp"

#include <algorithm>
#include <cstdint>

#include "kernels/grouped_product.hpp"
#include "rae/core/parallel.hpp"

namespace rae {

void round_to_groups(View<const float> w, View<float> out, DType stored) {
  if (!has_groups(stored))
    raise<ArgumentError>("round_to_groups: expected int8w or int4, got ", name_of(stored));
  if (w.shape().rank() != 2 || !w.is_contiguous() || !out.is_contiguous())
    raise<ShapeError>("round_to_groups: expected contiguous weights (N, K), got ", w.shape());
  require_shape("round_to_groups", out.shape(), w.shape());
  const index_t rows = w.extent(0), k = w.extent(1), bits = detail::bits_of_groups(stored);
  const float* from = w.data();
  float* to = out.data();
  parallel_ranges(
      rows, detail::ceil_div(detail::kMinParallelWork, std::max<index_t>(1, k)),
      [=](index_t begin, index_t end) {
        for (index_t row = begin; row < end; ++row)
          for (index_t first = 0; first < k; first += detail::kGroupSize) {
            const index_t at = row * k + first, n = std::min(detail::kGroupSize, k - first);
            std::int32_t values[detail::kGroupSize];
            const float unit = detail::quantize_group(from + at, index_t{1}, n, bits, values);
            for (index_t i = 0; i < n; ++i) to[at + i] = static_cast<float>(values[i]) * unit;
          }
      });
}

}  // namespace rae
