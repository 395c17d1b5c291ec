// A few query rows at a time against all keys of their head: with 256 keys, the scores of 32 rows
// take 32 KiB, so they never leave the caches, and a softmax needs no running maximum. Keys and
// values are packed once for all query rows of a head that a thread computes.
//
// bench_attention on two cores of Zen 5, milliseconds of one image (fraction of the peak that its
// two products reach):
//
//   tokens x heads x width    f32, 1 thread   2 threads     bf16, 1 thread   2 threads
//   256 x 16 x 72, rotated    1.48 (0.71)     0.76 (0.70)   0.95 (0.55)      0.50 (0.54)
//   261 x 12 x 64             1.03 (0.71)     0.53 (0.69)   0.68 (0.54)      0.36 (0.51)
//   256 x 16 x 128, rotated   2.41 (0.79)     1.21 (0.78)   1.48 (0.63)      0.78 (0.63)
//
// Of the first line's time in bf16 the products take 0.64, exponentials 0.17, rotation and scaling
// 0.08. Width 72 fills five vectors of 16, so that its products can reach at most 0.95.
#include "rae/kernels/attention.hpp"

#include <algorithm>

#include "kernels/attention_call.hpp"
#include "rae/core/parallel.hpp"

namespace rae {
namespace {

using detail::AttentionCall;
using detail::ceil_div;
using detail::Scratch;

constexpr index_t kQueryRows = 32;

template <class T, class Operands>
void forward(const AttentionCall<T>& call, const Operands& operands, const T* qkv, T* out) {
  using Word = typename Operands::Word;
  const index_t tokens = call.tokens, d = call.head_dim, width = call.width(), stride = 3 * width,
                row = call.row();
  const index_t rows = std::min(kQueryRows, tokens), blocks = ceil_div(tokens, rows),
                tasks = call.batch * call.heads * blocks;
  if (tasks == 0) return;
  const index_t score_row = call.score_row(), gathered = std::max(rows, operands.width) * row + 64;
  const index_t size = Scratch::bytes<T>(gathered) + Scratch::bytes<Word>(gathered) +
                       Scratch::bytes<Word>(operands.size(d, tokens)) +
                       Scratch::bytes<Word>(operands.size(tokens, d)) +
                       Scratch::bytes<T>(rows * score_row) + Scratch::bytes<T>(rows * row) +
                       Scratch::bytes<T>(rows) + Scratch::kGap;
  const ParallelLoop loop(tasks, detail::kMinParallelWork / (rows * tokens * d));
  Tensor<std::uint8_t> memory(Shape{loop.slots(), size});  // (slots, bytes)
  std::uint8_t* base = memory.data();
  loop.run([&](index_t begin, index_t end, index_t slot) {
    Scratch scratch(base + slot * size);
    T* head_rows = scratch.take<T>(gathered);                   // (rows or columns of a panel, hd)
    Word* words = scratch.take<Word>(gathered);                 // the same, converted
    Word* keys = scratch.take<Word>(operands.size(d, tokens));  // k^T (hd, T), packed
    Word* values = scratch.take<Word>(operands.size(tokens, d));  // v (T, hd), packed
    T* scores = scratch.take<T>(rows * score_row);                // (rows, T)
    T* sums = scratch.take<T>(rows);                              // (rows)
    T* weighted = scratch.take<T>(rows * row);                    // (rows, hd)
    for (index_t task = begin; task < end; ++task) {
      const index_t head = task / blocks, first = task % blocks * rows,
                    count = std::min(rows, tokens - first);
      const index_t image = head / call.heads, channel = head % call.heads * d;
      const T* q = qkv + image * tokens * stride + channel;
      if (task == begin || first == 0) {
        const detail::Panels panels = operands.panels(tokens);
        for (index_t panel = 0; panel < panels.count(); ++panel) {
          call.gather(q + width, stride, panels.begin(panel), panels.size(panel), true, T(1),
                      head_rows);
          operands.pack_transposed(head_rows, row, d, panels.size(panel), words,
                                   keys + panel * operands.width * operands.depth(d));
        }
        operands.pack(q + 2 * width, stride, tokens, d, values);
      }
      call.gather(q, stride, first, count, true, call.score_scale(), head_rows);
      operands.multiply(count, d, operands.rows(head_rows, row, count, words), keys, tokens, scores,
                        score_row);
      for (index_t r = 0; r < count; ++r)
        sums[r] = operands.exp2_and_sum(tokens, scores + r * score_row);
      operands.multiply(count, tokens, operands.probabilities(scores, score_row), values, d,
                        weighted, row);
      T* target = out + (image * tokens + first) * width + channel;
      for (index_t r = 0; r < count; ++r)
        operands.real.rotate(d, weighted + r * row, nullptr, nullptr, false, T(1) / sums[r],
                             target + r * width);
    }
  });
}

}  // namespace

template <Real T>
void attention(View<const T> qkv, index_t heads, RopeView<T> rope, View<T> out, DType operands) {
  const AttentionCall<T> call("attention", qkv, heads, rope);
  require_shape("attention: out", out.shape(), {call.batch, call.tokens, call.width()});
  detail::require_elements("attention: out", out.numel(), out);
  detail::require_operands<T>("attention", operands);
  const detail::ProfiledKernel profiled(detail::KernelKind::attention, [&] {
    return detail::attention_cost(call, 2, operands, detail::cost_of_bytes(qkv, out).bytes);
  });
  if constexpr (std::same_as<T, float>) {
    if (operands == DType::bf16)
      return forward(call, detail::Bf16Operands(), qkv.data(), out.data());
  }
  forward(call, detail::PlainOperands<T>(), qkv.data(), out.data());
}

template void attention<float>(View<const float>, index_t, RopeView<float>, View<float>, DType);
template void attention<double>(View<const double>, index_t, RopeView<double>, View<double>, DType);

}  // namespace rae
