// Matrix product with a fused prologue and epilogue, on strided views: transposition is a view, not
// a flag.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "rae/core/owner.hpp"
#include "rae/core/tensor.hpp"
#include "rae/kernels/activation.hpp"
#include "rae/kernels/norm.hpp"

namespace rae {

/// The epilogue of a product: v = activation([out +] a*b + bias), and out = v, or out = residual +
/// gate * v.
///
/// With Activation::swiglu, v is half as wide as b: silu of the first half of the columns times the
/// second half.
template <Real T>
struct BasicEpilogue {
  View<const T> bias{};                      ///< (N), or empty
  Activation activation = Activation::none;  ///< applied after the bias
  bool accumulate =
      false;  ///< add to `out`, before the activation, instead of replacing it; not with swiglu
  View<const T> residual{};  ///< (M, N) as out, with unit column stride, in other memory than out;
                             ///< or empty
  Rows<const T>
      gate{};  ///< (groups, N): a group serves M / groups rows; needs a residual; 1 where empty
};
using Epilogue = BasicEpilogue<float>;

/// The columns of a matrix b (K, N) that share a panel: `neighbours`, or for Activation::swiglu
/// `halves`, as many of the first half of b as of the second, so that gate and up of one element of
/// out are computed in the same panel.
enum class PanelColumns { neighbours, halves };

namespace detail {
struct PackedRows;
}

/// The right operand of a product, packed once into the order in which the kernels read it, and
/// stored as T or narrower.
///
/// A panel is `width` columns (48 with AVX-512, 16 with AVX2), padded with zeros. In a panel the K
/// rows follow each other, and elements that share a 32-bit word are neighbours along K. There are
/// P = ceil(N / width) panels, and G = ceil(K / 32) groups of 32 neighbours along K in a column:
///
/// | stored | layout                                         | operands of a product            |
/// |--------|------------------------------------------------|----------------------------------|
/// | T      | [P][K][width]                                  | as they are                      |
/// | bf16   | [P][ceil(K / 2)][width][2]                     | a and b rounded to bf16          |
/// | int8   | [P][ceil(K / 4)][width][4]                     | a and b rounded to 8 bits, a     |
/// |        |                                                | scale for each row and column    |
/// | int8w  | [P]: [8 G][width][4], then scales [G][width]   | a rounded to 16 bits, b to 8     |
/// | int4   | [P]: [4 G][width][8 / 2], scales [G][width]    | a rounded to 16 bits, b to 4     |
///
/// The groups of int8w and int4 have a scale each, in bf16, after the integers of their panel
/// (src/kernels/grouped_product.hpp shows the order).
///
/// With PanelColumns::halves, columns j < width/2 of panel p are the columns p*width/2 + j of the
/// first half of b, and its columns width/2 + j are the columns N/2 + p*width/2 + j; each half is
/// padded separately.
template <Real T>
class PackedMatrix {
 public:
  PackedMatrix() = default;

  /// Packs b (K, N), any strides. A weight W (N, K) of a linear layer is packed as
  /// `W.view().transposed()`. `stored`: T's own type or, for float, DType::bf16, int8, int8w or
  /// int4. A column of int8, or a group of int8w or int4, that holds an infinity or a NaN becomes
  /// NaN. A matrix of PanelColumns::halves serves products with Activation::swiglu and no others.
  /// Throws ShapeError, and ArgumentError for another type.
  explicit PackedMatrix(View<const T> b, DType stored = dtype_of<T>(),
                        PanelColumns columns = PanelColumns::neighbours);

  /// The memory of a packed matrix as bytes: little-endian, and of any alignment.
  struct Buffers {
    std::span<const std::byte> panels;        ///< as `bytes` gives them
    std::span<const std::byte> scales;        ///< f32; int8 only, else empty
    std::span<const std::byte> compensation;  ///< int32; int8 only, else empty
  };

  /// A matrix (K, N) that was packed before. Panels that begin at a multiple of a vector's bytes
  /// are used in place and must not change; `owner` keeps their memory. Others are copied, as is
  /// int8 that was packed for kernels of larger integers, which is halved. Throws ShapeError unless
  /// the buffers have the bytes of `panels_shape` for the kernels in use, and ArgumentError for
  /// another type.
  PackedMatrix(index_t k, index_t n, DType stored, PanelColumns columns, const Buffers& buffers,
               Owner owner);

  /// The shape of the panels of a matrix (K, N) for the kernels in use: (panels, K / elements per
  /// word, width, elements per word), where scales and compensation of int8 have panels * width
  /// elements; (panels, bytes, 1, 1) for int8w and int4. Throws ShapeError, ArgumentError.
  [[nodiscard]] static Shape panels_shape(index_t k, index_t n, DType stored, PanelColumns columns);

  [[nodiscard]] bool empty() const noexcept { return bytes().empty(); }
  [[nodiscard]] index_t k() const noexcept { return k_; }
  [[nodiscard]] index_t n() const noexcept { return n_; }
  [[nodiscard]] DType stored() const noexcept { return stored_; }
  [[nodiscard]] PanelColumns columns() const noexcept { return columns_; }
  /// Columns of a panel: as many as the kernels of the instruction set read for which the matrix
  /// was packed. A product with the kernels of another width throws ArgumentError. 0 when empty.
  [[nodiscard]] index_t panel_width() const noexcept { return panel_width_; }

  /// int8: the magnitude that the largest number of each column was rounded to, 127, or 64 for the
  /// kernels of avx2. A product with kernels for smaller integers throws ArgumentError. Else 0.
  [[nodiscard]] std::int32_t highest() const noexcept { return highest_; }

  /// The panels as bytes.
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept {
    return owner_ ? borrowed_ : panels_.span();
  }
  /// int8: the scale of each column, (panels * width) in the order of the panels, 0 for padding.
  [[nodiscard]] std::span<const float> scales() const noexcept { return scales_.span(); }
  /// int8: 128 x the sum of each column's integers, (panels * width), 0 for padding. Products
  /// subtract it, because the integers of a are stored with a +128 offset.
  [[nodiscard]] std::span<const std::int32_t> compensation() const noexcept {
    return compensation_.span();
  }

 private:
  friend struct detail::PackedRows;
  Tensor<std::uint8_t>
      panels_;  // (panels, K / elements per word, width, bytes per word), unless borrowed
  std::span<const std::uint8_t> borrowed_;  // the same, in memory of owner_
  Owner owner_;
  Tensor<float> scales_;               // (panels * width)
  Tensor<std::int32_t> compensation_;  // (panels * width)
  index_t k_ = 0, n_ = 0, panel_width_ = 0;
  std::int32_t highest_ = 0;
  DType stored_ = dtype_of<T>();
  PanelColumns columns_ = PanelColumns::neighbours;
};

/// out (M, N) = epilogue(a (M, K) * b (K, N)); (M, N/2) with Activation::swiglu. `out` needs unit
/// column stride and must not overlap a or b; a and b may have any strides. Results do not depend
/// on the number of threads, and a row of out does not depend on the other rows of a or on their
/// number.
///
/// `operands`: the type that is multiplied, T itself or for float DType::bf16; the bits are then
/// those of a b packed as bf16, except for a transposed a on AMX. Throws ShapeError, ArgumentError.
template <Real T>
void gemm(View<const T> a, View<const T> b, View<T> out, const BasicEpilogue<T>& epilogue = {},
          DType operands = dtype_of<T>());

/// The same with a right operand that was packed before. The accuracy depends on its stored type,
/// and is the same on every instruction set except for the rounding of sums and int8 on avx2:
///
/// - bf16: a is rounded to bf16, to nearest even. Products are exact in f32, and sums are rounded
///   after each product, in the order 1, 0, 3, 2, 5, 4, ... of k, as by the instruction vdpbf16ps,
///   which every other instruction set imitates, except AMX: it sums the even and the odd of 32
///   neighbours along k separately, then adds both to the total. Numbers and sums below 2^-126
///   count as zero where the processor has an instruction for bf16.
/// - int8: each row of a is divided by its scale s = its largest magnitude / 127 and rounded to
///   nearest even. Sums are exact integers, and the result is sum * s * (scale of the column). A
///   row whose elements are all below 1e-30 counts as zero; one that holds an infinity or a NaN
///   becomes NaN. Exact for K < 65536. The kernels of avx2 round a to 63 steps and b to 64 instead
///   of 127, because their instruction for 8-bit products saturates.
/// - int8w, int4: a group of b is a bf16 scale, chosen so that its largest magnitude becomes -128
/// or
///   -8, times integers rounded to nearest even and at most 127 or 7. Rows of a are quantized as
///   for int8, but to 32767 steps. The sum of a group is an exact integer; times the scale of the
///   group and rounded, it is added to the total, which is multiplied by s. These bits are the same
///   on every instruction set except AMX, which rounds a and the integers times their scales to
///   bf16 and multiplies them as bf16.
///
/// Throws ShapeError, and ArgumentError when b was packed for kernels of another panel width.
template <Real T>
void gemm(View<const T> a, const PackedMatrix<T>& b, View<T> out,
          const BasicEpilogue<T>& epilogue = {});

/// The same with a norm of the rows of a as fused prologue: epilogue(norm(a) * b). For a narrow b
/// the normalised rows are converted at once and never stored in T as a whole; the bits are those
/// of `norm` followed by `gemm`. a must be contiguous. Throws ShapeError, ArgumentError.
template <Real T>
void gemm(View<const T> a, const NormInputs<T>& norm_of_rows, const PackedMatrix<T>& b, View<T> out,
          const BasicEpilogue<T>& epilogue = {});

/// The same for a (M, K) that is bf16 already, and b stored as bf16. Rows of a that begin at
/// multiples of 4 bytes, with an even K, are read in place; others are copied. Throws ShapeError,
/// and ArgumentError when b is stored as another type.
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
