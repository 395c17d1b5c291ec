// View: a pointer with a shape and strides, the argument type of kernels, which so work on any
// memory.
#pragma once

#include <type_traits>
#include <utility>

#include "rae/core/shape.hpp"

namespace rae {

/// A non-owning strided window on elements. Strides count elements, not bytes.
template <class T>
class View {
 public:
  constexpr View() = default;

  /// A contiguous row-major view of `shape` at `data`.
  constexpr View(T* data, const Shape& shape) noexcept : data_(data), shape_(shape) {
    index_t stride = 1;
    for (int i = shape.rank() - 1; i >= 0; --i) {
      strides_[static_cast<std::size_t>(i)] = stride;
      stride *= shape[i];
    }
  }
  constexpr View(T* data, const Shape& shape, const std::array<index_t, kMaxRank>& strides) noexcept
      : data_(data), shape_(shape), strides_(strides) {}

  /// A view of mutable elements is also a view of const elements.
  constexpr operator View<const T>() const noexcept requires(!std::is_const_v<T>) {
    return {data_, shape_, strides_};
  }

  [[nodiscard]] constexpr T* data() const noexcept { return data_; }
  [[nodiscard]] constexpr const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] constexpr index_t extent(int i) const noexcept { return shape_[i]; }
  [[nodiscard]] constexpr index_t stride(int i) const noexcept {
    return strides_[static_cast<std::size_t>(i < 0 ? i + shape_.rank() : i)];
  }
  [[nodiscard]] constexpr index_t numel() const noexcept { return shape_.numel(); }
  [[nodiscard]] constexpr bool empty() const noexcept { return data_ == nullptr; }

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

  /// The same elements with the last two dimensions exchanged; nothing is copied.
  [[nodiscard]] constexpr View transposed() const {
    if (shape_.rank() < 2)
      raise<ShapeError>("View::transposed: needs at least two dimensions, got ", shape_);
    const int r = shape_.rank();
    auto strides = strides_;
    std::swap(strides[static_cast<std::size_t>(r - 1)], strides[static_cast<std::size_t>(r - 2)]);
    return {data_, shape_.with(r - 1, shape_[r - 2]).with(r - 2, shape_[r - 1]), strides};
  }

  /// `count` indices of dimension `dim`, from `begin` on; nothing is copied. Throws ShapeError when
  /// out of range.
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
