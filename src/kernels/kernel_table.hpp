// The row- and tile-level functions that exist once per instruction set, and the choice among them.
#pragma once

#include <utility>

#include "rae/core/cpu.hpp"
#include "rae/core/shape.hpp"
#include "rae/kernels/activation.hpp"
#include "rae/kernels/norm.hpp"

namespace rae::detail {

/// One row of a norm: all vectors have d elements; null means absent.
template <class T>
struct NormRow {
  NormKind kind;
  T eps;
  const T *weight, *bias, *shift, *scale;
};

/// Where one row of a norm's backward adds its share; null means not wanted.
template <class T>
struct NormRowGradients {
  T *dweight, *dbias, *dshift, *dscale;
};

/// Every function works on plain contiguous memory, allocates nothing and does not throw.
template <class T>
struct KernelTable {
  index_t tile_rows;    ///< rows of a GEMM tile
  index_t panel_width;  ///< columns of a packed GEMM panel

  /// dst[k][panel_width] = b(k, 0..columns), zero-padded.
  void (*pack_panel)(const T* b, index_t row_stride, index_t column_stride, index_t k, index_t columns, T* dst);

  /// out (m, columns) = activation(a (m, k) * panel + bias), or + out when `accumulate`; a(i, p) = a[i * row_stride + p * column_stride].
  void (*gemm_panel)(index_t m, index_t k, const T* a, index_t row_stride, index_t column_stride, const T* panel, index_t columns, T* out,
                     index_t ldo, const T* bias, Activation activation, bool accumulate);

  void (*activate)(Activation f, index_t n, const T* x, T* out);
  void (*activate_backward)(Activation f, index_t n, const T* x, const T* dout, T* dx);
  void (*swiglu)(index_t f, const T* x, T* out);
  void (*swiglu_backward)(index_t f, const T* x, const T* dout, T* dx);
  void (*norm)(index_t d, const T* x, const NormRow<T>& row, T* out);
  void (*norm_backward)(index_t d, const T* x, const NormRow<T>& row, const T* dout, T* dx, const NormRowGradients<T>& gradients);
  void (*softmax)(index_t n, const T* x, T* out);
  void (*softmax_backward)(index_t n, const T* p, const T* dp, T* ds);  ///< ds = p * (dp - sum(p * dp))
};

/// The tables of one instruction set.
struct IsaTables {
  const KernelTable<float>* f32;
  const KernelTable<double>* f64;
};

IsaTables baseline_tables() noexcept;
#if defined(RAE_X86)
IsaTables avx2_tables() noexcept;
IsaTables avx512_tables() noexcept;
#endif

/// The table in use: the widest that the CPU supports, or what the environment variable RAE_ISA names.
template <Real T>
const KernelTable<T>& kernel_table() noexcept;
template <>
const KernelTable<float>& kernel_table<float>() noexcept;
template <>
const KernelTable<double>& kernel_table<double>() noexcept;

}  // namespace rae::detail
