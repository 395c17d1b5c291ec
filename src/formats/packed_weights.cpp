#include "formats/packed_weights.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>

#include "formats/bundle_layout.hpp"
#include "formats/check_tensors.hpp"
#include "kernels/grouped_product.hpp"
#include "rae/core/parallel.hpp"
#include "rae/kernels/isa.hpp"
#include "rae/spec/weight_types.hpp"

namespace rae::detail {

bool is_finite(std::span<const std::byte> bytes, DType type) {
  constexpr std::size_t kBlock = 1024;
  constexpr std::uint32_t kExponent = 0x7f800000u;
  const bool pairs = type == DType::bf16;
  const std::size_t words = bytes.size() / sizeof(std::uint32_t);
  std::atomic<bool> finite{true};
  parallel_ranges(static_cast<index_t>((words + kBlock - 1) / kBlock), index_t{64},
                  [&](index_t begin, index_t end, index_t) {
                    std::uint32_t bad = 0;
                    for (std::size_t i = static_cast<std::size_t>(begin) * kBlock,
                                     last = std::min(words, static_cast<std::size_t>(end) * kBlock);
                         i < last; ++i) {
                      std::uint32_t word;
                      std::memcpy(&word, bytes.data() + i * sizeof word, sizeof word);
                      bad |= std::uint32_t{(word & kExponent) == kExponent};
                      bad |= std::uint32_t{pairs && ((word << 16) & kExponent) == kExponent};
                    }
                    if (bad != 0) finite.store(false, std::memory_order_relaxed);
                  });
  return finite.load();
}

std::optional<DType> packed_for(const std::string& origin,
                                const std::map<std::string, std::string>& metadata) {
  const auto found = metadata.find(std::string(kPackedKey));
  if (found == metadata.end()) return std::nullopt;
  if (found->second == kMixed) return narrowest(layer_types_of(origin, metadata));
  try {
    return parse_weight_type(found->second);
  } catch (const ArgumentError& error) {
    raise<FormatError>(origin, ": metadata '", kPackedKey, "': ", error.what());
  }
}

LayerTypes layer_types_of(const std::string& origin,
                          const std::map<std::string, std::string>& metadata) {
  const auto packed = metadata.find(std::string(kPackedKey));
  if (packed == metadata.end() || packed->second != kMixed) return {};
  const auto found = metadata.find(std::string(kLayerTypesKey));
  const std::string where = concat(origin, ": metadata '", kLayerTypesKey, "'");
  if (found == metadata.end()) raise<FormatError>(where, ": is missing");
  LayerTypes out;
  try {
    const ConfigNode types = ConfigNode::parse_json(found->second, where);
    for (const auto& [name, type] : types.members())
      out.emplace(name, parse_weight_type(type.as_string()));
  } catch (const ArgumentError& error) {
    raise<FormatError>(where, ": ", error.what());
  } catch (const ConfigError& error) {
    raise<FormatError>(error.what());
  }
  if (out.empty()) raise<FormatError>(where, ": has no types");
  return out;
}

std::string to_json(const LayerTypes& types) {
  ConfigNode out = ConfigNode::map();
  for (const auto& [name, type] : types) out.set(name, name_of(type));
  return out.to_json();
}

std::vector<SafetensorsSlot> PackedWeight::slots() const {
  const Shape panels = PackedMatrix<float>::panels_shape(shape[1], shape[0], stored, columns);
  const std::string panels_name =
      name + (columns == PanelColumns::halves ? ".swiglu_panels" : ".panels");
  if (has_groups(stored)) return {{panels_name, DType::uint8, {panels[0], panels[1]}}};
  std::vector<SafetensorsSlot> out = {{panels_name, stored, panels}};
  if (stored == DType::int8) {
    out.push_back({name + ".scales", DType::f32, {panels[0] * panels[2]}});
    out.push_back({name + ".compensation", DType::int32, {panels[0] * panels[2]}});
  }
  return out;
}

std::uint64_t PackedWeight::bytes() const {
  std::uint64_t out = 0;
  for (const SafetensorsSlot& slot : slots())
    out += static_cast<std::uint64_t>(slot.shape.numel()) * size_of(slot.dtype);
  return out;
}

void PackedWeight::check(const TensorSource& tensors, const std::string& where) const {
  for (const SafetensorsSlot& slot : slots()) {
    if (!has_tensor(tensors, slot.name))
      raise<FormatError>(where, ": the tensor ", slot.name, " is missing");
    const TensorInfo& found = tensors.info(slot.name);
    if (found.dtype == slot.dtype && found.shape == slot.shape) continue;
    raise<FormatError>(where, ": tensor ", slot.name, ": expected ", slot.shape, " of ",
                       name_of(slot.dtype), " for the kernels of ", name_of(active_isa()), ", got ",
                       found.shape, " of ", name_of(found.dtype),
                       "; pack the original again on this machine, or choose the other machine's "
                       "kernels by RAE_ISA");
  }
}

PackedMatrix<float> PackedWeight::read(const TensorSource& tensors,
                                       const std::string& where) const {
  const std::vector<SafetensorsSlot> parts = slots();
  const auto bytes = [&](std::size_t i) {
    if (i >= parts.size()) return std::span<const std::byte>();
    const std::span<const std::byte> found = tensors.bytes(parts[i].name);
    const bool real = parts[i].dtype == DType::f32 || parts[i].dtype == DType::bf16;
    const bool finite = has_groups(stored)
                            ? grouped_scales_are_finite(found, stored, shape[1], parts[i].shape[0])
                            : !real || is_finite(found, parts[i].dtype);
    if (!finite) raise<FormatError>(where, ": tensor ", parts[i].name, " contains NaN or infinity");
    return found;
  };
  return {shape[1],
          shape[0],
          stored,
          columns,
          {bytes(0), bytes(1), bytes(2)},
          std::make_shared<const TensorSource>(tensors)};
}

void PackedWeight::write(SafetensorsWriter& writer, const PackedMatrix<float>& matrix) const {
  writer.write_bytes(std::as_bytes(matrix.bytes()));
  if (stored != DType::int8) return;
  writer.write_bytes(std::as_bytes(matrix.scales()));
  writer.write_bytes(std::as_bytes(matrix.compensation()));
}

}  // namespace rae::detail
