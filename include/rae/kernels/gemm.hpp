// Matrix product with a fused prologue and epilogue, on strided views: transposition is a view, not
// a flag.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "rae/core/tensor.hpp"
#include "rae/kernels/activation.hpp"
#include "rae/kernels/norm.hpp"

namespace rae {

/// What happens to a product before it is stored: v = activation([out +] a*b + bias), and out = v,
/// or out = residual + gate * v.
///
/// With Activation::swiglu, v is half as wide as b: silu of its first half of columns times the
/// second half.
template <Real T>
struct BasicEpilogue {
  View<const T> bias{};                      ///< (N), or empty
  Activation activation = Activation::none;  ///< applied after the bias
  bool accumulate =
      false;  ///< add to `out` (before the activation) instead of replacing it; not with swiglu
  View<const T> residual{};  ///< of the shape of out, with unit column stride, in other memory than
                             ///< out; or empty
  Rows<const T>
      gate{};  ///< a group serves M / groups rows; with a residual only, and 1 where it is empty
};
using Epilogue = BasicEpilogue<float>;

/// Which columns of a matrix b (K, N) share a panel: neighbours, or for Activation::swiglu as many
/// of the first half as of the second, so that gate and up of one element are made at the same
/// time.
enum class PanelColumns { neighbours, halves };

namespace detail {
struct PackedRows;
}

/// The right operand of a product, rearranged once into the order in which the kernel reads it, and
/// stored as T or narrower.
///
/// Panels of `width` columns (48 with AVX-512, 16 with AVX2); inside a panel the K rows follow each
/// other, zero-padded to the full width, and elements that share a 32-bit word are neighbours along
/// K:
///
/// | stored | layout                             | a product with it |
/// |--------|------------------------------------|-------------------------------------------------------------------------------|
/// | T      | [ceil(N / width)][K][width]        | as with the matrix itself | | bf16   | [ceil(N /
/// width)][ceil(K/2)][width][2] | both operands rounded to bf16, products and sums in f32 | | int8
/// | [ceil(N / width)][ceil(K/4)][width][4] | columns of b and rows of a rounded to 127 steps of
/// their largest element  | | int8w    | [ceil(N / width)]: [ceil(K/32)*8][width][4], scales
/// [ceil(K/32)][width] | a rounded to 16 bits, b to 8 in groups | | int4    | [ceil(N / width)]:
/// [ceil(K/32)*4][width][8/2], scales [ceil(K/32)][width] | a rounded to 16 bits, b to 4 in groups
/// |
///
/// A group is 32 neighbours along K of a column. It has a scale of bf16, behind the numbers of its
/// panel (src/kernels/grouped_product.hpp shows the order).
///
/// With PanelColumns::halves, panel p holds the columns p*width/2 + j of the first half of b in
/// front, and those of the second half, N/2 + p*width/2 + j, in its columns width/2 + j; each half
/// is padded by itself.
template <Real T>
class PackedMatrix {
 public:
  PackedMatrix() = default;

  /// Packs b (K, N), any strides. A weight W (N, K) of a linear layer is packed as
  /// `W.view().transposed()`. `stored`: T's own type or, for float, DType::bf16, int8, int8w or
  /// int4. A column of integers that holds an infinity or a NaN becomes NaN. A matrix of
  /// PanelColumns::halves serves products with Activation::swiglu, and no others. Throws ShapeError
  /// and, for another type, ArgumentError.
  explicit PackedMatrix(View<const T> b, DType stored = dtype_of<T>(),
                        PanelColumns columns = PanelColumns::neighbours);

  /// What `panels`, `scales` and `compensation` of a packed matrix are, as bytes: little-endian,
  /// and of any alignment.
  struct Parts {
    std::span<const std::byte> panels;        ///< as `bytes` gives them
    std::span<const std::byte> scales;        ///< f32; none but for 8 bits
    std::span<const std::byte> compensation;  ///< s32; none but for 8 bits
  };

  /// A matrix (K, N) that was packed before. Panels that begin at a multiple of a vector's bytes
  /// are used where they lie and must not change; `owner` keeps their memory. Others are copied.
  /// Throws ShapeError unless the parts have the bytes of `panels_shape`, and ArgumentError.
  PackedMatrix(index_t k, index_t n, DType stored, PanelColumns columns, const Parts& parts,
               std::shared_ptr<const void> owner);

  /// The extents (panels, K / elements per word, width, elements per word) in which the kernels in
  /// use have a matrix (K, N), whose scales and compensation are panels * width long; (panels,
  /// bytes, 1, 1) of numbers in groups, which have neither. Throws ShapeError, ArgumentError.
  [[nodiscard]] static Shape panels_shape(index_t k, index_t n, DType stored, PanelColumns columns);

  [[nodiscard]] bool empty() const noexcept { return bytes().empty(); }
  [[nodiscard]] index_t k() const noexcept { return k_; }
  [[nodiscard]] index_t n() const noexcept { return n_; }
  [[nodiscard]] DType stored() const noexcept { return stored_; }
  [[nodiscard]] PanelColumns columns() const noexcept { return columns_; }
  /// Columns of a panel: as many as the kernels of the instruction set read for which the matrix
  /// was packed. A product with the kernels of another width throws ArgumentError. 0 when empty.
  [[nodiscard]] index_t panel_width() const noexcept { return panel_width_; }

  /// The panels, as they lie in memory.
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept {
    return owner_ ? borrowed_ : panels_.span();
  }
  /// What a unit of each column means, for 8 bits: (N) in the order of the panels, padded with
  /// zeros to whole panels.
  [[nodiscard]] std::span<const float> scales() const noexcept { return scales_.span(); }
  /// 128 times the sum of each column's integers, for 8 bits: (N), padded alike.
  [[nodiscard]] std::span<const std::int32_t> compensation() const noexcept {
    return compensation_.span();
  }

 private:
  friend struct detail::PackedRows;
  Tensor<std::uint8_t>
      panels_;  // (panels, K / elements per word, width, bytes per word), where they are its own
  std::span<const std::uint8_t> borrowed_;  // the same, where they lie in the memory of the owner
  std::shared_ptr<const void> owner_;
  Tensor<float> scales_;               // (N)
  Tensor<std::int32_t> compensation_;  // (N)
  index_t k_ = 0, n_ = 0, panel_width_ = 0;
  DType stored_ = dtype_of<T>();
  PanelColumns columns_ = PanelColumns::neighbours;
};

/// out (M, N) = epilogue(a (M, K) * b (K, N)); (M, N/2) with Activation::swiglu. `out` needs unit
/// column stride and must not overlap a or b; a and b may have any strides. Results do not depend
/// on the number of threads.
///
/// `operands`: what is multiplied, T's own type or for float DType::bf16; the bits are then those
/// of a b packed as bf16, but for a transposed a on AMX. Throws ShapeError, ArgumentError.
template <Real T>
void gemm(View<const T> a, View<const T> b, View<T> out, const BasicEpilogue<T>& epilogue = {},
          DType operands = dtype_of<T>());

/// The same with a right operand that was packed before. How exact it is depends on what that is
/// stored as, the same on every instruction set but for the rounding of sums:
///
/// - bf16: a is rounded to bf16, to nearest even. Products are exact in f32, and sums are rounded
/// after each product, in the order 1, 0,
///   3, 2, 5, 4, ... of k, as the instruction vdpbf16ps does it and every other instruction set
///   imitates it, but for AMX, which sums the even and the odd of 32 neighbours along k apart, then
///   adds both to the total. Numbers and sums below 2^-126 count as zero where the CPU has an
///   instruction for bf16.
/// - int8: each row of a is divided by s = its largest magnitude / 127 and rounded to nearest even,
/// sums are exact integers, and the
///   result is sum * s * (the column's unit). A row whose elements are all below 1e-30 counts as
///   zero; one that holds an infinity or a NaN becomes NaN. Exact for K < 65536.
/// - int8w, int4: a group of b is a scale of bf16, for which its largest magnitude is -128 or -8,
/// times integers rounded to nearest even and
///   at most 127 or 7. Up to 32 rows of a are quantised as those of int8, but to 32767 steps; the
///   sums of groups are exact integers, each times its scale rounded and added to the total, and
///   that times the row's s. For more rows, a and integers times their scale are rounded to bf16,
///   and multiplied as those are.
template <Real T>
void gemm(View<const T> a, const PackedMatrix<T>& b, View<T> out,
          const BasicEpilogue<T>& epilogue = {});

/// The same for the rows of a under a norm: epilogue(norm(a) * b). For a narrow b, the normalised
/// rows are made in the form that the product reads, and never exist in T as a whole; the bits are
/// those of `norm` and `gemm` one after the other. a must be contiguous. Throws ShapeError,
/// ArgumentError.
template <Real T>
void gemm(View<const T> a, const NormInputs<T>& norm_of_rows, const PackedMatrix<T>& b, View<T> out,
          const BasicEpilogue<T>& epilogue = {});

/// a (M, K) in bf16 already, b stored as bf16. Rows of a that begin at multiples of 4 bytes, with
/// an even K, are read where they lie; others are copied. Throws ShapeError, and ArgumentError when
/// b is stored otherwise.
void gemm(View<const bf16> a, const PackedMatrix<float>& b, View<float> out,
          const Epilogue& epilogue = {});

/// Lets tensors and views of float be passed without naming the type.
inline void gemm(View<const float> a, View<const float> b, View<float> out,
                 const Epilogue& epilogue = {}, DType operands = DType::f32) {
  gemm<float>(a, b, out, epilogue, operands);
}

extern template class PackedMatrix<float>;
extern template class PackedMatrix<double>;
extern template void gemm<float>(View<const float>, View<const float>, View<float>, const Epilogue&,
                                 DType);
extern template void gemm<double>(View<const double>, View<const double>, View<double>,
                                  const BasicEpilogue<double>&, DType);
extern template void gemm<float>(View<const float>, const PackedMatrix<float>&, View<float>,
                                 const Epilogue&);
extern template void gemm<float>(View<const float>, const NormInputs<float>&,
                                 const PackedMatrix<float>&, View<float>, const Epilogue&);
extern template void gemm<double>(View<const double>, const NormInputs<double>&,
                                  const PackedMatrix<double>&, View<double>,
                                  const BasicEpilogue<double>&);
extern template void gemm<double>(View<const double>, const PackedMatrix<double>&, View<double>,
                                  const BasicEpilogue<double>&);

}  // namespace rae
