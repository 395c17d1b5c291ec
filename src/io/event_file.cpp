#include "rae/io/event_file.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <filesystem>

#include "rae/io/file.hpp"

namespace rae {
namespace {

constexpr std::array<std::uint32_t, 256> kCastagnoli = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit)
      value = (value & 1u) != 0 ? value >> 1 ^ 0x82f63b78u : value >> 1;
    table[i] = value;
  }
  return table;
}();

template <class Number>
std::string little_endian(Number value) {
  std::string out;
  for (std::size_t i = 0; i < sizeof value; ++i)
    out += static_cast<char>(static_cast<unsigned char>(value >> (8 * i) & 0xffu));
  return out;
}

// Fields of a protocol buffer: a key (number and type), then the value.
std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7)
    out += static_cast<char>(static_cast<unsigned char>((value & 0x7fu) | 0x80u));
  return out + static_cast<char>(static_cast<unsigned char>(value));
}
std::string integer_field(unsigned number, std::uint64_t value) {
  return varint(number << 3) + varint(value);
}
std::string double_field(unsigned number, double value) {
  return varint(number << 3 | 1u) + little_endian(std::bit_cast<std::uint64_t>(value));
}
std::string float_field(unsigned number, float value) {
  return varint(number << 3 | 5u) + little_endian(std::bit_cast<std::uint32_t>(value));
}
std::string bytes_field(unsigned number, std::string_view value) {
  return (varint(number << 3 | 2u) + varint(value.size())).append(value);
}

/// The checksum of a record: a CRC, rotated, because a file may itself contain records.
std::string masked_crc(std::string_view text) {
  const std::uint32_t crc = crc32c(as_byte_span(text));
  return little_endian(std::rotr(crc, 15) + 0xa282ead8u);
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string new_event_path(const std::string& folder) {
  static std::atomic<int> files{0};
  return (std::filesystem::path(folder) / concat("events.out.tfevents.",
                                                 static_cast<std::int64_t>(seconds_since_1970()),
                                                 ".rae.", ::getpid(), ".", files++))
      .string();
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const std::byte byte : bytes)
    crc = crc >> 8 ^ kCastagnoli[(crc ^ static_cast<std::uint32_t>(byte)) & 0xffu];
  return ~crc;
}

EventFile::EventFile(const std::string& folder, index_t first_step)
    : path_(new_event_path(folder)), out_(path_, std::ios::binary) {
  write_event(bytes_field(3, "brain.Event:2"));  // file_version
  // session_log with the status START.
  if (first_step > 0)
    write_event(integer_field(2, static_cast<std::uint64_t>(first_step)) +
                bytes_field(7, integer_field(1, 1)));
}

void EventFile::write_event(std::string_view fields) {
  const std::string event = double_field(1, seconds_since_1970()).append(fields);  // wall_time
  const std::string length = little_endian(std::uint64_t{event.size()});
  out_ << length + masked_crc(length) + event + masked_crc(event) << std::flush;
  if (!out_) raise<FileError>(path_, ": cannot be written; is the disk full?");
}

void EventFile::summary(std::string_view name, index_t step, std::string_view value) {
  const std::string named = bytes_field(1, name).append(value);  // Summary.Value
  write_event(integer_field(2, static_cast<std::uint64_t>(step)) +
              bytes_field(5, bytes_field(1, named)));
}

void EventFile::scalar(std::string_view name, index_t step, double value) {
  summary(name, step, float_field(2, static_cast<float>(value)));
}

void EventFile::image(std::string_view name, index_t step, const Image& image) {
  const std::vector<std::byte> png = image.encode_png();
  const auto number = [](index_t n) { return static_cast<std::uint64_t>(n); };
  summary(
      name, step,
      bytes_field(
          4, integer_field(1, number(image.height())) + integer_field(2, number(image.width())) +
                 integer_field(3, number(image.channels())) + bytes_field(4, as_text(png))));
}

}  // namespace rae
