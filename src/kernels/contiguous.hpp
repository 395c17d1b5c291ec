// Checks that kernels share.
#pragma once

#include <algorithm>

#include "rae/core/dtype.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/view.hpp"

namespace rae::detail {

/// Elements per task of a memory-bound loop: below this a second thread costs more than it saves.
inline constexpr index_t kElementGrain = 1 << 14;

/// Rows of `d` elements per task.
inline index_t row_grain(index_t d) {
  return std::max<index_t>(1, kElementGrain / std::max<index_t>(1, d));
}

/// Loops over elements in tasks of `kElementGrain`.
template <class Body>
void parallel_elements(index_t n, Body&& body) {
  rae::parallel_elements(n, kElementGrain, body);
}

/// Throws ShapeError unless every view is contiguous and has `count` elements.
template <class... Views>
void require_elements(std::string_view where, index_t count, const Views&... views) {
  auto check = [&](const auto& view) {
    if (view.numel() != count || view.empty() != (count == 0 && view.empty()))
      raise<ShapeError>(where, ": expected ", count, " elements, got shape ", view.shape());
    if (!view.is_contiguous())
      raise<ShapeError>(where, ": needs contiguous memory, got strides of a slice or transpose of ",
                        view.shape());
  };
  (check(views), ...);
}

/// Throws ArgumentError unless T can be multiplied as `operands`.
template <class T>
void require_operands(std::string_view where, DType operands) {
  if (operands != dtype_of<T>() && !(operands == DType::bf16 && dtype_of<T>() == DType::f32))
    raise<ArgumentError>(where, ": ", name_of(dtype_of<T>()), " cannot be multiplied as ",
                         name_of(operands), "; f32 can be multiplied as f32 or bf16");
}

}  // namespace rae::detail
