// The chunks of a PNG file.
#pragma once

#include "rae/core/function.hpp"

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace rae::detail {

/// True when the bytes begin with the PNG signature.
[[nodiscard]] bool is_png(std::span<const std::byte> bytes) noexcept;

/// Calls `visit(type, contents)` for each chunk up to IEND. Throws FormatError for a wrong
/// signature, length, checksum or a missing end.
void visit_png_chunks(std::span<const std::byte> bytes, const std::string& origin,
                      const Function<void(std::string_view, std::span<const std::byte>)>& visit);

}  // namespace rae::detail
