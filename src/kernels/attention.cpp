#include "rae/kernels/attention.hpp"

#include <cmath>

#include "kernels/contiguous.hpp"
#include "kernels/kernel_table.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {
namespace {

using detail::KernelTable;

// Query rows whose scores are held at once: with 256 keys of f32 they take 64 KiB, a fraction of a level-2 cache.
constexpr index_t kQueryRows = 64;

struct Extents {
  index_t batch, tokens, heads, head_dim;
  [[nodiscard]] index_t width() const { return heads * head_dim; }
};

template <class T>
Extents check(std::string_view where, const View<const T>& qkv, index_t heads, const RopeView<T>& rope) {
  if (qkv.shape().rank() != 3 || heads < 1 || qkv.extent(2) == 0 || qkv.extent(2) % (3 * heads) != 0)
    raise<ShapeError>(where, ": expected qkv (B, T, 3*H*hd) for H = ", heads, " heads, got ", qkv.shape());
  const Extents e{qkv.extent(0), qkv.extent(1), heads, qkv.extent(2) / (3 * heads)};
  detail::require_elements(where, qkv.numel(), qkv);
  if (rope.cos.empty() != rope.sin.empty()) raise<ShapeError>(where, ": the rope needs both cos and sin");
  if (!rope.cos.empty()) {
    if (e.head_dim % 2 != 0) raise<ShapeError>(where, ": rotary embedding needs an even head dimension, got ", e.head_dim);
    detail::require_elements("attention: rope table", e.tokens * e.head_dim, rope.cos, rope.sin);
  }
  return e;
}

// out (tokens, hd) = scale * rotated rows of one head.
template <class T>
void gather_rotated(const T* x, index_t stride, const Extents& e, const RopeView<T>& rope, T scale, T* out) {
  for (index_t t = 0; t < e.tokens; ++t) {
    const T* row = x + t * stride;
    T* target = out + t * e.head_dim;
    if (rope.cos.empty()) {
      for (index_t i = 0; i < e.head_dim; ++i) target[i] = scale * row[i];
      continue;
    }
    const T *c = rope.cos.data() + t * e.head_dim, *s = rope.sin.data() + t * e.head_dim;
    for (index_t i = 0; i < e.head_dim; i += 2) {
      target[i] = scale * (row[i] * c[i] - row[i + 1] * s[i]);
      target[i + 1] = scale * (row[i + 1] * c[i + 1] + row[i] * s[i + 1]);
    }
  }
}

// The transpose of gather_rotated: writes the gradient of one head's rows, rotated back.
template <class T>
void scatter_rotated_back(const T* gradient, const Extents& e, const RopeView<T>& rope, T scale, T* out, index_t stride) {
  for (index_t t = 0; t < e.tokens; ++t) {
    const T* row = gradient + t * e.head_dim;
    T* target = out + t * stride;
    if (rope.cos.empty()) {
      for (index_t i = 0; i < e.head_dim; ++i) target[i] = scale * row[i];
      continue;
    }
    const T *c = rope.cos.data() + t * e.head_dim, *s = rope.sin.data() + t * e.head_dim;
    for (index_t i = 0; i < e.head_dim; i += 2) {
      target[i] = scale * (row[i] * c[i] + row[i + 1] * s[i + 1]);
      target[i + 1] = scale * (row[i + 1] * c[i + 1] - row[i] * s[i]);
    }
  }
}

// Scratch memory of one task, cut from one allocation.
template <class T>
class Scratch {
 public:
  explicit Scratch(T* begin) : next_(begin) {}
  T* take(index_t count) {
    T* here = next_;
    next_ += rounded(count);
    return here;
  }
  // Whole cache lines, so that panels are aligned for vector loads.
  static index_t rounded(index_t count) { return (count + 15) / 16 * 16; }

 private:
  T* next_;
};

template <class T>
index_t panels_size(const KernelTable<T>& table, index_t k, index_t n) {
  return (n + table.panel_width - 1) / table.panel_width * table.panel_width * k;
}

template <class T>
void pack(const KernelTable<T>& table, const T* b, index_t row_stride, index_t column_stride, index_t k, index_t n, T* panels) {
  const index_t width = table.panel_width;
  for (index_t j = 0; j < n; j += width)
    table.pack_panel(b + j * column_stride, row_stride, column_stride, k, std::min(width, n - j), panels + j * k);
}

template <class T>
void multiply(const KernelTable<T>& table, index_t m, index_t k, const T* a, index_t row_stride, index_t column_stride, const T* panels,
              index_t n, T* out, index_t ldo) {
  const index_t width = table.panel_width;
  for (index_t j = 0; j < n; j += width)
    table.gemm_panel({.rows = m,
                      .k = k,
                      .a = a,
                      .row_stride = row_stride,
                      .column_stride = column_stride,
                      .panel = panels + j * k,
                      .columns = std::min(width, n - j),
                      .out = out + j,
                      .out_stride = ldo,
                      .bias = nullptr,
                      .activation = Activation::none,
                      .accumulate = false});
}

// Runs body(batch, head, scratch) for every head of every image, with `size` elements of scratch each.
template <class T, class Body>
void for_each_head(const Extents& e, index_t size, Body body) {
  const index_t count = e.batch * e.heads;
  if (count == 0 || e.tokens == 0) return;
  const index_t slots = std::min<index_t>(count, num_threads());
  const index_t aligned = Scratch<T>::rounded(size);
  Tensor<T> memory(Shape{slots, aligned});  // (slots, scratch)
  T* base = memory.data();
  const index_t grain = std::max<index_t>(1, (1 << 15) / (e.tokens * e.tokens * e.head_dim));
  parallel_ranges(count, grain, [&](index_t begin, index_t end, index_t slot) {
    for (index_t i = begin; i < end; ++i) body(i / e.heads, i % e.heads, Scratch<T>(base + slot * aligned));
  });
}

}  // namespace

template <Real T>
void attention(View<const T> qkv, index_t heads, RopeView<T> rope, View<T> out) {
  const Extents e = check("attention", qkv, heads, rope);
  require_shape("attention: out", out.shape(), {e.batch, e.tokens, e.width()});
  detail::require_elements("attention: out", out.numel(), out);
  const auto& table = detail::kernel_table<T>();
  const index_t rows = std::min(kQueryRows, e.tokens), stride = 3 * e.width(), panel = table.panel_width;
  const index_t size = 2 * (e.tokens * e.head_dim + 16) + panels_size(table, e.head_dim, e.tokens) +
                       panels_size(table, e.tokens, e.head_dim) + rows * e.tokens + 4 * 16 + panel;
  for_each_head<T>(e, size, [&](index_t b, index_t h, Scratch<T> scratch) {
    const T* q = qkv.data() + b * e.tokens * stride + h * e.head_dim;
    T* queries = scratch.take(e.tokens * e.head_dim);                          // (T, hd)
    T* keys = scratch.take(e.tokens * e.head_dim);                             // (T, hd)
    T* key_panels = scratch.take(panels_size(table, e.head_dim, e.tokens));    // k^T (hd, T)
    T* value_panels = scratch.take(panels_size(table, e.tokens, e.head_dim));  // v (T, hd)
    T* scores = scratch.take(rows * e.tokens);                                 // (rows, T)
    gather_rotated(q, stride, e, rope, T(1) / std::sqrt(T(e.head_dim)), queries);
    gather_rotated(q + e.width(), stride, e, rope, T(1), keys);
    pack(table, keys, index_t{1}, e.head_dim, e.head_dim, e.tokens, key_panels);
    pack(table, q + 2 * e.width(), stride, index_t{1}, e.tokens, e.head_dim, value_panels);
    T* target = out.data() + b * e.tokens * e.width() + h * e.head_dim;
    for (index_t first = 0; first < e.tokens; first += rows) {
      const index_t m = std::min(rows, e.tokens - first);
      multiply(table, m, e.head_dim, queries + first * e.head_dim, e.head_dim, index_t{1}, key_panels, e.tokens, scores, e.tokens);
      for (index_t r = 0; r < m; ++r) table.softmax(e.tokens, scores + r * e.tokens, scores + r * e.tokens);
      multiply(table, m, e.tokens, scores, e.tokens, index_t{1}, value_panels, e.head_dim, target + first * e.width(), e.width());
    }
  });
}

// With P = softmax(q k^T s): dv = P^T do, dP = do v^T, dS = P * (dP - rowsum(P * dP)), dq = s dS k, dk = s dS^T q.
template <Real T>
void attention_backward(View<const T> qkv, index_t heads, RopeView<T> rope, View<const T> dout, View<T> dqkv) {
  const Extents e = check("attention_backward", qkv, heads, rope);
  require_shape("attention_backward: dout", dout.shape(), {e.batch, e.tokens, e.width()});
  detail::require_elements("attention_backward", qkv.numel(), dqkv);
  detail::require_elements("attention_backward", dout.numel(), dout);
  const auto& table = detail::kernel_table<T>();
  const index_t stride = 3 * e.width(), square = e.tokens * e.tokens, slab = e.tokens * e.head_dim;
  const index_t panels = std::max(panels_size(table, e.head_dim, e.tokens), panels_size(table, e.tokens, e.head_dim));
  for_each_head<T>(e, 3 * (slab + 16) + 2 * (square + 16) + panels + 16, [&](index_t b, index_t h, Scratch<T> scratch) {
    const T* q = qkv.data() + b * e.tokens * stride + h * e.head_dim;
    T* dq = dqkv.data() + b * e.tokens * stride + h * e.head_dim;
    const T* upstream = dout.data() + b * e.tokens * e.width() + h * e.head_dim;
    const T scale = T(1) / std::sqrt(T(e.head_dim));
    T* queries = scratch.take(slab);   // (T, hd)
    T* keys = scratch.take(slab);      // (T, hd)
    T* gradient = scratch.take(slab);  // (T, hd)
    T* p = scratch.take(square);       // (T, T)
    T* dp = scratch.take(square);      // (T, T)
    T* operand = scratch.take(panels);
    gather_rotated(q, stride, e, rope, scale, queries);
    gather_rotated(q + e.width(), stride, e, rope, T(1), keys);
    pack(table, keys, index_t{1}, e.head_dim, e.head_dim, e.tokens, operand);
    multiply(table, e.tokens, e.head_dim, queries, e.head_dim, index_t{1}, operand, e.tokens, p, e.tokens);
    for (index_t r = 0; r < e.tokens; ++r) table.softmax(e.tokens, p + r * e.tokens, p + r * e.tokens);

    pack(table, upstream, e.width(), index_t{1}, e.tokens, e.head_dim, operand);
    multiply(table, e.tokens, e.tokens, p, index_t{1}, e.tokens, operand, e.head_dim, dq + 2 * e.width(), stride);  // dv

    pack(table, q + 2 * e.width(), index_t{1}, stride, e.head_dim, e.tokens, operand);
    multiply(table, e.tokens, e.head_dim, upstream, e.width(), index_t{1}, operand, e.tokens, dp, e.tokens);
    for (index_t r = 0; r < e.tokens; ++r) table.softmax_backward(e.tokens, p + r * e.tokens, dp + r * e.tokens, dp + r * e.tokens);

    pack(table, keys, e.head_dim, index_t{1}, e.tokens, e.head_dim, operand);
    multiply(table, e.tokens, e.tokens, dp, e.tokens, index_t{1}, operand, e.head_dim, gradient, e.head_dim);
    scatter_rotated_back(gradient, e, rope, scale, dq, stride);

    pack(table, queries, e.head_dim, index_t{1}, e.tokens, e.head_dim, operand);  // these already carry the scale
    multiply(table, e.tokens, e.tokens, dp, index_t{1}, e.tokens, operand, e.head_dim, gradient, e.head_dim);
    scatter_rotated_back(gradient, e, rope, T(1), dq + e.width(), stride);
  });
}

template void attention<float>(View<const float>, index_t, RopeView<float>, View<float>);
template void attention<double>(View<const double>, index_t, RopeView<double>, View<double>);
template void attention_backward<float>(View<const float>, index_t, RopeView<float>, View<const float>, View<float>);
template void attention_backward<double>(View<const double>, index_t, RopeView<double>, View<const double>, View<double>);

}  // namespace rae
