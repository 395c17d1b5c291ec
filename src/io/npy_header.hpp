// The header of an .npy file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "rae/core/dtype.hpp"
#include "rae/core/shape.hpp"

namespace rae::detail {

/// NumPy's name of a type; absent for types that NumPy does not have.
[[nodiscard]] std::optional<std::string_view> npy_descr(DType type);

/// The header for a type that NumPy has: magic, version 1.0, and the dictionary, padded so that the
/// data begin at a multiple of 64 bytes.
[[nodiscard]] std::string npy_head(DType type, const Shape& shape);

}  // namespace rae::detail
