// PNG: reading chunks with their checksums, pairs of text, and an encoder that chooses one of the
// five filters per row by the smallest sum.
#include "png.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>

#include "byte_order.hpp"
#include "deflate.hpp"
#include "rae/core/function.hpp"
#include "rae/io/file.hpp"
#include "rae/io/image.hpp"

namespace rae {
namespace detail {
namespace {

constexpr std::array<unsigned char, 8> kSignature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

}  // namespace

bool is_png(std::span<const std::byte> bytes) noexcept {
  return bytes.size() >= kSignature.size() &&
         std::memcmp(bytes.data(), kSignature.data(), kSignature.size()) == 0;
}

void visit_png_chunks(std::span<const std::byte> bytes, const std::string& origin,
                      const Function<void(std::string_view, std::span<const std::byte>)>& visit) {
  if (!is_png(bytes)) raise<FormatError>(origin, ": not a PNG file");
  bytes = bytes.subspan(kSignature.size());
  for (;;) {
    if (bytes.size() < 12)
      raise<FormatError>(origin, ": the PNG ends without its end chunk; is the file truncated?");
    const std::size_t length = big_endian(bytes, 0, 4);
    if (length > bytes.size() - 12)
      raise<FormatError>(origin, ": a PNG chunk of ", length,
                         " bytes exceeds the file; is the file truncated?");
    const auto type = as_text(bytes.subspan(4, 4));
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    if (crc32_of(bytes.subspan(4, length + 4)) != big_endian(bytes, 8 + length, 4))
      raise<FormatError>(origin, ": wrong checksum of a PNG chunk; the file is damaged");
#endif
    visit(type, bytes.subspan(8, length));
    if (type == "IEND") return;
    bytes = bytes.subspan(12 + length);
  }
}

}  // namespace detail

namespace {

using detail::Wrapping;

/// Limit of the bytes of all text of one file together, decompressed.
constexpr std::size_t kMaxText = std::size_t{4} << 20;

/// Removes the bytes up to the first NUL from the front of `bytes` and returns them without it.
/// Throws FormatError when there is none.
std::string_view take_until_zero(std::span<const std::byte>& bytes, const std::string& origin) {
  const auto text = as_text(bytes);
  const auto end = text.find('\0');
  if (end == std::string_view::npos)
    raise<FormatError>(origin, ": a damaged text chunk in the PNG");
  bytes = bytes.subspan(end + 1);
  return text.substr(0, end);
}

std::string utf8_of_latin1(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xc0 | (code >> 6));
      out += static_cast<char>(0x80 | (code & 0x3f));
    }
  }
  return out;
}

/// Key and value of a tEXt, zTXt or iTXt chunk.
std::pair<std::string, std::string> parse_text(std::string_view type,
                                               std::span<const std::byte> chunk,
                                               const std::string& origin, std::size_t budget) {
  std::string key = utf8_of_latin1(take_until_zero(chunk, origin));
  if (type == "tEXt") return {key, utf8_of_latin1(as_text(chunk))};
  bool compressed = true;
  if (type == "iTXt") {
    if (chunk.size() < 2) raise<FormatError>(origin, ": a damaged text chunk in the PNG");
    compressed = chunk[0] != std::byte{0};
    chunk = chunk.subspan(2);
    (void)take_until_zero(chunk, origin);  // language
    (void)take_until_zero(chunk, origin);  // translated key
  } else {
    if (chunk.empty()) raise<FormatError>(origin, ": a damaged text chunk in the PNG");
    chunk = chunk.subspan(1);
  }
  if (!compressed) return {key, std::string(as_text(chunk))};
  const auto bytes = detail::inflate_all(chunk, Wrapping::zlib, origin, budget);
  return {key, type == "iTXt" ? std::string(as_text(bytes)) : utf8_of_latin1(as_text(bytes))};
}

void append_big_endian(std::vector<std::byte>& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::byte>(value >> shift));
}

void append_chunk(std::vector<std::byte>& out, std::string_view type,
                  std::span<const std::byte> contents) {
  if (contents.size() > 0x7fffffffu) raise<ArgumentError>("encode_png: a chunk of more than 2 GiB");
  append_big_endian(out, static_cast<std::uint32_t>(contents.size()));
  const auto name = as_byte_span(type);
  out.insert(out.end(), name.begin(), name.end());
  out.insert(out.end(), contents.begin(), contents.end());
  append_big_endian(out, detail::crc32_of(contents, detail::crc32_of(name)));
}

void append_text(std::vector<std::byte>& out, const std::string& key, const std::string& value) {
  const auto printable = [](char c) { return c >= 32 && c < 127; };
  if (key.empty() || key.size() > 79 || !std::all_of(key.begin(), key.end(), printable) ||
      key.front() == ' ' || key.back() == ' ')
    raise<ArgumentError>(
        "save_png: '", key.substr(0, 80),
        "' cannot be a key of text: expected 1 to 79 ASCII characters without spaces at the ends");
  if (value.find('\0') != std::string::npos)
    raise<ArgumentError>("save_png: the text of '", key, "' contains a NUL");
  if (value.size() > kMaxText / 2)
    raise<ArgumentError>("save_png: the text of '", key, "' is longer than ", kMaxText / 2,
                         " bytes");
  const bool ascii = std::all_of(value.begin(), value.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 128; });
  // iTXt: key, 0, uncompressed, method 0, empty language and translation.
  append_chunk(out, ascii ? "tEXt" : "iTXt",
               as_byte_span(key + std::string(ascii ? 1 : 5, '\0') + value));
}

int paeth(int left, int up, int corner) {
  const int p = left + up - corner;
  const int dl = std::abs(p - left), du = std::abs(p - up), dc = std::abs(p - corner);
  return dl <= du && dl <= dc ? left : du <= dc ? up : corner;
}

/// Appends a row under the filter whose bytes, taken as signed, have the smallest sum of
/// magnitudes.
void append_filtered_row(std::vector<std::byte>& out, std::span<const std::uint8_t> row,
                         std::span<const std::uint8_t> above, std::size_t step) {
  std::vector<std::byte> best, trial(row.size() + 1);
  long best_sum = -1;
  for (int filter = 0; filter < 5; ++filter) {
    trial[0] = static_cast<std::byte>(filter);
    long sum = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const int left = i < step ? 0 : row[i - step];
      const int up = above.empty() ? 0 : above[i];
      const int corner = above.empty() || i < step ? 0 : above[i - step];
      const int predicted = filter == 0   ? 0
                            : filter == 1 ? left
                            : filter == 2 ? up
                            : filter == 3 ? (left + up) / 2
                                          : paeth(left, up, corner);
      const auto value = static_cast<std::uint8_t>(row[i] - predicted);
      trial[i + 1] = static_cast<std::byte>(value);
      sum += std::abs(static_cast<int>(static_cast<std::int8_t>(value)));
    }
    if (best_sum >= 0 && sum >= best_sum) continue;
    best_sum = sum;
    best.swap(trial);
    trial.resize(row.size() + 1);
  }
  out.insert(out.end(), best.begin(), best.end());
}

}  // namespace

std::map<std::string, std::string> parse_png_text(std::span<const std::byte> bytes,
                                                  const std::string& origin) {
  std::map<std::string, std::string> out;
  std::size_t total = 0;
  detail::visit_png_chunks(
      bytes, origin, [&](std::string_view type, std::span<const std::byte> chunk) {
        if (type != "tEXt" && type != "zTXt" && type != "iTXt") return;
        auto pair = parse_text(type, chunk, origin, kMaxText - total);
        total += pair.first.size() + pair.second.size();
        if (total > kMaxText)
          raise<FormatError>(origin, ": more than ", kMaxText, " bytes of text in the PNG");
        out.insert(std::move(pair));
      });
  return out;
}

std::map<std::string, std::string> read_png_text(const std::string& path) {
  const MappedFile file(path);
  return parse_png_text(file.bytes(), path);
}

std::vector<std::byte> Image::encode_png(const std::map<std::string, std::string>& text) const {
  if (empty()) raise<ArgumentError>("encode_png: the picture is empty");
  std::vector<std::byte> out;
  const auto signature = std::as_bytes(std::span(detail::kSignature));
  out.insert(out.end(), signature.begin(), signature.end());
  std::vector<std::byte> header;
  append_big_endian(header, static_cast<std::uint32_t>(width_));
  append_big_endian(header, static_cast<std::uint32_t>(height_));
  // Eight bits, gray (0) or RGB (2), deflate, standard filters, not interlaced.
  for (const int field : {8, channels_ == 1 ? 0 : 2, 0, 0, 0})
    header.push_back(static_cast<std::byte>(field));
  append_chunk(out, "IHDR", header);
  for (const auto& [key, value] : text) append_text(out, key, value);

  const auto stride = static_cast<std::size_t>(width_ * channels_);
  std::vector<std::byte> rows;
  rows.reserve((stride + 1) * static_cast<std::size_t>(height_));
  std::span<const std::uint8_t> above;
  for (index_t y = 0; y < height_; ++y) {
    const auto row = pixels().subspan(static_cast<std::size_t>(y) * stride, stride);
    append_filtered_row(rows, row, above, static_cast<std::size_t>(channels_));
    above = row;
  }
  append_chunk(out, "IDAT", detail::deflate_all(rows, Wrapping::zlib));
  append_chunk(out, "IEND", {});
  return out;
}

void Image::save_png(const std::string& path,
                     const std::map<std::string, std::string>& text) const {
  write_file_atomically(path, encode_png(text));
}

}  // namespace rae
