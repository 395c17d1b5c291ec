// A reader of TensorBoard's event files, independent of the writer except for the checksum.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rae/io/event_file.hpp"
#include "rae/io/file.hpp"

namespace rae::test {

/// The members of an Event message with at most one value.
struct EventRecord {
  double wall_time = 0;
  std::uint64_t step = 0;
  bool starts = false;  // a session log with the status START
  std::string version{}, tag{}, png{};
  float value = 0;
  std::uint64_t height = 0, width = 0, colorspace = 0;
};

/// One field of a protocol buffer.
struct ProtoField {
  std::uint64_t number = 0, integer = 0;
  std::string_view bytes{};
};

inline std::uint64_t little_endian_number(std::string_view bytes) {
  std::uint64_t out = 0;
  for (std::size_t i = bytes.size(); i-- > 0;)
    out = out << 8 | static_cast<unsigned char>(bytes[i]);
  return out;
}

inline std::vector<ProtoField> proto_fields(std::string_view text) {
  std::vector<ProtoField> out;
  const auto take = [&](std::size_t count) {
    const std::string_view taken = text.substr(0, count);
    EXPECT_EQ(taken.size(), count) << "a field is not complete";
    text.remove_prefix(taken.size());
    return taken;
  };
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (unsigned shift = 0; !text.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (!text.empty()) {
    const std::uint64_t key = varint();
    ProtoField field{key >> 3};
    switch (key & 7u) {
      case 0: field.integer = varint(); break;
      case 1: field.integer = little_endian_number(take(8)); break;
      case 2: field.bytes = take(varint()); break;
      case 5: field.integer = little_endian_number(take(4)); break;
      default: ADD_FAILURE() << "unknown type of a field"; return out;
    }
    out.push_back(field);
  }
  return out;
}

inline EventRecord event_of(std::string_view message) {
  EventRecord out;
  for (const ProtoField& event : proto_fields(message)) {
    if (event.number == 1) out.wall_time = std::bit_cast<double>(event.integer);
    if (event.number == 2) out.step = event.integer;
    if (event.number == 3) out.version = event.bytes;
    if (event.number == 7) {
      const auto log = proto_fields(event.bytes);
      out.starts = log.size() == 1 && log[0].number == 1 && log[0].integer == 1;
    }
    if (event.number != 5) continue;
    for (const ProtoField& summary : proto_fields(event.bytes))
      for (const ProtoField& value : proto_fields(summary.bytes)) {
        if (value.number == 1) out.tag = value.bytes;
        if (value.number == 2)
          out.value = std::bit_cast<float>(static_cast<std::uint32_t>(value.integer));
        if (value.number != 4) continue;
        for (const ProtoField& image : proto_fields(value.bytes)) {
          if (image.number == 1) out.height = image.integer;
          if (image.number == 2) out.width = image.integer;
          if (image.number == 3) out.colorspace = image.integer;
          if (image.number == 4) out.png = image.bytes;
        }
      }
  }
  return out;
}

/// All records; each must be whole and have the right checksums.
inline std::vector<EventRecord> read_event_file(const std::string& path) {
  const std::vector<std::byte> bytes = read_file(path);
  std::string_view text = as_text(bytes);
  const auto masked = [](std::string_view part) {
    const std::uint32_t crc = crc32c(as_byte_span(part));
    return static_cast<std::uint32_t>((crc >> 15 | crc << 17) + 0xa282ead8u);
  };
  std::vector<EventRecord> out;
  while (text.size() >= 16) {
    const std::uint64_t length = little_endian_number(text.substr(0, 8));
    EXPECT_EQ(little_endian_number(text.substr(8, 4)), masked(text.substr(0, 8)));
    if (text.size() < 16 + length) break;
    const std::string_view message = text.substr(12, length);
    EXPECT_EQ(little_endian_number(text.substr(12 + length, 4)), masked(message));
    out.push_back(event_of(message));
    text.remove_prefix(16 + length);
  }
  EXPECT_TRUE(text.empty()) << path << ": a record is not complete";
  return out;
}

}  // namespace rae::test
