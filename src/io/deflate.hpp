// Compression by zlib; decompression never trusts a declared size.
#pragma once

#include "rae/core/function.hpp"

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace rae::detail {

/// Container of a deflate stream.
enum class Wrapping { raw, zlib, gzip };

/// Decompresses piece by piece; `sink` gets each piece and returns false to stop early. The
/// checksum of gzip is verified, and its members are concatenated. Returns the number of input
/// bytes used. Throws FormatError for damaged or truncated data.
std::size_t inflate(std::span<const std::byte> input, Wrapping wrapping, const std::string& origin,
                    const Function<bool(std::span<const std::byte>)>& sink);

/// Decompresses everything. Throws FormatError as `inflate`, and as soon as the output exceeds
/// `max_bytes`.
[[nodiscard]] std::vector<std::byte> inflate_all(std::span<const std::byte> input,
                                                 Wrapping wrapping, const std::string& origin,
                                                 std::size_t max_bytes);

/// Compresses with the default level. Equal input gives equal output.
[[nodiscard]] std::vector<std::byte> deflate_all(std::span<const std::byte> input,
                                                 Wrapping wrapping);

/// The CRC-32 of PNG, gzip and zip, continued from `before`.
[[nodiscard]] std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before = 0);

}  // namespace rae::detail
