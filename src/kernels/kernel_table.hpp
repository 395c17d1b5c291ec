// The row- and tile-level functions that exist once per instruction set, and the choice among them.
#pragma once

#include <cstdint>
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

/// Where one row of a norm's backward adds its share, and what is added to dx; null means not
/// wanted.
template <class T>
struct NormRowGradients {
  const T* add;
  T *dweight, *dbias, *dshift, *dscale;
};

/// out (rows, columns) = activation([out +] a (rows, k) * panel (k, panel width) + bias), for a
/// panel of columns of the right operand; with a residual, out = residual + gate * that. With
/// SwiGLU, the first half of the panel are gates and the second half what they let through, and out
/// is half as wide.
///
/// `Word` is an element along k: a number, or a 32-bit word of two bf16 or four 8-bit numbers, the
/// first in the low bits.
template <class Word, class T>
struct PanelProduct {
  index_t rows, k;  ///< k in words
  const Word* a;    ///< a(i, p) = a[i * row_stride + p * column_stride]
  index_t row_stride, column_stride;
  const Word* panel;
  index_t columns;  ///< of out, at most the width of the panel, or half of it
  T* out;
  index_t out_stride;
  const T* bias;  ///< (columns), or null
  Activation activation;
  bool accumulate;             ///< add to what out holds, before bias and activation
  const Word* next = nullptr;  ///< what is multiplied after this, to be brought near meanwhile
  index_t next_bytes = 0;      ///< of `next`; 0: unknown
  bool out_is_near = false;    ///< nothing of out needs to be fetched
  const float* row_scale = nullptr;     ///< 8 bits: (rows), what a unit of a means
  const float* column_scale = nullptr;  ///< 8 bits: (panel width), what a unit of the panel means
  const std::int32_t* compensation =
      nullptr;     ///< 8 bits: (panel width), 128 times the sum of a column
  index_t up = 0;  ///< SwiGLU: bias[up + j] belongs to column j of the second half of the panel
  const T* residual = nullptr;  ///< (rows, columns), or null
  index_t residual_stride = 0;
  const T* gate = nullptr;  ///< row g serves `rows_per_gate` rows of the whole product, of which
                            ///< the first here is `row`; null: 1
  index_t gate_stride = 0, rows_per_gate = 1, row = 0;
};

/// Every function works on plain contiguous memory, allocates nothing and does not throw.
template <class T>
struct KernelTable {
  index_t tile_rows;    ///< rows of a GEMM tile
  index_t panel_width;  ///< columns of a packed GEMM panel
  index_t lanes;        ///< elements of a vector

  /// dst[k][panel_width] = b(k, 0..columns), zero-padded.
  void (*pack_panel)(const T* b, index_t row_stride, index_t column_stride, index_t k,
                     index_t columns, T* dst);

  void (*gemm_panel)(const PanelProduct<T, T>&);

  void (*activate)(Activation f, index_t n, const T* x, T* out);
  void (*activate_backward)(Activation f, index_t n, const T* x, const T* dout, T* dx);
  void (*swiglu)(index_t f, const T* x, T* out);
  void (*swiglu_backward)(index_t f, const T* x, const T* dout, T* dx);
  void (*norm)(index_t d, const T* x, const NormRow<T>& row, T* out);
  void (*norm_backward)(index_t d, const T* x, const NormRow<T>& row, const T* dout, T* dx,
                        const NormRowGradients<T>& gradients);
  void (*softmax)(index_t n, const T* x, T* out);
  void (*softmax_backward)(index_t n, const T* p, const T* dp,
                           T* ds);  ///< ds = p * (dp - sum(p * dp))

  /// out = scale * x, each pair turned by its angle, or back; not turned where cos is null. out may
  /// be x.
  void (*rotate)(index_t n, const T* x, const T* cos, const T* sin, bool inverse, T scale, T* out);

  /// x = 2^(x - largest x), whose sum is returned. x is overwritten up to a multiple of `lanes`.
  T (*exponentials)(index_t n, T* x);
};

/// Products with integers of one width in groups of 32, whose panels have their scales after their
/// words (kernels/grouped_product.hpp).
struct GroupedTable {
  /// a is 16-bit integers with a scale for each row; k counts words of the panel. For 8 bits, of
  /// four neighbours along K one word of a holds numbers 0 and 2, and the next 1 and 3.
  void (*panel)(const PanelProduct<std::uint32_t, float>&);

  /// A panel of `words` words along k with its integers widened to 16 bits, for
  /// `int16_groups_panel`, and its scales.
  void (*widen)(index_t words, const std::uint32_t* panel, std::uint32_t* out);

  /// A panel of `words` words along k as one of bf16 words: each integer times its scale, rounded
  /// to nearest even.
  void (*dequantize)(index_t words, const std::uint32_t* panel, std::uint32_t* out);
};

/// Products of f32 numbers that are stored narrower: as bf16, or as 8-bit integers with a scale.
struct NarrowTable {
  index_t panel_width;

  /// As of the KernelTable, for words.
  void (*pack_panel)(const std::uint32_t* b, index_t row_stride, index_t column_stride, index_t k,
                     index_t columns, std::uint32_t* dst);

  /// Round to nearest even; the out are bits of bf16.
  void (*row_to_bf16)(index_t n, const float* x, std::uint16_t* out);

  /// out = round(x / s) + offset with s = largest |x| / 127, which is returned; NaN when an x is
  /// not finite, 0 when all are below 1e-30.
  float (*row_to_int8)(index_t n, const float* x, std::int32_t offset, std::uint8_t* out);

  /// The same in 16 bits: out = round(x / s) with s = largest |x| / 32767.
  float (*row_to_int16)(index_t n, const float* x, std::int16_t* out);

  /// Words of x0 (low bits) and x1 (high bits), both rounded as by row_to_bf16.
  void (*pair_rows_to_bf16)(index_t n, const float* x0, const float* x1, std::uint32_t* out);

  /// Words of x0 (low bits) and x1 (high bits), which are bf16 already.
  void (*interleave_rows)(index_t n, const std::uint16_t* x0, const std::uint16_t* x1,
                          std::uint32_t* out);

  /// out = 2^(x - largest x) as bits of bf16, whose sum is returned. x and out are overwritten up
  /// to a multiple of two vectors; out may be the memory of x.
  float (*exponentials_to_bf16)(index_t n, float* x, std::uint16_t* out);

  void (*bf16_panel)(const PanelProduct<std::uint32_t, float>&);
  void (*int8_panel)(const PanelProduct<std::uint32_t, float>&);  ///< a unsigned, 128 more than it
                                                                  ///< means; the panel signed

  GroupedTable int8_groups, int4_groups;
  void (*int16_groups_panel)(
      const PanelProduct<std::uint32_t, float>&);  ///< as GroupedTable::panel,
                                                   ///< of widened panels
  bool multiplies_groups_as_bf16 = false;  ///< dequantized to bf16, whose products are then faster
};

/// The tables of one instruction set.
struct IsaTables {
  const KernelTable<float>* f32;
  const KernelTable<double>* f64;
  NarrowTable narrow;
};

IsaTables baseline_tables() noexcept;
#if defined(RAE_X86)
IsaTables avx2_tables() noexcept;
IsaTables avx512_tables() noexcept;
// What the variants with native narrow products have in place of the functions above.
void use_avx2_vnni(NarrowTable& table) noexcept;
void use_avx512_vnni(NarrowTable& table) noexcept;
void use_avx512_bf16(NarrowTable& table) noexcept;
void use_avx512_amx(NarrowTable& table) noexcept;
#elif defined(RAE_ARM64)
IsaTables neon_tables() noexcept;
void use_neon_dot(NarrowTable& table) noexcept;
#endif

/// The tables of `active_isa`. Throw ArgumentError at the first use when RAE_ISA names no variant
/// that is available here.
template <Real T>
const KernelTable<T>& kernel_table();
template <>
const KernelTable<float>& kernel_table<float>();
template <>
const KernelTable<double>& kernel_table<double>();
const NarrowTable& narrow_table();

}  // namespace rae::detail
