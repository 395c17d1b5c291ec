// View: a pointer with a shape and strides. Kernels take views, so they work on any memory.
#pragma once

#include <type_traits>
#include <utility>

#include "rae/core/shape.hpp"

namespace rae {

/// A non-owning strided array of up to six dimensions. Strides count elements, not bytes.
template <class T>
class View {
 public:
  /// No memory and no shape; `empty()` is true.
  constexpr View() = default;

  /// A contiguous row-major view of `shape` at `data`.
  constexpr View(T* data, const Shape& shape) noexcept : data_(data), shape_(shape) {
    index_t stride = 1;
    for (int i = shape.rank() - 1; i >= 0; --i) {
      strides_[static_cast<std::size_t>(i)] = stride;
      stride *= shape[i];
    }
  }
  /// A view of `shape` at `data` with one stride per dimension.
  constexpr View(T* data, const Shape& shape, const std::array<index_t, kMaxRank>& strides) noexcept
      : data_(data), shape_(shape), strides_(strides) {}

  /// A view of mutable elements is also a view of const elements.
  constexpr operator View<const T>() const noexcept requires(!std::is_const_v<T>) {
    return {data_, shape_, strides_};
  }

  /// The first element; null for a default-constructed view.
  [[nodiscard]] constexpr T* data() const noexcept { return data_; }
  /// Extents, outermost first.
  [[nodiscard]] constexpr const Shape& shape() const noexcept { return shape_; }
  /// Extent of dimension `i`; a negative `i` counts from the end.
  [[nodiscard]] constexpr index_t extent(int i) const noexcept { return shape_[i]; }
  /// Stride of dimension `i` in elements; a negative `i` counts from the end.
  [[nodiscard]] constexpr index_t stride(int i) const noexcept {
    return strides_[static_cast<std::size_t>(i < 0 ? i + shape_.rank() : i)];
  }
  /// Number of elements.
  [[nodiscard]] constexpr index_t numel() const noexcept { return shape_.numel(); }
  /// True when there is no memory.
  [[nodiscard]] constexpr bool empty() const noexcept { return data_ == nullptr; }

  /// True when the elements are adjacent in row-major order.
  [[nodiscard]] constexpr bool is_contiguous() const noexcept {
    index_t expected = 1;
    for (int i = shape_.rank() - 1; i >= 0; --i) {
      if (shape_[i] != 1 && stride(i) != expected) return false;
      expected *= shape_[i];
    }
    return true;
  }

  /// Element at the given indices, one per dimension.
  template <class... I>
  constexpr T& operator()(I... indices) const noexcept {
    index_t offset = 0;
    int d = 0;
    ((offset += static_cast<index_t>(indices) * strides_[static_cast<std::size_t>(d++)]), ...);
    return data_[offset];
  }

  /// The same elements with the last two dimensions exchanged; nothing is copied. Throws ShapeError
  /// below two dimensions.
  [[nodiscard]] constexpr View transposed() const {
    if (shape_.rank() < 2)
      raise<ShapeError>("View::transposed: needs at least two dimensions, got ", shape_);
    const int r = shape_.rank();
    auto strides = strides_;
    std::swap(strides[static_cast<std::size_t>(r - 1)], strides[static_cast<std::size_t>(r - 2)]);
    return {data_, shape_.with(r - 1, shape_[r - 2]).with(r - 2, shape_[r - 1]), strides};
  }

  /// The indices [begin, begin + count) of dimension `dim`; nothing is copied. Throws ShapeError
  /// when out of range.
  [[nodiscard]] constexpr View slice(int dim, index_t begin, index_t count) const {
    const int d = dim < 0 ? dim + shape_.rank() : dim;
    if (d < 0 || d >= shape_.rank() || begin < 0 || count < 0 || begin + count > shape_[d])
      raise<ShapeError>("View::slice: dimension ", dim, ", range [", begin, ", ", begin + count,
                        ") does not fit ", shape_);
    return {data_ + begin * stride(d), shape_.with(d, count), strides_};
  }

 private:
  T* data_ = nullptr;
  Shape shape_;
  std::array<index_t, kMaxRank> strides_{};
};

}  // namespace rae
