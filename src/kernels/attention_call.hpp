// Shared by the forward and backward of attention: the checked arguments, and the rows of one head
// in scratch memory.
#pragma once

#include <cmath>

#include "core/kernel_profile.hpp"
#include "kernels/attention_operands.hpp"
#include "kernels/contiguous.hpp"

namespace rae::detail {

/// With scores in units of ln 2, their exponentials are powers of two.
inline constexpr double kLog2E = 1.44269504088896340736;

/// out (n) = scale * x with each pair (x_k, x_(k + n/2)) rotated by its angle, or back. `out` may
/// be x.
template <class T>
void rotate_halves(index_t n, const T* x, const T* cos, const T* sin, bool inverse, T scale,
                   T* out) {
  const index_t half = n / 2;
  const T direction = inverse ? T(-1) : T(1);
  for (index_t k = 0; k < half; ++k) {
    const T a = x[k], b = x[k + half], c = cos[k], s = direction * sin[k];
    out[k] = (a * c - b * s) * scale;
    out[k + half] = (b * c + a * s) * scale;
  }
}

template <class T>
struct AttentionCall {
  index_t batch, tokens, heads, head_dim;
  RopeView<T> rope;

  AttentionCall(std::string_view where, const View<const T>& qkv, index_t heads_,
                const RopeView<T>& rope_)
      : heads(heads_), rope(rope_) {
    if (qkv.shape().rank() != 3 || heads < 1 || qkv.extent(2) == 0 ||
        qkv.extent(2) % (3 * heads) != 0)
      raise<ShapeError>(where, ": expected qkv (B, T, 3*H*hd) for H = ", heads, " heads, got ",
                        qkv.shape());
    batch = qkv.extent(0);
    tokens = qkv.extent(1);
    head_dim = qkv.extent(2) / (3 * heads);
    require_elements(where, qkv.numel(), qkv);
    if (rope.cos.empty() != rope.sin.empty())
      raise<ShapeError>(where, ": the rope needs both cos and sin");
    if (!rope.cos.empty()) {
      if (head_dim % 2 != 0)
        raise<ShapeError>(where, ": rotary embedding needs an even head dimension, got ", head_dim);
      require_elements("attention: rope table", tokens * head_dim, rope.cos, rope.sin);
    }
  }

  [[nodiscard]] index_t width() const { return heads * head_dim; }
  /// Elements of a head's row in scratch memory.
  [[nodiscard]] index_t row() const { return round_up(head_dim, 16); }
  /// Elements of a row of scores in scratch memory: whole pairs of vectors, and an odd number of
  /// f32 cache lines, so that the rows of a tile do not all fall into the same sets of the level-1
  /// cache.
  [[nodiscard]] index_t score_row() const { return (ceil_div(tokens, 32) * 2 | 1) * 16; }
  [[nodiscard]] T score_scale() const {
    return static_cast<T>(kLog2E / std::sqrt(static_cast<double>(head_dim)));
  }

  /// out (count, row()) = scale * rows [first, first + count) of one head, rotated or not; for
  /// an odd hd the padding of the last word is zero.
  void gather(const T* x, index_t stride, index_t first, index_t count, bool rotated, T scale,
              T* out) const {
    move(x + first * stride, stride, first, count, rotated, false, scale, out, row());
    if (head_dim % 2 != 0)
      for (index_t t = 0; t < count; ++t) out[t * row() + head_dim] = T(0);
  }
  /// The transpose of gather: out = scale * rows, rotated back.
  void scatter(const T* x, bool rotated, T scale, index_t first, index_t count, T* out,
               index_t stride) const {
    move(x, row(), first, count, rotated, true, scale, out + first * stride, stride);
  }

 private:
  void move(const T* x, index_t stride, index_t first, index_t count, bool rotated, bool inverse,
            T scale, T* out, index_t out_stride) const {
    const auto rotate = kernel_table<T>().rotate;
    const bool turns = rotated && !rope.cos.empty();
    // Rows of a head are far apart, each in another page, which no hardware prefetcher follows: the
    // rows of the next head, which usually follow, are prefetched here.
    constexpr index_t kLine = 64 / sizeof(T);
    const T* const read_next = (inverse ? out : x) + head_dim;
    const index_t next_stride = inverse ? out_stride : stride;
    for (index_t t = 0; t < count; ++t) {
      for (index_t i = 0; i < head_dim; i += kLine)
        __builtin_prefetch(read_next + t * next_stride + i, 0);
      const index_t at = (first + t) * head_dim;
      if (turns && rope.pairs == RopePairs::halves) {
        rotate_halves(head_dim, x + t * stride, rope.cos.data() + at, rope.sin.data() + at, inverse,
                      scale, out + t * out_stride);
        continue;
      }
      rotate(head_dim, x + t * stride, turns ? rope.cos.data() + at : nullptr,
             turns ? rope.sin.data() + at : nullptr, inverse, scale, out + t * out_stride);
    }
  }
};

/// The cost of `count` products of tokens and tokens for each head: 2 forward; 5 backward, where
/// the scores are computed again.
template <class T>
KernelCost attention_cost(const AttentionCall<T>& call, index_t count, DType operands,
                          double bytes) {
  const index_t products = count * call.batch * call.tokens * call.tokens * call.width();
  return {.products = static_cast<double>(products), .bytes = bytes, .type = operands};
}

}  // namespace rae::detail
