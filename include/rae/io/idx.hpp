// IDX files, the format of MNIST and Fashion-MNIST, plain or gzip-compressed.
//
// Source: Y. LeCun's description of the MNIST files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "rae/core/tensor.hpp"

namespace rae {

/// Largest number of elements (bytes) of an IDX file: 2 GiB.
inline constexpr std::size_t kMaxIdxBytes = std::size_t{1} << 31;

/// Reads gray pictures, (N, H, W). Throws FileError, or FormatError for a wrong magic number, sizes
/// that do not fit the data, damaged compression, or more than 2 GiB. Memory grows with the data in
/// the file, not with the sizes that its header declares.
[[nodiscard]] Tensor<std::uint8_t> read_idx_images(const std::string& path);

/// Reads labels, (N). Throws as `read_idx_images`.
[[nodiscard]] Tensor<std::uint8_t> read_idx_labels(const std::string& path);

/// The same from memory; `origin` names the file in messages. Throws FormatError.
[[nodiscard]] Tensor<std::uint8_t> parse_idx_images(std::span<const std::byte> bytes,
                                                    const std::string& origin = "memory");
/// The same from memory; `origin` names the file in messages. Throws FormatError.
[[nodiscard]] Tensor<std::uint8_t> parse_idx_labels(std::span<const std::byte> bytes,
                                                    const std::string& origin = "memory");

}  // namespace rae
