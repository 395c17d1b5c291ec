// Shape: the extents of a tensor of up to six dimensions, stored without allocation.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "rae/error.hpp"

namespace rae {

/// Signed size and index type of the library.
using index_t = std::int64_t;

/// Largest number of dimensions of a tensor.
inline constexpr int kMaxRank = 6;

/// The extents of a tensor, outermost first. A default-constructed Shape has rank 0 and one element
/// (a scalar).
class Shape {
 public:
  /// Rank 0.
  constexpr Shape() = default;

  /// Throws ShapeError for more than six extents, a negative extent, or more elements than index_t
  /// can count.
  constexpr Shape(std::initializer_list<index_t> extents)
      : Shape(std::span<const index_t>(extents.begin(), extents.size())) {}
  /// The same for extents in an array.
  constexpr explicit Shape(std::span<const index_t> extents) {
    if (extents.size() > static_cast<std::size_t>(kMaxRank))
      raise<ShapeError>("a shape has at most ", kMaxRank, " extents, got ", extents.size());
    for (const index_t extent : extents) push_back(extent);
  }

  /// Number of dimensions.
  [[nodiscard]] constexpr int rank() const noexcept { return rank_; }

  /// Extent of dimension `i`; a negative `i` counts from the end: `shape[-1]` is the innermost.
  [[nodiscard]] constexpr index_t operator[](int i) const noexcept {
    return extents_[static_cast<std::size_t>(i < 0 ? i + rank_ : i)];
  }

  /// Product of all extents; 1 for rank 0.
  [[nodiscard]] constexpr index_t numel() const noexcept {
    index_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= extents_[static_cast<std::size_t>(i)];
    return n;
  }

  /// Product of all extents except the innermost: the number of rows when the tensor is read as a
  /// matrix.
  [[nodiscard]] constexpr index_t rows() const noexcept {
    index_t n = 1;
    for (int i = 0; i + 1 < rank_; ++i) n *= extents_[static_cast<std::size_t>(i)];
    return n;
  }

  /// The same shape with the extent of dimension `i` replaced; a negative `i` counts from the end.
  /// Throws ShapeError as the constructor does.
  [[nodiscard]] constexpr Shape with(int i, index_t extent) const {
    Shape out;
    for (int d = 0; d < rank_; ++d)
      out.push_back(d == (i < 0 ? i + rank_ : i) ? extent : (*this)[d]);
    return out;
  }

  /// The extents, for range-based loops.
  [[nodiscard]] constexpr const index_t* begin() const noexcept { return extents_.data(); }
  [[nodiscard]] constexpr const index_t* end() const noexcept { return extents_.data() + rank_; }
  constexpr bool operator==(const Shape& other) const noexcept {
    if (rank_ != other.rank_) return false;
    for (int i = 0; i < rank_; ++i)
      if ((*this)[i] != other[i]) return false;
    return true;
  }

  /// The extents as text: "(2, 16, 768)".
  [[nodiscard]] std::string to_string() const {
    std::string out = "(";
    for (int i = 0; i < rank_; ++i) out += (i ? ", " : "") + std::to_string((*this)[i]);
    return out + ")";
  }

 private:
  constexpr void push_back(index_t extent) {
    if (extent < 0) raise<ShapeError>("negative extent ", extent, " in a shape");
    if (extent > 0 && numel() > INT64_MAX / 16 / extent)
      raise<ShapeError>("a shape with an extent of ", extent, " has too many elements");
    extents_[static_cast<std::size_t>(rank_++)] = extent;
  }

  std::array<index_t, kMaxRank> extents_{};
  int rank_ = 0;
};

/// Throws ShapeError "where: expected (..), got (..)" unless both shapes are equal.
inline void require_shape(std::string_view where, const Shape& got, const Shape& expected) {
  if (!(got == expected)) raise<ShapeError>(where, ": expected shape ", expected, ", got ", got);
}

}  // namespace rae
