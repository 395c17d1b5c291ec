// A norm row by row, for kernels that fuse it with other work on a row in cache.
#pragma once

#include <algorithm>

#include "kernels/contiguous.hpp"
#include "kernels/kernel_table.hpp"

namespace rae::detail {

/// Throws ShapeError unless `in` fits `rows` rows of d elements.
template <class T>
void check_norm(std::string_view where, index_t rows, index_t d, const NormInputs<T>& in) {
  if (!in.weight.empty()) require_elements("norm: weight", d, in.weight);
  if (!in.bias.empty()) require_elements("norm: bias", d, in.bias);
  if (in.shift.empty() != in.scale.empty())
    raise<ShapeError>(where, ": shift and scale go together");
  if (!in.scale.empty() &&
      (in.scale.groups != in.shift.groups || in.scale.groups <= 0 || rows % in.scale.groups != 0))
    raise<ShapeError>(where, ": ", in.scale.groups, " scales and ", in.shift.groups,
                      " shifts cannot serve ", rows, " rows");
}

/// Rows that share one group of conditioning, at least 1.
template <class T>
index_t rows_per_group(index_t rows, const NormInputs<T>& in) {
  return std::max<index_t>(1, in.scale.empty() ? rows : rows / in.scale.groups);
}

/// The inputs of the norm for a row of a group.
template <class T>
NormRow<T> norm_row_inputs(const NormInputs<T>& in, index_t group) {
  return {in.kind,
          static_cast<T>(in.eps),
          in.weight.data(),
          in.bias.data(),
          in.shift.empty() ? nullptr : in.shift.data + group * in.shift.stride,
          in.scale.empty() ? nullptr : in.scale.data + group * in.scale.stride};
}

}  // namespace rae::detail
