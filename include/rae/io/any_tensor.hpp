// A tensor whose element type is known only at run time, as tensors in files are.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <utility>
#include <variant>

#include "rae/core/tensor.hpp"

namespace rae {

/// A tensor of any element type.
using AnyTensor = std::variant<Tensor<float>, Tensor<double>, Tensor<bf16>, Tensor<f16>,
                               Tensor<std::int64_t>, Tensor<std::int32_t>, Tensor<std::uint8_t>>;

/// True for element types that hold real numbers.
template <class T>
inline constexpr bool kIsFloatElement = Real<T> || std::same_as<T, bf16> || std::same_as<T, f16>;

/// The element type of a tensor.
[[nodiscard]] inline DType dtype_of(const AnyTensor& tensor) noexcept {
  constexpr DType kTypes[] = {DType::f32,   DType::f64,   DType::bf16, DType::f16,
                              DType::int64, DType::int32, DType::uint8};
  return kTypes[tensor.index()];
}

/// The shape of a tensor.
[[nodiscard]] inline const Shape& shape_of(const AnyTensor& tensor) {
  return std::visit([](const auto& t) -> const Shape& { return t.shape(); }, tensor);
}

/// The tensor with elements of type T: any float to any float, any integer to any integer. Throws
/// FormatError, whose message begins with `subject`, for a conversion between floats and integers
/// and for an integer that does not fit.
template <Element T>
[[nodiscard]] Tensor<T> tensor_cast(const AnyTensor& tensor, std::string_view subject) {
  return std::visit(
      [&]<class From>(const Tensor<From>& from) -> Tensor<T> {
        if constexpr (std::same_as<From, T>) {
          return from;
        } else if constexpr (kIsFloatElement<T> && kIsFloatElement<From>) {
          return convert<T>(from);
        } else if constexpr (!kIsFloatElement<T> && !kIsFloatElement<From>) {
          for (const From value : from.span())
            if (!std::in_range<T>(value))
              raise<FormatError>(subject, ": ", value, " does not fit into ",
                                 name_of(dtype_of<T>()));
          return convert<T>(from);
        } else {
          raise<FormatError>(subject, ": cannot read ", name_of(dtype_of<From>()), " as ",
                             name_of(dtype_of<T>()));
        }
      },
      tensor);
}

}  // namespace rae
