// Weights of matrix products as a packed bundle has them: the panels that the kernels read, used
// directly from the mapped file.
//
// A weight NAME (N, K) is, instead of its elements,
//
// | tensor | what it is |
// |---|---|
// | NAME.panels | as PackedMatrix has them: (panels, K / elements per word, width, elements per
// word) of F32, BF16 or I8 | |             | for int8w and int4, which have their scales inside:
// (panels, bytes) of U8 | | NAME.swiglu_panels | the same for PanelColumns::halves | | NAME.scales,
// NAME.compensation | for I8: F32 and I32, (panels * width) |
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "rae/io/safetensors_writer.hpp"
#include "rae/io/tensor_source.hpp"
#include "rae/kernels/gemm.hpp"

namespace rae::detail {

/// True when no element is NaN or infinite, of numbers f32 or bf16 as a file has them:
/// little-endian, of any alignment.
[[nodiscard]] bool is_finite(std::span<const std::byte> bytes, DType type);

/// The type that a bundle is packed for, by its metadata; none when it is not packed. Throws
/// FormatError for a word that is no type of weights.
[[nodiscard]] std::optional<DType> packed_for(const std::string& origin,
                                              const std::map<std::string, std::string>& metadata);

/// One weight of matrix products.
struct PackedWeight {
  std::string name;
  Shape shape;           ///< (N, K)
  DType stored;          ///< one of kWeightTypes
  PanelColumns columns;  ///< of the panels

  /// Its tensors in a file for the kernels in use, in this order. Throws ShapeError.
  [[nodiscard]] std::vector<SafetensorsSlot> slots() const;

  /// Throws FormatError unless the file has just that: for other kernels, say.
  void check(const TensorSource& tensors, const std::string& where) const;

  /// The weight of a file that `check` has accepted, whose mapping it keeps. Throws FormatError for
  /// NaN and infinity.
  [[nodiscard]] PackedMatrix<float> read(const TensorSource& tensors,
                                         const std::string& where) const;

  /// Writes the tensors of `slots` for a matrix that was packed as this one is.
  void write(SafetensorsWriter& writer, const PackedMatrix<float>& matrix) const;
};

}  // namespace rae::detail
