#include "rae/io/npz.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "npy_header.hpp"
#include "rae/io/file.hpp"
#include "rae/io/placeholder.hpp"
#include "suggestion.hpp"
#include "zip.hpp"

namespace rae {
namespace {

/// The contents of the dictionary in the header of an .npy file.
struct NpyHeader {
  std::string descr;
  bool fortran_order = false;
  Shape shape;
};

/// Parses the Python dictionary { 'descr': string, 'fortran_order': bool, 'shape': tuple } and
/// nothing else.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& origin) : text_(text), origin_(origin) {}

  NpyHeader parse() {
    NpyHeader header;
    std::set<std::string> seen;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (!seen.insert(key).second) fail();
      if (key == "descr")
        header.descr = quoted();
      else if (key == "fortran_order")
        header.fortran_order = boolean();
      else if (key == "shape")
        header.shape = tuple();
      else
        fail();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (seen.size() != 3 || !text_.empty()) fail();
    return header;
  }

 private:
  [[noreturn]] void fail() const {
    raise<FormatError>(origin_, ": npy: cannot understand the header");
  }

  void skip_space() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n'))
      text_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_space();
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail();
  }

  std::string quoted() {
    skip_space();
    if (text_.empty() || (text_.front() != '\'' && text_.front() != '"')) fail();
    const auto end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) fail();
    std::string out(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return out;
  }

  bool boolean() {
    skip_space();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(0, word.size()) != word) continue;
      text_.remove_prefix(word.size());
      return value;
    }
    fail();
  }

  Shape tuple() {
    std::vector<index_t> extents;
    expect('(');
    while (!accept(')')) {
      skip_space();
      index_t extent = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), extent);
      if (error != std::errc() || extents.size() == static_cast<std::size_t>(kMaxRank)) fail();
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      extents.push_back(extent);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    try {
      return Shape(std::span<const index_t>(extents));
    } catch (const ShapeError& error) {
      raise<FormatError>(origin_, ": npy: ", error.what());
    }
  }

  std::string_view text_;
  const std::string& origin_;
};

/// The elements in row-major order. Fortran order is the row-major order of the reversed shape, so
/// that only the order of indices changes.
template <class T>
Tensor<T> tensor_of(const NpyHeader& header, std::span<const std::byte> data,
                    const std::string& origin) {
  const Shape& shape = header.shape;
  const auto bytes = static_cast<std::size_t>(shape.numel()) * sizeof(T);
  if (data.size() != bytes)
    raise<FormatError>(origin, ": npy: ", shape, " of ", header.descr, " needs ", bytes,
                       " bytes, the file has ", data.size(), "; is it truncated?");
  Tensor<T> out(shape);  // header.shape
  T* target = out.data();
  if (!header.fortran_order || shape.rank() < 2) {
    if (bytes > 0) std::memcpy(target, data.data(), bytes);
    return out;
  }
  std::array<index_t, kMaxRank> at{};
  for (index_t i = 0; i < shape.numel(); ++i) {
    index_t offset = 0;
    for (int d = shape.rank() - 1; d >= 0; --d)
      offset = offset * shape[d] + at[static_cast<std::size_t>(d)];
    std::memcpy(target + i, data.data() + static_cast<std::size_t>(offset) * sizeof(T), sizeof(T));
    for (int d = shape.rank() - 1; d >= 0 && ++at[static_cast<std::size_t>(d)] == shape[d]; --d)
      at[static_cast<std::size_t>(d)] = 0;
  }
  return out;
}

}  // namespace

std::optional<std::string_view> detail::npy_descr(DType type) {
  switch (type) {
    case DType::f64: return "<f8";
    case DType::f32: return "<f4";
    case DType::f16: return "<f2";
    case DType::int64: return "<i8";
    case DType::int32: return "<i4";
    case DType::uint8: return "|u1";
    default: return std::nullopt;
  }
}

std::string detail::npy_head(DType type, const Shape& shape) {
  std::string dictionary =
      concat("{'descr': '", *npy_descr(type), "', 'fortran_order': False, 'shape': (");
  for (int i = 0; i < shape.rank(); ++i)
    dictionary += concat(shape[i], shape.rank() == 1 ? "," : i + 1 < shape.rank() ? ", " : "");
  dictionary += "), }";
  constexpr std::size_t kFixed = 10;
  while ((kFixed + dictionary.size() + 1) % 64 != 0) dictionary += ' ';
  dictionary += '\n';
  std::string out = "\x93NUMPY";
  out += {1, 0, static_cast<char>(dictionary.size() & 0xff),
          static_cast<char>(dictionary.size() >> 8)};
  return out + dictionary;
}

namespace {

/// Header and data of an .npy file.
struct NpyParts {
  NpyHeader header;
  std::span<const std::byte> data;
};

NpyParts split_npy(std::span<const std::byte> bytes, const std::string& origin) {
  require_no_placeholder(bytes, origin);
  const auto byte_at = [&](std::size_t i) { return std::to_integer<std::size_t>(bytes[i]); };
  if (bytes.size() < 12 || as_text(bytes.first(6)) != "\x93NUMPY")
    raise<FormatError>(origin, ": not an .npy file, or truncated");
  const std::size_t version = byte_at(6);
  if (version < 1 || version > 3) raise<FormatError>(origin, ": npy: unknown version ", version);
  const std::size_t begin = version == 1 ? 10 : 12;
  const std::size_t length =
      version == 1 ? byte_at(8) | byte_at(9) << 8
                   : byte_at(8) | byte_at(9) << 8 | byte_at(10) << 16 | byte_at(11) << 24;
  if (length > bytes.size() - begin)
    raise<FormatError>(origin, ": npy: the header is longer than the file; is it truncated?");
  return {HeaderParser(as_text(bytes.subspan(begin, length)), origin).parse(),
          bytes.subspan(begin + length)};
}

}  // namespace

AnyTensor parse_npy(std::span<const std::byte> bytes, const std::string& origin) {
  const auto [header, data] = split_npy(bytes, origin);
  const std::string& descr = header.descr;
  if (descr == "<f4") return tensor_of<float>(header, data, origin);
  if (descr == "<f8") return tensor_of<double>(header, data, origin);
  if (descr == "<f2") return tensor_of<f16>(header, data, origin);
  if (descr == "<i8") return tensor_of<std::int64_t>(header, data, origin);
  if (descr == "<i4") return tensor_of<std::int32_t>(header, data, origin);
  if (descr == "|u1" || descr == "|b1") return tensor_of<std::uint8_t>(header, data, origin);
  raise<FormatError>(origin, ": npy: elements of type '", descr.substr(0, 40),
                     "' are not supported; expected f8, f4, f2, i8, i4 (little-endian) or u1");
}

AnyTensor read_npy(const std::string& path) {
  const MappedFile file(path);
  return parse_npy(file.bytes(), path);
}

struct NpzFile::Contents {
  Contents(std::span<const std::byte> bytes, const std::string& name)
      : origin(name), zip(bytes, name) {
    for (const auto& entry : zip.entries()) {
      const bool array =
          entry.name.size() > 4 && entry.name.compare(entry.name.size() - 4, 4, ".npy") == 0;
      if (array) names.push_back(entry.name.substr(0, entry.name.size() - 4));
    }
    if (names.empty() && !zip.entries().empty())
      raise<FormatError>(origin, ": npz: the archive contains no .npy file");
  }

  std::string origin;
  MappedFile mapping;
  detail::ZipReader zip;
  std::vector<std::string> names;
};

NpzFile NpzFile::open(const std::string& path) {
  MappedFile mapping(path);
  auto contents = std::make_shared<Contents>(mapping.bytes(), path);
  contents->mapping = std::move(mapping);
  return NpzFile(std::move(contents));
}

NpzFile NpzFile::parse(std::span<const std::byte> bytes, const std::string& origin) {
  return NpzFile(std::make_shared<Contents>(bytes, origin));
}

const std::vector<std::string>& NpzFile::names() const noexcept { return contents_->names; }

bool NpzFile::contains(std::string_view name) const noexcept {
  return std::find(contents_->names.begin(), contents_->names.end(), name) !=
         contents_->names.end();
}

std::string NpzFile::where(std::string_view name) const {
  return concat(contents_->origin, ": ", name);
}

AnyTensor NpzFile::read_any(std::string_view name, std::size_t max_bytes) const {
  const auto* entry = contents_->zip.find(concat(name, ".npy"));
  if (entry == nullptr)
    raise<FormatError>("array '", name, "' is not in ", contents_->origin,
                       detail::suggestion(name, contents_->names));
  return parse_npy(contents_->zip.read(*entry, max_bytes), where(name));
}

std::optional<View<const std::uint8_t>> NpzFile::mapped(std::string_view name, bool verify) const {
  const auto* entry = contents_->zip.find(concat(name, ".npy"));
  if (entry == nullptr || entry->deflated) return std::nullopt;
  const auto bytes = contents_->zip.stored(*entry);
  const auto [header, data] = split_npy(bytes, where(name));
  if (header.descr != "|u1" || header.fortran_order) return std::nullopt;
  if (data.size() != static_cast<std::size_t>(header.shape.numel()))
    raise<FormatError>(where(name), ": npy: ", header.shape, " needs ", header.shape.numel(),
                       " bytes, the file has ", data.size(), "; is it truncated?");
  if (verify) contents_->zip.require_checksum(*entry, bytes);
  return View<const std::uint8_t>(reinterpret_cast<const std::uint8_t*>(data.data()), header.shape);
}

std::optional<std::string> NpzFile::text(std::string_view file, std::size_t max_bytes) const {
  const auto* entry = contents_->zip.find(file);
  if (entry == nullptr) return std::nullopt;
  return std::string(as_text(contents_->zip.read(*entry, max_bytes)));
}

void write_npz(const std::string& path, std::span<const NpzEntry> entries) {
  std::set<std::string_view> names;
  for (const auto& entry : entries) {
    if (entry.name.empty() || entry.name.size() > 1000 || !names.insert(entry.name).second)
      raise<ArgumentError>("write_npz: ", path, ": an empty, too long or repeated name '",
                           entry.name.substr(0, 100), "'");
    if (!detail::npy_descr(dtype_of(entry.tensor)))
      raise<ArgumentError>("write_npz: ", path, ": ", entry.name, ": NumPy has no bf16");
    if (std::visit([](const auto& tensor) { return tensor.empty(); }, entry.tensor))
      raise<ArgumentError>("write_npz: ", path, ": ", entry.name,
                           " is empty (default-constructed)");
  }
  detail::ZipWriter zip(path);
  for (const auto& entry : entries)
    std::visit(
        [&](const auto& tensor) {
          zip.add(entry.name + ".npy",
                  {as_byte_span(detail::npy_head(dtype_of(entry.tensor), shape_of(entry.tensor))),
                   std::as_bytes(tensor.span())});
        },
        entry.tensor);
  zip.commit();
}

void write_npz(const std::string& path, const AnyTensor& array) {
  const NpzEntry entries[] = {{"arr_0", array}};
  write_npz(path, entries);
}

}  // namespace rae
