// Reading: a streaming JSON handler builds the table of tensors, then offsets are checked. Nothing is sized from unchecked numbers.
#include "rae/io/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "rae/io/file.hpp"
#include "safetensors_header.hpp"
#include "stored_elements.hpp"
#include "suggestion.hpp"

namespace rae {

using detail::copy_converted;
using detail::is_float;

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian and are copied as they are");

struct SafetensorsFile::Contents {
  std::string origin;
  MappedFile mapping;
  std::span<const std::byte> data;
  detail::SafetensorsHeader header;
  std::vector<std::string> names;
  std::unordered_map<std::string_view, std::size_t> index;  // keys point into `names`

  Contents(std::string origin_name, std::span<const std::byte> file) : origin(std::move(origin_name)) {
    header = detail::parse_safetensors_header(file, origin);
    data = file.subspan(header.data_begin);
    names.reserve(header.tensors.size());
    for (auto& tensor : header.tensors) names.push_back(std::move(tensor.name));
    for (std::size_t i = 0; i < names.size(); ++i) index.emplace(names[i], i);
  }

  const detail::StoredTensor& find(std::string_view name) const {
    const auto found = index.find(name);
    if (found == index.end())
      raise<FormatError>("tensor '", name, "' is not in ", origin, " (", names.size(), " tensors)", detail::suggestion(name, names));
    return header.tensors[found->second];
  }
};

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  MappedFile mapping(path);
  auto contents = std::make_shared<Contents>(path, mapping.bytes());
  contents->mapping = std::move(mapping);
  return SafetensorsFile(std::move(contents));
}

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> bytes, const std::string& origin) {
  return SafetensorsFile(std::make_shared<Contents>(origin, bytes));
}

const std::string& SafetensorsFile::origin() const noexcept { return contents_->origin; }

const std::vector<std::string>& SafetensorsFile::names() const noexcept { return contents_->names; }

bool SafetensorsFile::contains(std::string_view name) const noexcept { return contents_->index.find(name) != contents_->index.end(); }

const TensorInfo& SafetensorsFile::info(std::string_view name) const { return contents_->find(name).info; }

std::span<const std::byte> SafetensorsFile::bytes(std::string_view name) const {
  const auto& tensor = contents_->find(name);
  return contents_->data.subspan(tensor.begin, tensor.end - tensor.begin);
}

const std::map<std::string, std::string>& SafetensorsFile::metadata() const noexcept { return contents_->header.metadata; }

void SafetensorsFile::require(std::string_view name, const Shape& expected) const {
  detail::require_stored_shape(name, origin(), info(name).shape, expected);
}

template <Element T>
Tensor<T> SafetensorsFile::read(std::string_view name) const {
  return detail::read_stored<T>(name, origin(), info(name), [&] { return bytes(name); });
}

template Tensor<float> SafetensorsFile::read(std::string_view) const;
template Tensor<double> SafetensorsFile::read(std::string_view) const;
template Tensor<bf16> SafetensorsFile::read(std::string_view) const;
template Tensor<f16> SafetensorsFile::read(std::string_view) const;
template Tensor<std::int64_t> SafetensorsFile::read(std::string_view) const;
template Tensor<std::int32_t> SafetensorsFile::read(std::string_view) const;
template Tensor<std::uint8_t> SafetensorsFile::read(std::string_view) const;

namespace {

/// JSON text of a string. Throws ArgumentError unless it is UTF-8.
std::string quoted(const std::string& text, const std::string& path) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    raise<ArgumentError>("write_safetensors: ", path, ": a name or metadata text is not valid UTF-8");
  }
}

DType stored_type(const SafetensorsEntry& entry) {
  const DType own = dtype_of(entry.tensor);
  const DType stored = entry.stored_as.value_or(own);
  if (is_float(own) ? !is_float(stored) : stored != own)
    raise<ArgumentError>("write_safetensors: tensor ", entry.name, " of type ", name_of(own), " cannot be stored as ", name_of(stored));
  return stored;
}

/// Shape of a tensor; one without elements or shape (default-constructed) is refused.
Shape stored_shape(const SafetensorsEntry& entry) {
  return std::visit(
      [&](const auto& tensor) {
        if (tensor.empty()) raise<ArgumentError>("write_safetensors: tensor ", entry.name, " is empty (default-constructed)");
        return tensor.shape();
      },
      entry.tensor);
}

/// The header: length, JSON, spaces up to a multiple of eight bytes.
std::string header_text(const std::string& path, std::span<const SafetensorsEntry> entries,
                        const std::map<std::string, std::string>& metadata) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) json += (json.back() == '{' ? "" : ",") + quoted(key, path) + ":" + quoted(value, path);
    json += "}";
  }
  std::set<std::string_view> seen;
  std::uint64_t offset = 0;
  for (const auto& entry : entries) {
    if (entry.name.empty() || entry.name == "__metadata__")
      raise<ArgumentError>("write_safetensors: ", path, ": '", entry.name, "' cannot name a tensor");
    if (!seen.insert(entry.name).second) raise<ArgumentError>("write_safetensors: ", path, ": two tensors are named '", entry.name, "'");
    const DType type = stored_type(entry);
    const Shape shape = stored_shape(entry);
    const std::uint64_t end = offset + static_cast<std::uint64_t>(shape.numel()) * size_of(type);
    json +=
        concat(json.size() == 1 ? "" : ",", quoted(entry.name, path), ":{\"dtype\":\"", detail::safetensors_name(type), "\",\"shape\":[");
    for (int i = 0; i < shape.rank(); ++i) json += concat(i ? "," : "", shape[i]);
    json += concat("],\"data_offsets\":[", offset, ",", end, "]}");
    offset = end;
  }
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  if (json.size() > detail::kMaxSafetensorsHeader) raise<ArgumentError>("write_safetensors: ", path, ": the header exceeds 100 MB");
  const std::uint64_t length = json.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  return out + json;
}

/// Writes `count` elements of `tensor` as `To`, in pieces of bounded size.
template <class To, class From>
void write_converted(AtomicFile& file, const Tensor<From>& tensor) {
  const auto all = std::as_bytes(tensor.span());
  if constexpr (std::same_as<To, From>) {
    file.write(all);
  } else {
    constexpr std::size_t kPiece = std::size_t{1} << 16;
    std::vector<To> buffer(kPiece);
    for (std::size_t begin = 0; begin < all.size(); begin += kPiece * sizeof(From)) {
      const auto piece = all.subspan(begin, std::min(kPiece * sizeof(From), all.size() - begin));
      copy_converted<From>(piece, buffer.data());
      file.write(std::as_bytes(std::span<const To>(buffer.data(), piece.size() / sizeof(From))));
    }
  }
}

}  // namespace

void write_safetensors(const std::string& path, std::span<const SafetensorsEntry> entries,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = header_text(path, entries, metadata);
  AtomicFile file(path);
  file.write(header);
  for (const auto& entry : entries) {
    std::visit(
        [&]<class T>(const Tensor<T>& tensor) {
          if constexpr (kIsFloatElement<T>) {
            switch (stored_type(entry)) {
              case DType::f64: return write_converted<double>(file, tensor);
              case DType::f32: return write_converted<float>(file, tensor);
              case DType::bf16: return write_converted<bf16>(file, tensor);
              default: return write_converted<f16>(file, tensor);
            }
          } else {
            write_converted<T>(file, tensor);
          }
        },
        entry.tensor);
  }
  file.commit();
}

}  // namespace rae
