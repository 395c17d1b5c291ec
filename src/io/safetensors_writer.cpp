// Writes the header, then the tensors in pieces of limited size.
#include "rae/io/safetensors_writer.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "safetensors_header.hpp"
#include "stored_elements.hpp"

namespace rae {

using detail::copy_converted;
using detail::is_float;

namespace {

/// A string in JSON. Throws ArgumentError unless it is UTF-8.
std::string quoted(const std::string& text, const std::string& path) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    raise<ArgumentError>("write_safetensors: ", path,
                         ": a name or a string of the metadata is not valid UTF-8");
  }
}

/// Writes the elements of `tensor` as `To`, in pieces of limited size.
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

/// The type in the file. Throws ArgumentError for a conversion between integers and floats.
DType checked_type(const std::string& name, DType own, DType stored) {
  if (is_float(own) ? !is_float(stored) : stored != own)
    raise<ArgumentError>("write_safetensors: tensor ", name, " of type ", name_of(own),
                         " cannot be stored as ", name_of(stored));
  return stored;
}

}  // namespace

std::string detail::encode_safetensors_header(const std::string& path,
                                              const std::vector<SafetensorsSlot>& slots,
                                              const std::map<std::string, std::string>& metadata) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata)
      json += (json.back() == '{' ? "" : ",") + quoted(key, path) + ":" + quoted(value, path);
    json += "}";
  }
  std::set<std::string_view> seen;
  std::uint64_t offset = 0;
  for (const auto& slot : slots) {
    if (slot.name.empty() || slot.name == "__metadata__")
      raise<ArgumentError>("write_safetensors: ", path, ": '", slot.name, "' cannot name a tensor");
    if (!seen.insert(slot.name).second)
      raise<ArgumentError>("write_safetensors: ", path, ": two tensors are named '", slot.name,
                           "'");
    const std::uint64_t end =
        offset + static_cast<std::uint64_t>(slot.shape.numel()) * size_of(slot.dtype);
    json += concat(json.size() == 1 ? "" : ",", quoted(slot.name, path), ":{\"dtype\":\"",
                   detail::safetensors_name(slot.dtype), "\",\"shape\":[");
    for (int i = 0; i < slot.shape.rank(); ++i) json += concat(i ? "," : "", slot.shape[i]);
    json += concat("],\"data_offsets\":[", offset, ",", end, "]}");
    offset = end;
  }
  json += "}";
  constexpr std::size_t kDataAlignment = 64, kLength = sizeof(std::uint64_t);
  json.resize(
      (kLength + json.size() + kDataAlignment - 1) / kDataAlignment * kDataAlignment - kLength,
      ' ');
  if (json.size() > detail::kMaxSafetensorsHeader)
    raise<ArgumentError>("write_safetensors: ", path, ": the header exceeds 100 MB");
  const std::uint64_t length = json.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  return out + json;
}

std::uint64_t safetensors_bytes(const std::vector<SafetensorsSlot>& slots,
                                const std::map<std::string, std::string>& metadata) {
  std::uint64_t bytes = detail::encode_safetensors_header("file", slots, metadata).size();
  for (const SafetensorsSlot& slot : slots)
    bytes += static_cast<std::uint64_t>(slot.shape.numel()) * size_of(slot.dtype);
  return bytes;
}

SafetensorsWriter::SafetensorsWriter(const std::string& path, std::vector<SafetensorsSlot> slots,
                                     const std::map<std::string, std::string>& metadata)
    : header_(detail::encode_safetensors_header(path, slots, metadata)),
      file_(path),
      slots_(std::move(slots)) {
  file_.write(header_);
}

const SafetensorsSlot& SafetensorsWriter::next_slot() const {
  if (next_ == slots_.size())
    raise<ArgumentError>("SafetensorsWriter: ", file_.path(), ": all ", next_,
                         " tensors were already written");
  return slots_[next_];
}

void SafetensorsWriter::write_bytes(std::span<const std::byte> bytes) {
  const SafetensorsSlot& slot = next_slot();
  if (const std::size_t expected =
          static_cast<std::size_t>(slot.shape.numel()) * size_of(slot.dtype);
      bytes.size() != expected)
    raise<ShapeError>("SafetensorsWriter: ", slot.name, ": expected ", expected, " bytes, got ",
                      bytes.size());
  file_.write(bytes);
  ++next_;
}

void SafetensorsWriter::write(const AnyTensor& tensor) {
  const SafetensorsSlot& slot = next_slot();
  checked_type(slot.name, dtype_of(tensor), slot.dtype);
  require_shape(concat("SafetensorsWriter: ", slot.name), shape_of(tensor), slot.shape);
  std::visit(
      [&]<class T>(const Tensor<T>& t) {
        if constexpr (kIsFloatElement<T>) {
          switch (slot.dtype) {
            case DType::f64: return write_converted<double>(file_, t);
            case DType::f32: return write_converted<float>(file_, t);
            case DType::bf16: return write_converted<bf16>(file_, t);
            default: return write_converted<f16>(file_, t);
          }
        } else {
          write_converted<T>(file_, t);
        }
      },
      tensor);
  ++next_;
}

void SafetensorsWriter::commit() {
  if (next_ != slots_.size())
    raise<ArgumentError>("SafetensorsWriter: ", file_.path(), ": ", slots_.size() - next_,
                         " tensors were not written");
  file_.commit();
}

void write_safetensors(const std::string& path, std::span<const SafetensorsEntry> entries,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<SafetensorsSlot> slots;
  for (const auto& entry : entries) {
    if (std::visit([](const auto& tensor) { return tensor.empty(); }, entry.tensor))
      raise<ArgumentError>("write_safetensors: tensor ", entry.name,
                           " is empty (default-constructed)");
    const DType own = dtype_of(entry.tensor);
    slots.push_back({entry.name, checked_type(entry.name, own, entry.stored_as.value_or(own)),
                     shape_of(entry.tensor)});
  }
  SafetensorsWriter writer(path, std::move(slots), metadata);
  for (const auto& entry : entries) writer.write(entry.tensor);
  writer.commit();
}

}  // namespace rae
