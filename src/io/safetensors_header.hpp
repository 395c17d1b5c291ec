// The header of a safetensors file, parsed and validated.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rae/io/safetensors_writer.hpp"

namespace rae::detail {

/// Largest header: the limit of the reference implementation.
inline constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;

/// One tensor of the header. `begin` and `end` are byte offsets into the data after the header.
struct StoredTensor {
  std::string name;
  TensorInfo info;
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// The whole header. All offsets are inside the file, and the tensors, unreadable ones included,
/// cover its data without overlap or hole.
struct SafetensorsHeader {
  std::vector<StoredTensor> tensors;
  UnreadableTensors unreadable;
  std::map<std::string, std::string> metadata;
  std::size_t data_begin = 0;
};

/// Parses and checks a header. Throws FormatError with `origin` in the message.
[[nodiscard]] SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                                         const std::string& origin);

/// The first bytes of a file with these tensors: the length of the header, the header, and spaces
/// so that the data begin at a multiple of 64, as kernels need it. `path` names the file in
/// messages. Throws ArgumentError for an empty, reserved or repeated name, or a string that is not
/// UTF-8.
[[nodiscard]] std::string encode_safetensors_header(
    const std::string& path, const std::vector<SafetensorsSlot>& slots,
    const std::map<std::string, std::string>& metadata);

/// "F32", "BF16", ... as the format writes them.
[[nodiscard]] std::string_view safetensors_name(DType type) noexcept;

}  // namespace rae::detail
