#include "rae/spec/weight_types.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace rae {
namespace {

constexpr index_t kOutside = -1;

/// The index of the block in a name like "blocks.12.mlp.w3.weight"; kOutside for a layer outside
/// all blocks.
index_t block_of(std::string_view blocks, std::string_view name) {
  if (!name.starts_with(blocks)) return kOutside;
  name.remove_prefix(blocks.size());
  index_t number = kOutside;
  std::from_chars(name.data(), name.data() + name.size(), number);
  return number;
}

}  // namespace

std::string weight_type_names() {
  std::string names;
  for (const DType type : kWeightTypes)
    names += concat(names.empty()                        ? ""
                    : type == std::end(kWeightTypes)[-1] ? " or "
                                                         : ", ",
                    name_of(type));
  return names;
}

DType parse_weight_type(std::string_view name) {
  for (const DType type : kWeightTypes)
    if (name == name_of(type)) return type;
  raise<ArgumentError>("unknown type of weights '", name, "': expected ", weight_type_names());
}

void require_weight_type(DType type) {
  if (std::find(std::begin(kWeightTypes), std::end(kWeightTypes), type) == std::end(kWeightTypes))
    raise<ArgumentError>("weights cannot have the type ", name_of(type),
                         ": expected f32, bf16, int8, int8w or int4");
}

DType block_weight_type(DType wanted, std::string_view blocks, std::string_view name,
                        index_t conditioned) {
  require_weight_type(wanted);
  if (wanted == DType::f32 || wanted == DType::bf16) return wanted;
  const index_t block = block_of(blocks, name);
  const bool from_one_vector =
      block < conditioned && name.find(".adaLN_modulation.") != std::string_view::npos;
  return block == kOutside || from_one_vector ? DType::bf16 : wanted;
}

std::uint64_t bytes_of_weights(DType stored, std::uint64_t n) {
  // Each group of 32 weights has a scale of 16 bits.
  if (stored == DType::int4) return n * 9 / 16;
  if (stored == DType::int8w) return n * 17 / 16;
  return n * size_of(stored);
}

DType weight_type(const EncoderConfig&, DType wanted, std::string_view name) {
  return block_weight_type(wanted, "layers.", name, 0);
}

DType weight_type(const DecoderConfig&, DType wanted, std::string_view name) {
  return block_weight_type(wanted, "decoder_layers.", name, 0);
}

}  // namespace rae
