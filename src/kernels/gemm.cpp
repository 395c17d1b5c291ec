#include "rae/kernels/gemm.hpp"

#include "kernels/kernel_table.hpp"
#include "rae/core/parallel.hpp"

namespace rae {
namespace {

// Most rows of a task, a multiple of every tile height and of kRowStep: small enough that the tasks of a thin product still balance.
constexpr index_t kRowsPerTask = 96;
// Rows of tasks are rounded up to this multiple of the tile heights 8, 6 and 4.
constexpr index_t kRowStep = 24;
// Terms of a sum that are added before its result goes back to memory: this much of a panel stays in a level-2 cache.
constexpr index_t kDepth = 512;
// Work below which a second thread does not pay, in multiply-adds.
constexpr index_t kSerialWork = 1 << 15;

constexpr index_t ceil_div(index_t a, index_t b) { return (a + b - 1) / b; }

template <class T>
void check(const View<const T>& a, index_t bk, index_t bn, const View<T>& out, const BasicEpilogue<T>& epilogue) {
  if (a.shape().rank() != 2 || out.shape().rank() != 2)
    raise<ShapeError>("gemm: operands must be matrices, got a ", a.shape(), ", out ", out.shape());
  if (a.extent(1) != bk || out.extent(0) != a.extent(0) || out.extent(1) != bn)
    raise<ShapeError>("gemm: a ", a.shape(), " times b ", Shape{bk, bn}, " does not give out ", out.shape());
  if (bn > 1 && out.stride(1) != 1) raise<ShapeError>("gemm: the rows of out must be contiguous");
  if (!epilogue.bias.empty() && (epilogue.bias.numel() != bn || !epilogue.bias.is_contiguous()))
    raise<ShapeError>("gemm: expected a contiguous bias of ", bn, " elements, got ", epilogue.bias.shape());
}

template <class T>
Tensor<T> pack(const View<const T>& b) {
  const auto& table = detail::kernel_table<T>();
  const index_t k = b.extent(0), n = b.extent(1), width = table.panel_width, panels = ceil_div(n, width);
  Tensor<T> packed(Shape{panels, k, width});  // (panels, K, width)
  T* target = packed.data();
  parallel_for(panels, ceil_div(kSerialWork, std::max<index_t>(1, k * width)), [&](index_t p) {
    table.pack_panel(b.data() + p * width * b.stride(1), b.stride(0), b.stride(1), k, std::min(width, n - p * width),
                     target + p * k * width);
  });
  return packed;
}

/// `panel_of(panel, slot)` gives the packed columns of b from panel * width on.
template <class T, class PanelOf>
void multiply_panels(const View<const T>& a, PanelOf panel_of, const View<T>& out, const BasicEpilogue<T>& epilogue) {
  const auto& table = detail::kernel_table<T>();
  const index_t m = out.extent(0), n = out.extent(1), k = a.extent(1), width = table.panel_width;
  // Tasks run down the rows of one panel before the next panel, so that a thread keeps its panel in cache. Every element of out
  // is one sum over all of k, whoever computes it.
  const index_t rows = ceil_div(ceil_div(m, ceil_div(m, kRowsPerTask)), kRowStep) * kRowStep;  // of a task
  const index_t blocks = ceil_div(m, rows), count = blocks * ceil_div(n, width);
  const index_t work = std::min(m, rows) * std::min(n, width) * k;
  parallel_ranges(count, ceil_div(kSerialWork, std::max<index_t>(1, work)), [&](index_t begin, index_t end, index_t slot) {
    for (index_t task = begin; task < end;) {
      const index_t panel = task / blocks, block = task % blocks;
      const index_t next = std::min(end, (panel + 1) * blocks);
      const index_t first = block * rows, last = std::min(m, first + (next - task) * rows), column = panel * width;
      const T* packed = panel_of(panel, slot);
      for (index_t depth = 0; depth < k || depth == 0; depth += kDepth) {
        const bool ends = depth + kDepth >= k;
        table.gemm_panel(last - first, std::min(kDepth, k - depth), a.data() + first * a.stride(0) + depth * a.stride(1), a.stride(0),
                         a.stride(1), packed + depth * width, std::min(width, n - column), out.data() + first * out.stride(0) + column,
                         out.stride(0), epilogue.bias.empty() || !ends ? nullptr : epilogue.bias.data() + column,
                         ends ? epilogue.activation : Activation::none, epilogue.accumulate || depth > 0);
      }
      task = next;
    }
  });
}

}  // namespace

template <Real T>
PackedMatrix<T>::PackedMatrix(View<const T> b) {
  if (b.shape().rank() != 2) raise<ShapeError>("PackedMatrix: expected a matrix, got ", b.shape());
  panels_ = pack(b);
  k_ = b.extent(0);
  n_ = b.extent(1);
}

template <Real T>
void gemm(View<const T> a, View<const T> b, View<T> out, const BasicEpilogue<T>& epilogue) {
  if (b.shape().rank() != 2) raise<ShapeError>("gemm: operands must be matrices, got b ", b.shape());
  check(a, b.extent(0), b.extent(1), out, epilogue);
  if (out.numel() == 0) return;
  // Each thread packs the panel that it is about to use.
  const auto& table = detail::kernel_table<T>();
  const index_t k = b.extent(0), n = b.extent(1), width = table.panel_width;
  Tensor<T> memory(Shape{num_threads(), k, width});  // (threads, K, width)
  T* scratch = memory.data();
  const auto panel_of = [&](index_t panel, index_t slot) {
    T* packed = scratch + slot * k * width;
    table.pack_panel(b.data() + panel * width * b.stride(1), b.stride(0), b.stride(1), k, std::min(width, n - panel * width), packed);
    return packed;
  };
  multiply_panels(a, panel_of, out, epilogue);
}

template <Real T>
void gemm(View<const T> a, const PackedMatrix<T>& b, View<T> out, const BasicEpilogue<T>& epilogue) {
  check(a, b.k(), b.n(), out, epilogue);
  if (out.numel() == 0) return;
  const T* panels = b.data();
  const index_t size = b.k() * detail::kernel_table<T>().panel_width;
  multiply_panels(
      a, [=](index_t panel, index_t) { return panels + panel * size; }, out, epilogue);
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;
template void gemm<float>(View<const float>, View<const float>, View<float>, const Epilogue&);
template void gemm<double>(View<const double>, View<const double>, View<double>, const BasicEpilogue<double>&);
template void gemm<float>(View<const float>, const PackedMatrix<float>&, View<float>, const Epilogue&);
template void gemm<double>(View<const double>, const PackedMatrix<double>&, View<double>, const BasicEpilogue<double>&);

}  // namespace rae
