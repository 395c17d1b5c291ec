// The gradient of attention, a few query rows at a time: probabilities are computed again, and
// scores never leave the caches.
//
// With P = softmax(q k^T s): dv = P^T do, dP = do v^T, dS = P * (dP - rowsum(P * dP)), dq = s dS k,
// dk = s dS^T q.
#include "kernels/attention_call.hpp"

#include <algorithm>
#include <cmath>
#include "rae/core/parallel.hpp"

namespace rae {
namespace {

using detail::AttentionCall;
using detail::ceil_div;
using detail::round_up;
using detail::Scratch;

// Gradients of keys and values are read and written once for each of these: more rows than the
// forward takes.
constexpr index_t kBackwardQueryRows = 64;

template <class T, class Operands>
void backward(const AttentionCall<T>& call, const Operands& operands, const T* qkv, const T* dout,
              T* dqkv) {
  using Word = typename Operands::Word;
  const index_t tokens = call.tokens, d = call.head_dim, width = call.width(), stride = 3 * width,
                row = call.row();
  const index_t rows = std::min({kBackwardQueryRows, 2 * operands.width, round_up(tokens, 2)}),
                score_row = call.score_row();
  const index_t tasks = call.batch * call.heads,
                gathered = std::max(rows, operands.width) * row + 64;
  if (tasks == 0 || tokens == 0) return;
  const index_t wide = operands.size(d, tokens), tall = operands.size(tokens, d),
                thin = operands.size(rows, d);
  const index_t slab = round_up(tokens, 16) * row, square = rows * score_row;
  const index_t pairs_size = operands.pairs_size(rows, score_row),
                transposed_size = operands.transposed_size(tokens);
  const index_t size = 2 * Scratch::bytes<T>(gathered) + Scratch::bytes<Word>(gathered) +
                       2 * Scratch::bytes<Word>(wide) + Scratch::bytes<Word>(tall) +
                       Scratch::bytes<Word>(thin) + 2 * Scratch::bytes<T>(square) +
                       2 * Scratch::bytes<T>(slab) + Scratch::bytes<Word>(pairs_size) +
                       Scratch::bytes<Word>(transposed_size) + Scratch::kGap;
  const ParallelLoop loop(tasks, ceil_div(detail::kMinParallelWork, tokens * tokens * d));
  Tensor<std::uint8_t> memory(Shape{loop.slots(), size});  // (slots, bytes)
  std::uint8_t* base = memory.data();
  loop.run([&](index_t begin, index_t end, index_t slot) {
    Scratch scratch(base + slot * size);
    T* q_rows = scratch.take<T>(gathered);                   // (rows, hd)
    T* do_rows = scratch.take<T>(gathered);                  // (rows, hd)
    Word* words = scratch.take<Word>(gathered);              // (rows, hd), converted
    Word* keys_transposed = scratch.take<Word>(wide);        // k^T (hd, T), packed
    Word* values_transposed = scratch.take<Word>(wide);      // v^T (hd, T), packed
    Word* keys = scratch.take<Word>(tall);                   // k (T, hd), packed
    Word* packed_rows = scratch.take<Word>(thin);            // q or do (rows, hd), packed
    T* p = scratch.take<T>(square);                          // (rows, T)
    T* dp = scratch.take<T>(square);                         // (rows, T)
    T* dk = scratch.take<T>(slab);                           // (T, hd), the rotated keys first
    T* dv = scratch.take<T>(slab);                           // (T, hd), the values first
    Word* pairs = scratch.take<Word>(pairs_size);            // (rows / 2, T)
    Word* transposed = scratch.take<Word>(transposed_size);  // (T, rows / 2)
    for (index_t task = begin; task < end; ++task) {
      const index_t image = task / call.heads, channel = task % call.heads * d;
      const T* q = qkv + image * tokens * stride + channel;
      const T* upstream = dout + image * tokens * width + channel;
      T* dq = dqkv + image * tokens * stride + channel;
      call.gather(q + width, stride, 0, tokens, true, T(1), dk);
      call.gather(q + 2 * width, stride, 0, tokens, false, T(1), dv);
      const detail::Panels panels = operands.panels(tokens);
      for (index_t panel = 0; panel < panels.count(); ++panel) {
        const index_t at = panels.begin(panel) * row,
                      to = panel * operands.width * operands.depth(d);
        operands.pack_transposed(dk + at, row, d, panels.size(panel), words, keys_transposed + to);
        operands.pack_transposed(dv + at, row, d, panels.size(panel), words,
                                 values_transposed + to);
      }
      operands.pack(dk, row, tokens, d, keys);
      for (index_t first = 0; first < tokens; first += rows) {
        const index_t count = std::min(rows, tokens - first);
        const bool adds = first > 0;
        call.gather(q, stride, first, count, true, call.score_scale(), q_rows);
        call.gather(upstream, width, first, count, false, T(1), do_rows);
        operands.multiply(count, d, operands.rows(q_rows, row, count, words), keys_transposed,
                          tokens, p, score_row);
        for (index_t r = 0; r < count; ++r) {
          T* scores = p + r * score_row;
          const T sum = operands.real.exp2_and_sum(tokens, scores);
          operands.real.rotate(tokens, scores, nullptr, nullptr, false, T(1) / sum, scores);
        }
        operands.multiply(count, d, operands.rows(do_rows, row, count, words), values_transposed,
                          tokens, dp, score_row);
        for (index_t r = 0; r < count; ++r) {
          T* row_dp = dp + r * score_row;
          operands.real.softmax_backward(tokens, p + r * score_row, row_dp, row_dp);
          row_dp[tokens] =
              T(0);  // zero the padding of the last word when the number of tokens is odd
        }

        operands.pack(do_rows, row, count, d, packed_rows);
        operands.multiply(tokens, count,
                          operands.columns(p, score_row, count, tokens, pairs, transposed),
                          packed_rows, d, dv, row, adds);
        operands.pack(q_rows, row, count, d, packed_rows);
        operands.multiply(tokens, count,
                          operands.columns(dp, score_row, count, tokens, pairs, transposed),
                          packed_rows, d, dk, row, adds);

        operands.multiply(count, tokens, operands.rows(dp, score_row, count, pairs), keys, d,
                          q_rows, row);
        call.scatter(q_rows, true, T(1) / std::sqrt(T(d)), first, count, dq, stride);
      }
      call.scatter(dk, true, T(1) / T(detail::kLog2E), 0, tokens, dq + width,
                   stride);  // the queries include the score scale and log2(e)
      call.scatter(dv, false, T(1), 0, tokens, dq + 2 * width, stride);
    }
  });
}

}  // namespace

template <Real T>
void attention_backward(View<const T> qkv, index_t heads, RopeView<T> rope, View<const T> dout,
                        View<T> dqkv, DType operands) {
  const AttentionCall<T> call("attention_backward", qkv, heads, rope);
  require_shape("attention_backward: dout", dout.shape(), {call.batch, call.tokens, call.width()});
  detail::require_elements("attention_backward", qkv.numel(), dqkv);
  detail::require_elements("attention_backward", dout.numel(), dout);
  detail::require_operands<T>("attention_backward", operands);
  const detail::ProfiledKernel profiled(detail::KernelKind::attention, [&] {
    return detail::attention_cost(call, 5, operands, detail::cost_of_bytes(qkv, dout, dqkv).bytes);
  });
  if constexpr (std::same_as<T, float>) {
    if (operands == DType::bf16)
      return backward(call, detail::Bf16Operands(), qkv.data(), dout.data(), dqkv.data());
  }
  backward(call, detail::PlainOperands<T>(), qkv.data(), dout.data(), dqkv.data());
}

template void attention_backward<float>(View<const float>, index_t, RopeView<float>,
                                        View<const float>, View<float>, DType);
template void attention_backward<double>(View<const double>, index_t, RopeView<double>,
                                         View<const double>, View<double>, DType);

}  // namespace rae
