// The weight matrices of a packed bundle: the panels that the kernels read, used directly from the
// mapped file.
//
// A weight NAME (N, K) is stored as these tensors instead of its elements. The panels are those of
// PackedMatrix, and P is the number of elements per word.
//
// | tensor             | type           | shape                     | for            |
// |--------------------|----------------|---------------------------|----------------|
// | NAME.panels        | F32, BF16, I8  | (panels, K / P, width, P) | all but int8w, int4 |
// | NAME.panels        | U8             | (panels, bytes)           | int8w and int4, with scales |
// | NAME.swiglu_panels | as NAME.panels | as NAME.panels            | PanelColumns::halves |
// | NAME.scales        | F32            | (panels * width)          | int8           |
// | NAME.compensation  | I32            | (panels * width)          | int8           |
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "rae/io/safetensors_writer.hpp"
#include "rae/io/tensor_source.hpp"
#include "rae/kernels/gemm.hpp"
#include "rae/spec/layer_types.hpp"

namespace rae::detail {

/// True when no element is NaN or infinite. The bytes are f32 or bf16 as in files: little-endian,
/// of any alignment.
[[nodiscard]] bool is_finite(std::span<const std::byte> bytes, DType type);

/// The type that a bundle is packed for, by its metadata, or the narrowest if each matrix has its
/// own; absent when it is not packed. Throws FormatError for an unknown type.
[[nodiscard]] std::optional<DType> packed_for(const std::string& origin,
                                              const std::map<std::string, std::string>& metadata);

/// The types of the matrices of a bundle that is packed with a type for each; empty for other
/// bundles. Throws FormatError for unknown types and when there are none.
[[nodiscard]] LayerTypes layer_types_of(const std::string& origin,
                                        const std::map<std::string, std::string>& metadata);
/// The inverse: the value of kLayerTypesKey.
[[nodiscard]] std::string to_json(const LayerTypes& types);

/// One weight of matrix products.
struct PackedWeight {
  std::string name;
  Shape shape;           ///< (N, K)
  DType stored;          ///< one of kWeightTypes
  PanelColumns columns;  ///< of the panels

  /// Its tensors in a file for the kernels in use, in the order of the file. Throws ShapeError.
  [[nodiscard]] std::vector<SafetensorsSlot> slots() const;

  /// Bytes of these tensors. Throws ShapeError.
  [[nodiscard]] std::uint64_t bytes() const;

  /// Throws FormatError unless the file has these tensors, for example when it was packed for other
  /// kernels.
  void check(const TensorSource& tensors, const std::string& where) const;

  /// The weight from a file that `check` has accepted; it keeps the mapping open. Throws
  /// FormatError for NaN and infinity.
  [[nodiscard]] PackedMatrix<float> read(const TensorSource& tensors,
                                         const std::string& where) const;

  /// Writes the tensors of `slots` for a matrix that was packed with this type and these columns.
  void write(SafetensorsWriter& writer, const PackedMatrix<float>& matrix) const;
};

}  // namespace rae::detail
