// Splits pictures and latents into batches of limited memory.
#pragma once

#include <algorithm>
#include <string_view>

#include "rae/core/tensor.hpp"

namespace rae::detail {

/// Default number of pictures in a batch: at most 64, and fewer when each has many tokens, since
/// matrix products of a few thousand rows are as fast as longer ones.
[[nodiscard]] constexpr index_t default_batch(index_t tokens) noexcept {
  return std::clamp<index_t>(4096 / std::max<index_t>(1, tokens), 1, 64);
}

/// Calls f(begin, count) for ranges of nearly equal length, at most `most`, that cover [0, n).
template <class F>
void for_batches(index_t n, index_t most, F&& f) {
  const index_t batches = (n + most - 1) / most;
  for (index_t i = 0; i < batches; ++i) {
    const index_t begin = n * i / batches, end = n * (i + 1) / batches;
    f(begin, end - begin);
  }
}

/// A copy of the samples [begin, begin + count) of a batch (B, ...), (count, ...).
[[nodiscard]] inline Tensor<float> samples(const Tensor<float>& batch, index_t begin,
                                           index_t count) {
  const index_t size = batch.numel() / batch.extent(0);
  return Tensor<float>(batch.shape().with(0, count),
                       batch.span().subspan(static_cast<std::size_t>(begin * size),
                                            static_cast<std::size_t>(count * size)));
}

/// Throws ShapeError unless the batch is (B, C, H, W) with B >= 1 and samples of the shape `sample`
/// (C, H, W), NumericError when it is not finite.
inline void require_batch(std::string_view where, const Tensor<float>& batch, const Shape& sample) {
  const Shape& s = batch.shape();
  if (batch.empty() || s.rank() != 4 || s[0] < 1 || !(Shape{s[1], s[2], s[3]} == sample))
    raise<ShapeError>(where, ": expected shape (B, ", sample[0], ", ", sample[1], ", ", sample[2],
                      ") with B >= 1, got ",
                      batch.empty() ? std::string("nothing") : s.to_string());
  const index_t size = sample.numel();
  for (index_t b = 0; b < s[0]; ++b)
    if (!all_finite(batch.span().subspan(static_cast<std::size_t>(b * size),
                                         static_cast<std::size_t>(size))))
      raise<NumericError>(where, ": sample ", b, " of ", s[0], " contains NaN or infinity");
}

}  // namespace rae::detail
