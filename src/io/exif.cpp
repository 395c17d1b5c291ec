#include "exif.hpp"

#include "byte_order.hpp"
#include "rae/io/file.hpp"

namespace rae::detail {

int exif_orientation(std::span<const std::byte> exif) noexcept {
  using std::string_view_literals::operator""sv;
  constexpr int kUpright = 1;
  constexpr std::uint32_t kOrientation = 0x0112;
  constexpr std::size_t kHeader = 8, kEntry = 12;
  if (as_text(exif).starts_with("Exif\0\0"sv)) exif = exif.subspan(6);
  if (exif.size() < kHeader) return kUpright;
  const std::string_view order = as_text(exif.first(2));
  if (order != "II" && order != "MM") return kUpright;
  const auto number = [&](std::size_t at, std::size_t count) {
    return order == "II" ? little_endian(exif, at, count) : big_endian(exif, at, count);
  };
  if (number(2, 2) != 42) return kUpright;

  // Only the tags of the main picture count; they are in the first directory.
  const std::size_t directory = number(4, 4);
  if (directory < kHeader || directory > exif.size() - 2) return kUpright;
  const std::size_t count = number(directory, 2);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t entry = directory + 2 + i * kEntry;
    if (entry + kEntry > exif.size()) return kUpright;
    if (number(entry, 2) != kOrientation) continue;
    // One value of type BYTE, SHORT or LONG, which is stored in the entry itself.
    const std::uint32_t type = number(entry + 2, 2);
    const std::size_t size = type == 1 ? 1 : type == 3 ? 2 : type == 4 ? 4 : 0;
    if (size == 0 || number(entry + 4, 4) != 1) return kUpright;
    const std::uint32_t value = number(entry + 8, size);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : kUpright;
  }
  return kUpright;
}

}  // namespace rae::detail
