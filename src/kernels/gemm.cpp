#include "rae/kernels/gemm.hpp"

#include "kernels/kernel_table.hpp"
#include "rae/core/parallel.hpp"

namespace rae {
namespace {

// Rows of a task: a multiple of every tile height, small enough that the tasks of a thin product still balance.
constexpr index_t kRowsPerTask = 96;
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

// The tile reads rows of a; anything else is copied into rows once.
template <class T>
Tensor<T> row_major(const View<const T>& a) {
  Tensor<T> rows(a.shape());
  T* target = rows.data();
  const index_t m = a.extent(0), k = a.extent(1);
  constexpr index_t kBlock = 16;
  parallel_ranges(ceil_div(m, kBlock), ceil_div(kSerialWork, std::max<index_t>(1, kBlock * k)), [&](index_t begin, index_t end) {
    for (index_t block = begin; block < end; ++block)
      for (index_t p0 = 0; p0 < k; p0 += kBlock)
        for (index_t i = block * kBlock; i < std::min(m, (block + 1) * kBlock); ++i)
          for (index_t p = p0; p < std::min(k, p0 + kBlock); ++p) target[i * k + p] = a(i, p);
  });
  return rows;
}

template <class T>
void multiply_panels(const View<const T>& a, const T* panels, const View<T>& out, const BasicEpilogue<T>& epilogue) {
  const auto& table = detail::kernel_table<T>();
  const index_t m = out.extent(0), n = out.extent(1), k = a.extent(1), width = table.panel_width;
  if (m == 0 || n == 0) return;
  Tensor<T> copy;  // (M, K)
  const T* rows = a.data();
  index_t lda = a.stride(0);
  if (k > 1 && a.stride(1) != 1) {
    copy = row_major(a);
    rows = std::as_const(copy).data();
    lda = k;
  }
  // Tasks run down the rows of one panel before the next panel, so that a thread keeps its panel in cache. Every element of out
  // is one sum over all of k, whoever computes it.
  const index_t blocks = ceil_div(m, kRowsPerTask), count = blocks * ceil_div(n, width);
  const index_t work = std::min(m, kRowsPerTask) * std::min(n, width) * k;
  parallel_ranges(count, ceil_div(kSerialWork, std::max<index_t>(1, work)), [&](index_t begin, index_t end) {
    for (index_t task = begin; task < end;) {
      const index_t panel = task / blocks, block = task % blocks;
      const index_t next = std::min(end, (panel + 1) * blocks);
      const index_t first = block * kRowsPerTask, last = std::min(m, first + (next - task) * kRowsPerTask), column = panel * width;
      table.gemm_panel(last - first, k, rows + first * lda, lda, panels + panel * k * width, std::min(width, n - column),
                       out.data() + first * out.stride(0) + column, out.stride(0),
                       epilogue.bias.empty() ? nullptr : epilogue.bias.data() + column, epilogue.activation, epilogue.accumulate);
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
  const Tensor<T> packed = pack(b);
  multiply_panels(a, packed.data(), out, epilogue);
}

template <Real T>
void gemm(View<const T> a, const PackedMatrix<T>& b, View<T> out, const BasicEpilogue<T>& epilogue) {
  check(a, b.k(), b.n(), out, epilogue);
  multiply_panels(a, b.data(), out, epilogue);
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;
template void gemm<float>(View<const float>, View<const float>, View<float>, const Epilogue&);
template void gemm<double>(View<const double>, View<const double>, View<double>, const BasicEpilogue<double>&);
template void gemm<float>(View<const float>, const PackedMatrix<float>&, View<float>, const Epilogue&);
template void gemm<double>(View<const double>, const PackedMatrix<double>&, View<double>, const BasicEpilogue<double>&);

}  // namespace rae
