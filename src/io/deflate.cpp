#include "deflate.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

#include "rae/error.hpp"

#include "rae/core/function.hpp"

namespace rae::detail {
namespace {

int window_bits(Wrapping wrapping) {
  return wrapping == Wrapping::raw ? -15 : wrapping == Wrapping::gzip ? 15 + 16 : 15;
}

constexpr std::size_t kMaxChunk = std::size_t{1} << 30;

/// A zlib stream that is ended on every way out.
template <int (*End)(z_stream*)>
struct Stream : z_stream {
  Stream() : z_stream{} {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { End(this); }
};

}  // namespace

std::size_t inflate(std::span<const std::byte> input, Wrapping wrapping, const std::string& origin,
                    const Function<bool(std::span<const std::byte>)>& sink) {
  Stream<inflateEnd> stream;
  if (inflateInit2(&stream, window_bits(wrapping)) != Z_OK)
    raise<Error>(origin, ": cannot start decompression");
  std::vector<std::byte> buffer(std::size_t{1} << 16);
  std::size_t position = 0;
  for (;;) {
    const std::size_t offered = std::min(input.size() - position, kMaxChunk);
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(input.data() + position));
    stream.avail_in = static_cast<uInt>(offered);
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    const int result = ::inflate(&stream, Z_NO_FLUSH);
    const std::size_t produced = buffer.size() - stream.avail_out;
    position += offered - stream.avail_in;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      raise<FormatError>(origin, ": damaged compressed data",
                         stream.msg != nullptr ? concat(" (", std::string(stream.msg), ")") : "");
    if (produced > 0 && !sink(std::span<const std::byte>(buffer.data(), produced))) return position;
    if (result == Z_STREAM_END) {
      const bool another = wrapping == Wrapping::gzip && position + 1 < input.size() &&
                           input[position] == std::byte{0x1f} &&
                           input[position + 1] == std::byte{0x8b};
      if (!another) return position;
      if (inflateReset(&stream) != Z_OK) raise<Error>(origin, ": cannot restart decompression");
      continue;
    }
    if (produced == 0 && position == input.size())
      raise<FormatError>(origin, ": the compressed data end early; is the file truncated?");
    if (produced == 0 && stream.avail_in == offered)
      raise<FormatError>(origin, ": damaged compressed data");
  }
}

std::vector<std::byte> inflate_all(std::span<const std::byte> input, Wrapping wrapping,
                                   const std::string& origin, std::size_t max_bytes) {
  std::vector<std::byte> out;
  inflate(input, wrapping, origin, [&](std::span<const std::byte> piece) {
    if (piece.size() > max_bytes - out.size())
      raise<FormatError>(origin, ": more than ", max_bytes, " bytes when decompressed");
    out.insert(out.end(), piece.begin(), piece.end());
    return true;
  });
  return out;
}

std::vector<std::byte> deflate_all(std::span<const std::byte> input, Wrapping wrapping) {
  Stream<deflateEnd> stream;
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window_bits(wrapping), 8,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    raise<Error>("cannot start compression");
  std::vector<std::byte> out;
  std::vector<std::byte> buffer(std::size_t{1} << 16);
  for (int result = Z_OK; result != Z_STREAM_END;) {
    const std::size_t offered = std::min(input.size(), kMaxChunk);
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(input.data()));
    stream.avail_in = static_cast<uInt>(offered);
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    result = ::deflate(&stream, offered == input.size() ? Z_FINISH : Z_NO_FLUSH);
    if (result == Z_STREAM_ERROR) raise<Error>("compression failed");
    input = input.subspan(offered - stream.avail_in);
    out.insert(out.end(), buffer.begin(), buffer.end() - stream.avail_out);
  }
  return out;
}

std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before) {
  if (bytes.empty()) return before;  // for a null pointer zlib returns the initial value
  return static_cast<std::uint32_t>(
      ::crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace rae::detail
