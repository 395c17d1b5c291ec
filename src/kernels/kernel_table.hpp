// The functions on rows and panels that are compiled once per instruction set, in tables.
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

/// The gradients to which one row of a norm's backward adds its share, and `add` (d), which is
/// added to dx; null means absent.
template <class T>
struct NormRowGradients {
  const T* add;
  T *dweight, *dbias, *dshift, *dscale;
};

/// out (rows, columns) = activation([out +] a (rows, k) * panel (k, panel width) + bias), for a
/// panel of columns of the right operand; with a residual, out = residual + gate * that. With
/// SwiGLU the first half of the panel is the gates and the second half the values that they
/// multiply, and out is half as wide.
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
  bool accumulate;                   ///< add to the elements of out, before bias and activation
  const Word* next = nullptr;        ///< read by the next product, to be prefetched during this one
  index_t next_bytes = 0;            ///< of `next`; 0: none
  bool out_is_cached = false;        ///< out needs no prefetching
  const float* row_scale = nullptr;  ///< integers: (rows), the scale of a
  const float* column_scale = nullptr;  ///< int8: (panel width), the scale of the panel
  const std::int32_t* compensation =
      nullptr;                    ///< int8: (panel width), 128 x the sum of each column
  const Word* scratch = nullptr;  ///< the scratch memory of get_panel (panel_loop.hpp)
  index_t up = 0;  ///< SwiGLU: bias[up + j] is the bias of column j of the panel's second half
  const T* residual = nullptr;  ///< (rows, columns), or null
  index_t residual_stride = 0;
  const T* gate = nullptr;  ///< row g serves `rows_per_gate` rows of the whole product, in
                            ///< which this one begins at row `row`; null: 1
  index_t gate_stride = 0, rows_per_gate = 1, row = 0;
};

/// Neighbouring elements that are copied from `from` on to `to` on.
struct CopyRun {
  index_t from, to, length;
};

/// Kernels of a real type. Every function works on contiguous memory, allocates nothing and does
/// not throw.
template <class T>
struct KernelTable {
  index_t tile_rows;    ///< rows of a GEMM tile
  index_t panel_width;  ///< columns of a packed GEMM panel
  index_t lanes;        ///< elements of a vector

  /// dst[k][panel_width] = b(k, 0..columns), zero-padded.
  void (*pack_panel)(const T* b, index_t row_stride, index_t column_stride, index_t k,
                     index_t columns, T* dst);

  /// For each row: dst[row * dst_stride + run.to + i] = src[row * src_stride + run.from + i] for
  /// every run, in whole vectors: up to lanes - 1 more elements are read and written at the end of
  /// a run, before the next run and the next row are written.
  void (*copy_runs)(const T* src, index_t src_stride, index_t rows, const CopyRun* runs,
                    index_t count, T* dst, index_t dst_stride);

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

  /// out (n) = scale * x with each pair rotated by its angle, or back; only scaled where cos is
  /// null. out may be x.
  void (*rotate)(index_t n, const T* x, const T* cos, const T* sin, bool inverse, T scale, T* out);

  /// x (n) = 2^(x - largest x); returns the sum. x is overwritten up to a multiple of `lanes`.
  T (*exp2_and_sum)(index_t n, T* x);
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

/// The integers that the operands of an int8 product are rounded to: a to [-left, left], stored
/// with `offset` added; b to [-right, right].
struct Int8Range {
  std::int32_t left = 127, right = 127, offset = 128;
};

/// Products of f32 numbers that are stored in narrower types: bf16 and integers with scales.
struct NarrowTable {
  index_t panel_width;
  Int8Range int8_range;

  /// As KernelTable::pack_panel, for words.
  void (*pack_panel)(const std::uint32_t* b, index_t row_stride, index_t column_stride, index_t k,
                     index_t columns, std::uint32_t* dst);

  /// out (n) = the bits of x as bf16, rounded to nearest even.
  void (*convert_row_to_bf16)(index_t n, const float* x, std::uint16_t* out);

  /// out (n) = round(x / s) + zero_point with s = largest |x| / highest; returns s, or NaN when an
  /// x is not finite, or 0 when all |x| are below 1e-30.
  float (*quantize_row_to_int8)(index_t n, const float* x, std::int32_t highest,
                                std::int32_t zero_point, std::uint8_t* out);

  /// The same with 16 bits: out = round(x / s) with s = largest |x| / 32767.
  float (*quantize_row_to_int16)(index_t n, const float* x, std::int16_t* out);

  /// out (n) = words of x0 (low bits) and x1 (high bits), both rounded to bf16.
  void (*interleave_rows_to_bf16)(index_t n, const float* x0, const float* x1, std::uint32_t* out);

  /// out (n) = words of x0 (low bits) and x1 (high bits), which are bf16 already.
  void (*interleave_bf16_rows)(index_t n, const std::uint16_t* x0, const std::uint16_t* x1,
                               std::uint32_t* out);

  /// out (n) = 2^(x - largest x) as bits of bf16; returns the sum of the rounded numbers. x and out
  /// are overwritten up to a multiple of two vectors; out may be the memory of x.
  float (*exp2_and_sum_to_bf16)(index_t n, float* x, std::uint16_t* out);

  void (*bf16_panel)(const PanelProduct<std::uint32_t, float>&);

  /// Where the processor has no instruction for bf16, weights of bf16 are multiplied as f32 with
  /// the same bits; else null. The left operand is then f32 rounded to bf16, of two neighbours
  /// along k the second first.
  struct Bf16AsF32 {
    void (*round_row)(index_t n, const float* x, float* out);  ///< out (2 ceil(n / 2))
    /// out (2 words), the bits of f32
    void (*widen_row)(index_t words, const std::uint32_t* x, std::uint32_t* out);
    /// a is such f32 rows, with a column stride of 2; the panel is bf16 words
    void (*panel)(const PanelProduct<std::uint32_t, float>&);
  };
  Bf16AsF32 bf16_as_f32;

  void (*int8_panel)(const PanelProduct<std::uint32_t, float>&);  ///< a is unsigned, stored with
                                                                  ///< an offset; the panel signed

  /// Writes the `scratch` that int8_panel needs for a panel of k words along k, with
  /// ceil(k / 4) * panel_width words; null where it needs none.
  void (*int8_starts)(index_t k, const std::uint32_t* panel, std::uint32_t* starts) = nullptr;

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
// Replace the entries for which an extension of the instruction set has its own functions.
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
