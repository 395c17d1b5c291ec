// What the weights of a model are stored and multiplied as: the one place that says which layers
// stay more exact than the rest.
//
// | asked for | matrices inside of transformer blocks           | all other matrices | vectors,
// tables, position and label embeddings |
// |-----------|--------------------------------------------------|--------------------|------------------------------------------------|
// | f32       | f32                                              | f32                | f32 | |
// bf16      | bf16                                             | bf16               | f32 | | i8 |
// i8, but bf16 for adaLN layers of one condition for each picture (the backbone's) | bf16 | f32 |
// | i8w, i4w  | the same with i8w or i4w                         | bf16               | f32 |
//
// The first and last layers see and make the latent or the picture itself and are small. The
// modulation that an adaLN layer makes of one vector acts on all tokens alike, so that its error
// does not average out; it costs nothing, since it is computed once for a schedule.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rae/core/dtype.hpp"
#include "rae/spec/model_config.hpp"

namespace rae {

/// All types that a model's weights can be asked for as.
inline constexpr DType kWeightTypes[] = {DType::f32, DType::bf16, DType::i8, DType::i8w,
                                         DType::i4w};

/// Their names as users give them: "f32", "bf16", "int8", and for weights alone, while all else
/// keeps 16 bits, "int8w" and "int4".
[[nodiscard]] constexpr std::string_view weight_type_name(DType type) noexcept {
  switch (type) {
    case DType::i8: return "int8";
    case DType::i8w: return "int8w";
    case DType::i4w: return "int4";
    default: return name_of(type);
  }
}

/// "f32, bf16, int8, int8w or int4", for messages.
[[nodiscard]] std::string weight_type_names();

/// Inverse of `weight_type_name`. Throws ArgumentError for anything else.
[[nodiscard]] DType parse_weight_type(std::string_view name);

/// Throws ArgumentError unless the type is one of kWeightTypes.
void require_weight_type(DType type);

/// Bytes of n weights that are stored as a type, with their scales.
[[nodiscard]] std::uint64_t bytes_of_weights(DType stored, std::uint64_t n);

/// What a matrix of this name, as the model's `parameters` gives it, is stored as when `wanted` is
/// asked for.
[[nodiscard]] DType weight_type(const EncoderConfig& config, DType wanted, std::string_view name);
/// See above.
[[nodiscard]] DType weight_type(const DecoderConfig& config, DType wanted, std::string_view name);
/// See above.
[[nodiscard]] DType weight_type(const DitDhConfig& config, DType wanted, std::string_view name);
/// See above.
[[nodiscard]] DType weight_type(const LightningDitConfig& config, DType wanted,
                                std::string_view name);

}  // namespace rae
