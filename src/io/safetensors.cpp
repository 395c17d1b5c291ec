// Reading: an event handler builds the table of tensors from the JSON header, then the offsets are
// checked. No memory is allocated by unchecked numbers.
#include "rae/io/safetensors.hpp"

#include <bit>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "name_index.hpp"
#include "rae/io/file.hpp"
#include "safetensors_header.hpp"
#include "stored_elements.hpp"

namespace rae {

static_assert(std::endian::native == std::endian::little,
              "safetensors data are little-endian and are copied as they are");

struct SafetensorsFile::Contents {
  std::string origin;
  MappedFile mapping;
  std::span<const std::byte> data;
  detail::SafetensorsHeader header;
  detail::NameIndex index;

  Contents(std::string origin_name, std::span<const std::byte> file)
      : origin(std::move(origin_name)) {
    header = detail::parse_safetensors_header(file, origin);
    data = file.subspan(header.data_begin);
    std::vector<std::string> names;
    names.reserve(header.tensors.size());
    for (auto& tensor : header.tensors) names.push_back(std::move(tensor.name));
    index.assign(std::move(names), origin, std::move(header.unreadable));
  }

  const detail::StoredTensor& find(std::string_view name) const {
    return header.tensors[index.find(name)];
  }
};

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  MappedFile mapping(path);
  auto contents = std::make_shared<Contents>(path, mapping.bytes());
  contents->mapping = std::move(mapping);
  return SafetensorsFile(std::move(contents));
}

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> bytes,
                                       const std::string& origin) {
  return SafetensorsFile(std::make_shared<Contents>(origin, bytes));
}

const std::string& SafetensorsFile::origin() const noexcept { return contents_->origin; }

const std::vector<std::string>& SafetensorsFile::names() const noexcept {
  return contents_->index.names();
}

bool SafetensorsFile::contains(std::string_view name) const noexcept {
  return contents_->index.contains(name);
}

const TensorInfo& SafetensorsFile::info(std::string_view name) const {
  return contents_->find(name).info;
}

std::span<const std::byte> SafetensorsFile::bytes(std::string_view name) const {
  const auto& tensor = contents_->find(name);
  return contents_->data.subspan(tensor.begin, tensor.end - tensor.begin);
}

std::uint32_t SafetensorsFile::sampled_checksum(std::string_view name) const {
  const std::span<const std::byte> stored = bytes(name);
  const std::uint32_t sum = detail::sampled_checksum(stored);
  contents_->mapping.release(stored);
  return sum;
}

void SafetensorsFile::release(std::string_view name) const {
  contents_->mapping.release(bytes(name));
}

const UnreadableTensors& SafetensorsFile::unreadable() const noexcept {
  return contents_->index.unreadable();
}

const std::map<std::string, std::string>& SafetensorsFile::metadata() const noexcept {
  return contents_->header.metadata;
}

void SafetensorsFile::require(std::string_view name, const Shape& expected) const {
  detail::require_stored_shape(name, origin(), info(name).shape, expected);
}

template <Element T>
Tensor<T> SafetensorsFile::read(std::string_view name) const {
  Tensor<T> out = detail::read_stored<T>(name, origin(), info(name),
                                         [&] { return bytes(name); });  // info(name).shape
  release(name);
  return out;
}

static_assert(TensorReader<SafetensorsFile>);

template Tensor<float> SafetensorsFile::read(std::string_view) const;
template Tensor<double> SafetensorsFile::read(std::string_view) const;
template Tensor<bf16> SafetensorsFile::read(std::string_view) const;
template Tensor<f16> SafetensorsFile::read(std::string_view) const;
template Tensor<std::int64_t> SafetensorsFile::read(std::string_view) const;
template Tensor<std::int32_t> SafetensorsFile::read(std::string_view) const;
template Tensor<std::uint8_t> SafetensorsFile::read(std::string_view) const;

}  // namespace rae
