// Plain-loop twin of kernels/embedding.hpp.
#pragma once

#include "rae/kernels/embedding.hpp"

namespace rae::reference {

/// out (N, D) = rows `ids` of table (V, D).
template <Real T>
void embedding(View<const T> table, std::span<const std::int64_t> ids, View<T> out) {
  for (index_t n = 0; n < out.extent(0); ++n)
    for (index_t d = 0; d < out.extent(1); ++d)
      out(n, d) = table(ids[static_cast<std::size_t>(n)], d);
}

/// dtable (V, D) += rows of dout (N, D).
template <Real T>
void embedding_backward(View<const T> dout, std::span<const std::int64_t> ids, View<T> dtable) {
  for (index_t n = 0; n < dout.extent(0); ++n)
    for (index_t d = 0; d < dout.extent(1); ++d)
      dtable(ids[static_cast<std::size_t>(n)], d) += dout(n, d);
}

}  // namespace rae::reference
