#include "rae/io/idx.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "deflate.hpp"
#include "rae/io/file.hpp"
#include "rae/io/placeholder.hpp"

namespace rae {
namespace {

/// Receives the file piece by piece: checks the header as soon as it is complete, and refuses data
/// beyond the declared size at once.
class IdxReader {
 public:
  IdxReader(int rank, const std::string& origin) : rank_(rank), origin_(origin) {}

  void take(std::span<const std::byte> piece) {
    const std::size_t head = std::min(piece.size(), header_size() - header_.size());
    header_.insert(header_.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(head));
    if (header_.size() < header_size()) return;
    if (!checked_) check_header();
    piece = piece.subspan(head);
    const auto expected = static_cast<std::size_t>(shape_.numel());
    if (piece.size() > expected - data_.size())
      raise<FormatError>(origin_, ": IDX: more data than the ", expected,
                         " bytes that its header declares for ", shape_);
    data_.insert(data_.end(), piece.begin(), piece.end());
  }

  Tensor<std::uint8_t> finish() {
    if (!checked_)
      raise<FormatError>(origin_, ": IDX: the file ends inside its header; is it truncated?");
    if (data_.size() != static_cast<std::size_t>(shape_.numel()))
      raise<FormatError>(origin_, ": IDX: the header declares ", shape_, ", which is ",
                         shape_.numel(), " bytes, the file has ", data_.size(),
                         "; is it truncated?");
    Tensor<std::uint8_t> out(shape_);  // (N, H, W) or (N)
    if (!data_.empty()) std::memcpy(out.data(), data_.data(), data_.size());
    return out;
  }

 private:
  std::size_t header_size() const { return 4 + 4 * static_cast<std::size_t>(rank_); }

  std::uint32_t number(std::size_t at) const {
    std::uint32_t out = 0;
    for (std::size_t i = 0; i < 4; ++i)
      out = out << 8 | std::to_integer<std::uint32_t>(header_[at + i]);
    return out;
  }

  void check_header() {
    // Two zero bytes, the element type (8: unsigned byte), the number of dimensions.
    const std::uint32_t magic = number(0);
    const auto expected = 0x0800u + static_cast<std::uint32_t>(rank_);
    if (magic != expected) {
      const char* hint = magic == 0x0801u   ? " (this is a file of labels)"
                         : magic == 0x0803u ? " (this is a file of images)"
                                            : "";
      raise<FormatError>(origin_, ": IDX: expected the magic number ", expected, ", got ", magic,
                         hint);
    }
    std::array<index_t, 3> extents{};
    std::uint64_t bytes = 1;
    for (int d = 0; d < rank_; ++d) {
      const std::uint32_t extent = number(4 + 4 * static_cast<std::size_t>(d));
      if (d > 0 && (extent < 1 || extent > 16384))
        raise<FormatError>(
            origin_, ": IDX: expected a picture of 1 to 16384 rows and columns, got ", extent);
      if (extent > 0 && bytes > kMaxIdxBytes / extent)
        raise<FormatError>(origin_, ": IDX: the header declares more than ", kMaxIdxBytes,
                           " bytes");
      bytes *= extent;
      extents[static_cast<std::size_t>(d)] = extent;
    }
    shape_ = Shape(std::span<const index_t>(extents.data(), static_cast<std::size_t>(rank_)));
    checked_ = true;
  }

  int rank_;
  const std::string& origin_;
  std::vector<std::byte> header_, data_;
  Shape shape_;
  bool checked_ = false;
};

Tensor<std::uint8_t> parse(std::span<const std::byte> bytes, int rank, const std::string& origin) {
  require_no_placeholder(bytes, origin);
  IdxReader reader(rank, origin);
  const bool gzip = bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
  if (!gzip) {
    reader.take(bytes);
    return reader.finish();
  }
  const std::size_t used =
      detail::inflate(bytes, detail::Wrapping::gzip, origin, [&](std::span<const std::byte> piece) {
        reader.take(piece);
        return true;
      });
  if (used != bytes.size())
    raise<FormatError>(origin, ": ", bytes.size() - used,
                       " bytes after the end of the compressed data");
  return reader.finish();
}

}  // namespace

Tensor<std::uint8_t> parse_idx_images(std::span<const std::byte> bytes, const std::string& origin) {
  return parse(bytes, 3, origin);
}

Tensor<std::uint8_t> parse_idx_labels(std::span<const std::byte> bytes, const std::string& origin) {
  return parse(bytes, 1, origin);
}

Tensor<std::uint8_t> read_idx_images(const std::string& path) {
  const MappedFile file(path);
  return parse_idx_images(file.bytes(), path);
}

Tensor<std::uint8_t> read_idx_labels(const std::string& path) {
  const MappedFile file(path);
  return parse_idx_labels(file.bytes(), path);
}

}  // namespace rae
