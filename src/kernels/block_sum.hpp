// Sums in double whose order depends on the number of terms only.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "rae/core/parallel.hpp"

namespace rae::detail {

/// Sum of term(i) for i in [0, n): blocks in parallel, eight interleaved sums in each so that the
/// compiler can vectorise.
template <class Term>
[[nodiscard]] double block_sum(index_t n, Term term) {
  constexpr index_t kBlock = 4096, kLanes = 8;
  const index_t blocks = (n + kBlock - 1) / kBlock;
  std::vector<double> partial(static_cast<std::size_t>(blocks));
  double* sums = partial.data();
  parallel_for(blocks, 4, [=](index_t block) {
    const index_t begin = block * kBlock, end = std::min(n, begin + kBlock),
                  whole = begin + (end - begin) / kLanes * kLanes;
    std::array<double, kLanes> lanes{};
    for (index_t i = begin; i < whole; i += kLanes)
      for (index_t lane = 0; lane < kLanes; ++lane)
        lanes[static_cast<std::size_t>(lane)] += term(i + lane);
    for (index_t i = whole; i < end; ++i) lanes[static_cast<std::size_t>(i - whole)] += term(i);
    double sum = 0;
    for (const double lane : lanes) sum += lane;
    sums[block] = sum;
  });
  double sum = 0;
  for (const double block : partial) sum += block;
  return sum;
}

}  // namespace rae::detail
