// The orientation of a picture in its EXIF data.
#pragma once

#include <cstddef>
#include <span>

namespace rae::detail {

/// The orientation, 1 to 8, in EXIF data: a TIFF header and the tags after it, with or without the
/// prefix "Exif\0\0". 1 (upright) when the tag is missing or anything is broken; never throws.
/// Source: Exif 2.32, section 4.6.4 (tag 0x0112), and TIFF 6.0, section 2.
[[nodiscard]] int exif_orientation(std::span<const std::byte> exif) noexcept;

}  // namespace rae::detail
