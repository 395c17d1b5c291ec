#include "rae/pipeline/weight_types.hpp"

#include <charconv>

namespace rae {
namespace {

constexpr index_t kOutside = -1;

/// Number of the block that a name like "blocks.12.mlp.w3.weight" belongs to, kOutside for a layer outside of all blocks.
index_t block_of(std::string_view blocks, std::string_view name) {
  if (!name.starts_with(blocks)) return kOutside;
  name.remove_prefix(blocks.size());
  index_t number = kOutside;
  std::from_chars(name.data(), name.data() + name.size(), number);
  return number;
}

/// `conditioned` blocks, the first ones, have a condition of one vector for each picture.
DType type_of(DType wanted, std::string_view blocks, std::string_view name, index_t conditioned) {
  require_weight_type(wanted);
  if (wanted != DType::i8) return wanted;
  const index_t block = block_of(blocks, name);
  const bool from_one_vector = block < conditioned && name.find(".adaLN_modulation.") != std::string_view::npos;
  return block == kOutside || from_one_vector ? DType::bf16 : DType::i8;
}

}  // namespace

DType parse_weight_type(std::string_view name) {
  for (const DType type : {DType::f32, DType::bf16, DType::i8})
    if (name == weight_type_name(type)) return type;
  raise<ArgumentError>("unknown type of weights '", name, "': expected f32, bf16 or int8");
}

void require_weight_type(DType type) {
  if (type != DType::f32 && type != DType::bf16 && type != DType::i8)
    raise<ArgumentError>("weights cannot be held as ", name_of(type), ": expected f32, bf16 or i8");
}

DType weight_type(const EncoderConfig&, DType wanted, std::string_view name) { return type_of(wanted, "layers.", name, 0); }

DType weight_type(const DecoderConfig&, DType wanted, std::string_view name) { return type_of(wanted, "decoder_layers.", name, 0); }

DType weight_type(const DitDhConfig& config, DType wanted, std::string_view name) {
  return type_of(wanted, "blocks.", name, config.depth[0]);
}

DType weight_type(const LightningDitConfig& config, DType wanted, std::string_view name) {
  return type_of(wanted, "blocks.", name, config.depth);
}

}  // namespace rae
