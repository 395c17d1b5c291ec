// Source: PKWARE's APPNOTE. Of local headers only the signature and the lengths that lead to the
// data are read; everything else is taken from the central directory.
#include "zip.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "deflate.hpp"
#include "rae/io/placeholder.hpp"

namespace rae::detail {
namespace {

constexpr std::uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50,
                        kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr std::size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56,
                      kLocator64Size = 20;

std::uint64_t number(std::span<const std::byte> bytes, std::size_t at, int count) {
  std::uint64_t out = 0;
  for (int i = count - 1; i >= 0; --i)
    out = out << 8 | std::to_integer<std::uint64_t>(bytes[at + static_cast<std::size_t>(i)]);
  return out;
}

void append(std::string& out, std::uint64_t value, int count) {
  for (int i = 0; i < count; ++i) out += static_cast<char>(i < 8 ? value >> (8 * i) & 0xff : 0);
}

/// The contents of the zip64 extra field, empty when there is none.
std::span<const std::byte> zip64_field(std::span<const std::byte> extra) {
  while (extra.size() >= 4) {
    const std::size_t length = number(extra, 2, 2);
    if (length > extra.size() - 4) return {};
    if (number(extra, 0, 2) == 1) return extra.subspan(4, length);
    extra = extra.subspan(4 + length);
  }
  return {};
}

}  // namespace

void ZipReader::damaged(std::string_view reason) const {
  raise<FormatError>(origin_, ": zip: ", reason, "; is the file truncated or damaged?");
}

ZipReader::ZipReader(std::span<const std::byte> archive, std::string origin)
    : archive_(archive), origin_(std::move(origin)) {
  require_no_placeholder(archive, origin_);
  // The end record is followed by a comment of up to 65535 bytes, which must end exactly at the end
  // of the file.
  if (archive.size() < kEndSize) damaged("no end record");
  std::size_t end = archive.size() - kEndSize;
  const std::size_t lowest = end > 0xffff ? end - 0xffff : 0;
  while (number(archive, end, 4) != kEnd ||
         number(archive, end + 20, 2) != archive.size() - end - kEndSize) {
    if (end == lowest) damaged("no end record");
    --end;
  }
  std::uint64_t count = number(archive, end + 10, 2), size = number(archive, end + 12, 4),
                offset = number(archive, end + 16, 4);
  if (count == 0xffff || size == 0xffffffffu || offset == 0xffffffffu) {
    if (end < kLocator64Size || number(archive, end - kLocator64Size, 4) != kLocator64)
      damaged("no zip64 locator");
    const std::uint64_t at = number(archive, end - kLocator64Size + 8, 8);
    if (archive.size() < kEnd64Size || at > archive.size() - kEnd64Size ||
        number(archive, at, 4) != kEnd64)
      damaged("no zip64 end record");
    count = number(archive, at + 32, 8);
    size = number(archive, at + 40, 8);
    offset = number(archive, at + 48, 8);
  }
  if (offset > end || size > end - offset) damaged("the directory is outside the file");
  if (count > size / kCentralSize) damaged("the directory is too short");
  read_directory(archive.subspan(offset, size), count);
}

void ZipReader::read_directory(std::span<const std::byte> directory, std::uint64_t count) {
  std::unordered_set<std::string_view> names;
  std::vector<std::pair<std::uint64_t, std::uint64_t>>
      places;  // begin and end of each header with its contents
  for (; count > 0; --count) {
    if (directory.size() < kCentralSize || number(directory, 0, 4) != kCentral)
      damaged("wrong directory entry");
    const std::size_t name_size = number(directory, 28, 2), extra_size = number(directory, 30, 2),
                      comment_size = number(directory, 32, 2);
    if (name_size + extra_size + comment_size > directory.size() - kCentralSize)
      damaged("wrong directory entry");
    const auto name = as_text(directory.subspan(kCentralSize, name_size));
    const auto shown = name.substr(0, 100);
    if (!names.insert(name).second)
      raise<FormatError>(origin_, ": zip: two files are named '", shown, "'");
    if ((number(directory, 8, 2) & 1u) != 0)
      raise<FormatError>(origin_, ": zip: '", shown, "' is encrypted");
    const std::uint64_t method = number(directory, 10, 2);
    if (method != 0 && method != 8)
      raise<FormatError>(origin_, ": zip: '", shown, "' is compressed by the unknown method ",
                         method);

    std::uint64_t stored = number(directory, 20, 4), size = number(directory, 24, 4),
                  offset = number(directory, 42, 4);
    auto wide = zip64_field(directory.subspan(kCentralSize + name_size, extra_size));
    for (std::uint64_t* value : {&size, &stored, &offset}) {
      if (*value != 0xffffffffu) continue;
      if (wide.size() < 8) damaged("a zip64 size is missing");
      *value = number(wide, 0, 8);
      wide = wide.subspan(8);
    }
    if (archive_.size() < kLocalSize || offset > archive_.size() - kLocalSize ||
        number(archive_, offset, 4) != kLocal)
      damaged("a file is outside the archive");
    const std::uint64_t begin =
        offset + kLocalSize + number(archive_, offset + 26, 2) + number(archive_, offset + 28, 2);
    if (begin > archive_.size() || stored > archive_.size() - begin)
      damaged("a file is outside the archive");
    if (method == 0 && stored != size) damaged("a stored file has two sizes");
    entries_.push_back(
        {std::string(name), method == 8, static_cast<std::uint32_t>(number(directory, 16, 4)), size,
         archive_.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(stored))});
    places.emplace_back(offset, begin + stored);
    directory = directory.subspan(kCentralSize + name_size + extra_size + comment_size);
  }
  // Otherwise a small archive could contain many large files that name the same bytes again and
  // again.
  std::sort(places.begin(), places.end());
  for (std::size_t i = 1; i < places.size(); ++i)
    if (places[i].first < places[i - 1].second) damaged("two files overlap");
}

const ZipEntry* ZipReader::find(std::string_view name) const noexcept {
  for (const auto& entry : entries_)
    if (entry.name == name) return &entry;
  return nullptr;
}

std::vector<std::byte> ZipReader::read(const ZipEntry& entry, std::size_t max_bytes) const {
  const std::string where = origin_ + ": " + entry.name.substr(0, 100);
  if (entry.size > max_bytes)
    raise<FormatError>(where, ": ", entry.size, " bytes are more than the limit of ", max_bytes);
  std::vector<std::byte> out;
  if (entry.deflated)
    out = inflate_all(entry.raw, Wrapping::raw, where, static_cast<std::size_t>(entry.size));
  else
    out.assign(entry.raw.begin(), entry.raw.end());
  if (out.size() != entry.size)
    raise<FormatError>(where, ": ", out.size(), " bytes, but the directory declares ", entry.size);
  require_checksum(entry, out);
  return out;
}

std::span<const std::byte> ZipReader::stored(const ZipEntry& entry) const {
  if (entry.deflated)
    raise<FormatError>(origin_, ": ", entry.name.substr(0, 100),
                       ": is compressed; expected a stored file");
  return entry.raw;
}

void ZipReader::require_checksum([[maybe_unused]] const ZipEntry& entry,
                                 [[maybe_unused]] std::span<const std::byte> contents) const {
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  if (crc32_of(contents) != entry.crc)
    raise<FormatError>(origin_, ": ", entry.name.substr(0, 100),
                       ": wrong checksum; the file is damaged");
#endif
}

namespace {
bool needs_64(std::uint64_t value, bool always_64) { return always_64 || value >= 0xffffffffu; }
}  // namespace

std::string zip_local_header(const ZipStored& file, bool always_64) {
  const bool wide = needs_64(file.size, always_64);
  std::string header;
  append(header, kLocal, 4);
  append(header, wide ? 45 : 20, 2);  // version needed
  append(header, 0, 2);               // flags
  append(header, 0, 2);               // stored
  append(header, 0x00210000, 4);      // 1980-01-01 00:00
  append(header, file.crc, 4);
  for (int i = 0; i < 2; ++i) append(header, wide ? 0xffffffffu : file.size, 4);
  append(header, file.name.size(), 2);
  append(header, wide ? 20 : 0, 2);
  header += file.name;
  if (wide) {
    append(header, 1, 2);
    append(header, 16, 2);
    for (int i = 0; i < 2; ++i) append(header, file.size, 8);
  }
  return header;
}

std::string zip_directory(std::span<const ZipStored> files, std::uint64_t position,
                          bool always_64) {
  std::string directory;
  for (const auto& entry : files) {
    const bool wide_size = needs_64(entry.size, always_64),
               wide_offset = needs_64(entry.offset, always_64);
    const int extra = (wide_size ? 16 : 0) + (wide_offset ? 8 : 0);
    append(directory, kCentral, 4);
    append(directory, 45, 2);
    append(directory, extra > 0 ? 45 : 20, 2);
    append(directory, 0, 4);
    append(directory, 0x00210000, 4);
    append(directory, entry.crc, 4);
    for (int i = 0; i < 2; ++i) append(directory, wide_size ? 0xffffffffu : entry.size, 4);
    append(directory, entry.name.size(), 2);
    append(directory, extra > 0 ? static_cast<std::uint64_t>(extra) + 4 : 0, 2);
    append(directory, 0, 10);  // comment, disk, attributes
    append(directory, wide_offset ? 0xffffffffu : entry.offset, 4);
    directory += entry.name;
    if (extra == 0) continue;
    append(directory, 1, 2);
    append(directory, static_cast<std::uint64_t>(extra), 2);
    if (wide_size)
      for (int i = 0; i < 2; ++i) append(directory, entry.size, 8);
    if (wide_offset) append(directory, entry.offset, 8);
  }
  const std::uint64_t size = directory.size(), count = files.size();
  const bool wide = needs_64(position, always_64) || needs_64(size, always_64) || count >= 0xffff;
  if (wide) {
    append(directory, kEnd64, 4);
    append(directory, kEnd64Size - 12, 8);
    append(directory, 45, 2);
    append(directory, 45, 2);
    append(directory, 0, 8);
    for (int i = 0; i < 2; ++i) append(directory, count, 8);
    append(directory, size, 8);
    append(directory, position, 8);
    append(directory, kLocator64, 4);
    append(directory, 0, 4);
    append(directory, position + size, 8);
    append(directory, 1, 4);
  }
  append(directory, kEnd, 4);
  append(directory, 0, 4);
  for (int i = 0; i < 2; ++i) append(directory, wide ? 0xffff : count, 2);
  append(directory, wide ? 0xffffffffu : size, 4);
  append(directory, wide ? 0xffffffffu : position, 4);
  append(directory, 0, 2);
  return directory;
}

void ZipWriter::add(const std::string& name,
                    std::initializer_list<std::span<const std::byte>> pieces) {
  ZipStored entry{name, 0, 0, position_};
  for (const auto& piece : pieces) {
    entry.crc = crc32_of(piece, entry.crc);
    entry.size += piece.size();
  }
  const std::string header = zip_local_header(entry, always_64_);
  file_.write(header);
  for (const auto& piece : pieces) file_.write(piece);
  position_ += header.size() + entry.size;
  written_.push_back(std::move(entry));
}

void ZipWriter::commit() {
  file_.write(zip_directory(written_, position_, always_64_));
  file_.commit();
}

}  // namespace rae::detail
