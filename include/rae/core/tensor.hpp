// Tensor: a contiguous, 64-byte aligned array that owns its elements and has value semantics.
// Copies share their elements until one of them is written to.
#pragma once

#include <cstring>
#include <initializer_list>
#include <span>
#include <utility>

#include "rae/core/block.hpp"
#include "rae/core/dtype.hpp"
#include "rae/core/math.hpp"
#include "rae/core/shape.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// Copies `count` elements; the ranges must not overlap. Returns the end of the copy.
template <Element T>
T* copy_elements(const T* from, index_t count, T* to) noexcept {
  if (count > 0) std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
  return to + count;
}

/// Sets `count` elements to `value`.
template <Element T>
void fill_elements(T* to, index_t count, T value) noexcept {
  for (index_t i = 0; i < count; ++i) to[i] = value;
}

/// A dense row-major array of up to six dimensions.
///
/// A Tensor is a value: changing one never changes another. Copying is cheap, since copies share
/// their elements. The first mutable access to a tensor whose elements are shared copies them; call
/// `data()` once before a loop, not inside it.
template <Element T>
class Tensor {
 public:
  using value_type = T;

  /// No elements and no shape; `empty()` is true.
  Tensor() = default;

  /// Uninitialised elements. Throws std::bad_alloc, ArgumentError for a size beyond any address
  /// space.
  explicit Tensor(const Shape& shape)
      : block_(detail::allocate_block(bytes(shape))), shape_(shape) {}

  /// All elements equal to `value`.
  Tensor(const Shape& shape, T value) : Tensor(shape) { fill_elements(raw(), numel(), value); }

  /// Elements in row-major order. Throws ShapeError when their number is not shape.numel().
  Tensor(const Shape& shape, std::initializer_list<T> values)
      : Tensor(shape, std::span<const T>(values.begin(), values.size())) {}
  Tensor(const Shape& shape, std::span<const T> values) : Tensor(shape) {
    if (static_cast<index_t>(values.size()) != shape.numel())
      raise<ShapeError>("Tensor: shape ", shape, " needs ", shape.numel(), " values, got ",
                        values.size());
    copy_elements(values.data(), numel(), raw());
  }

  Tensor(const Tensor& other) noexcept : block_(other.block_), shape_(other.shape_) {
    detail::retain(block_);
  }
  Tensor(Tensor&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)),
        shape_(std::exchange(other.shape_, Shape{})) {}
  Tensor& operator=(Tensor other) noexcept {
    std::swap(block_, other.block_);
    std::swap(shape_, other.shape_);
    return *this;
  }
  ~Tensor() { detail::release(block_); }

  /// All elements zero. The system provides the pages of a large tensor only when they are first
  /// written.
  [[nodiscard]] static Tensor zeros(const Shape& shape) {
    return Tensor(detail::allocate_zeros(bytes(shape)), shape);
  }

  /// Extents, outermost first.
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  /// Number of dimensions.
  [[nodiscard]] int rank() const noexcept { return shape_.rank(); }
  /// Extent of dimension `i`; a negative `i` counts from the end.
  [[nodiscard]] index_t extent(int i) const noexcept { return shape_[i]; }
  /// Number of elements; 0 when empty.
  [[nodiscard]] index_t numel() const noexcept { return block_ ? shape_.numel() : 0; }
  /// True for a default-constructed or moved-from tensor.
  [[nodiscard]] bool empty() const noexcept { return block_ == nullptr; }

  /// Elements in row-major order; null when empty.
  [[nodiscard]] const T* data() const noexcept { return raw(); }

  /// Mutable elements. Copies them first if another tensor shares them.
  [[nodiscard]] T* data() {
    if (block_ && !block_->references.is_one()) {
      Tensor own(shape_);
      copy_elements(std::as_const(*this).raw(), numel(), own.raw());
      *this = std::move(own);
    }
    return raw();
  }

  /// All elements in row-major order. Deleted for temporaries: a range-based loop would read freed
  /// memory.
  [[nodiscard]] std::span<const T> span() const& noexcept {
    return {raw(), static_cast<std::size_t>(numel())};
  }
  /// The same, mutable; copies the elements first if another tensor shares them.
  [[nodiscard]] std::span<T> span() & {
    T* elements = data();
    return {elements, static_cast<std::size_t>(numel())};
  }
  std::span<const T> span() const&& = delete;
  std::span<T> span() && = delete;

  /// Element at a row-major flat index. Meant for tests and single elements, not for inner loops.
  [[nodiscard]] const T& operator[](index_t i) const noexcept { return raw()[i]; }
  [[nodiscard]] T& operator[](index_t i) { return data()[i]; }

  /// A view of all elements; the mutable one copies them first if another tensor shares them.
  [[nodiscard]] View<const T> view() const noexcept { return {raw(), shape_}; }
  [[nodiscard]] View<T> view() {
    T* elements = data();
    return {elements, shape_};
  }
  operator View<const T>() const noexcept { return view(); }
  operator View<T>() { return view(); }

  /// The same elements with another shape of equal size; nothing is copied. One extent may be -1
  /// and is then inferred. Throws ShapeError when the sizes differ.
  [[nodiscard]] Tensor reshaped(std::initializer_list<index_t> extents) const {
    return reshaped(infer(extents));
  }
  [[nodiscard]] Tensor reshaped(const Shape& shape) const {
    if (shape.numel() != numel())
      raise<ShapeError>("Tensor::reshaped: cannot read ", shape_, " as ", shape);
    Tensor out(*this);
    out.shape_ = shape;
    return out;
  }

  /// Sets all elements to `value`.
  void fill(T value) {
    if (block_) fill_elements(data(), numel(), value);
  }

 private:
  Tensor(detail::Block* block, const Shape& shape) : block_(block), shape_(shape) {}

  static std::size_t bytes(const Shape& shape) {
    return static_cast<std::size_t>(shape.numel()) * sizeof(T);
  }

  Shape infer(std::initializer_list<index_t> extents) const {
    if (extents.size() > static_cast<std::size_t>(kMaxRank))
      raise<ShapeError>("Tensor::reshaped: a shape has at most ", kMaxRank, " extents");
    std::array<index_t, kMaxRank> out{};
    for (std::size_t i = 0; i < extents.size(); ++i)
      out[i] = extents.begin()[i] == -1 ? 1 : extents.begin()[i];
    const std::span<index_t> given(out.data(), extents.size());
    // Shape refuses negative extents and products that overflow.
    const index_t known = Shape(given).numel();
    for (std::size_t i = 0; i < given.size(); ++i)
      if (extents.begin()[i] == -1) given[i] = known ? numel() / known : 0;
    return Shape(given);
  }

  [[nodiscard]] T* raw() noexcept {
    return block_ ? reinterpret_cast<T*>(reinterpret_cast<char*>(block_) + detail::kAlignment)
                  : nullptr;
  }
  [[nodiscard]] const T* raw() const noexcept {
    return block_ ? reinterpret_cast<const T*>(reinterpret_cast<const char*>(block_) +
                                               detail::kAlignment)
                  : nullptr;
  }

  detail::Block* block_ = nullptr;
  Shape shape_;
};

/// Element-wise conversion, for example f32 to bf16, rounded to nearest even.
template <Element To, Element From>
[[nodiscard]] Tensor<To> convert(const Tensor<From>& from) {
  if (from.empty()) return {};
  Tensor<To> out(from.shape());  // (*)
  To* target = out.data();
  const From* source = from.data();
  for (index_t i = 0; i < from.numel(); ++i) {
    if constexpr (std::same_as<From, bf16> || std::same_as<From, f16>)
      target[i] = To(static_cast<float>(source[i]));
    else if constexpr (std::same_as<To, bf16> || std::same_as<To, f16>)
      target[i] = To(static_cast<float>(source[i]));
    else
      target[i] = static_cast<To>(source[i]);
  }
  return out;
}

/// True when every element is finite (neither NaN nor infinite).
template <Real T>
[[nodiscard]] bool all_finite(std::span<const T> values) noexcept {
  for (const T value : values)
    if (!math::is_finite(value)) return false;
  return true;
}

}  // namespace rae
