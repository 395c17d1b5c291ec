// What the weights of a model are stored and multiplied as: the one place that says which layers stay more exact than the rest.
//
// | asked for | matrices inside of transformer blocks           | all other matrices | vectors, tables, position and label embeddings |
// |-----------|--------------------------------------------------|--------------------|------------------------------------------------|
// | f32       | f32                                              | f32                | f32                                            |
// | bf16      | bf16                                             | bf16               | f32                                            |
// | i8        | i8, but bf16 for adaLN layers of one condition for each picture (the backbone's) | bf16 | f32              |
//
// The first and last layers see and make the latent or the picture itself and are small. The modulation that an adaLN layer makes of one
// vector acts on all tokens alike, so that its error does not average out; it costs nothing, since it is computed once for a schedule.
#pragma once

#include <string_view>

#include "rae/core/dtype.hpp"
#include "rae/pipeline/model_config.hpp"

namespace rae {

/// Parses "f32", "bf16" or "int8". Throws ArgumentError for anything else.
[[nodiscard]] DType parse_weight_type(std::string_view name);

/// Inverse of `parse_weight_type`.
[[nodiscard]] constexpr std::string_view weight_type_name(DType type) noexcept { return type == DType::i8 ? "int8" : name_of(type); }

/// Throws ArgumentError unless the type is DType::f32, DType::bf16 or DType::i8.
void require_weight_type(DType type);

/// What a matrix of this name, as the model's `parameters` gives it, is stored as when `wanted` is asked for.
[[nodiscard]] DType weight_type(const EncoderConfig& config, DType wanted, std::string_view name);
/// See above.
[[nodiscard]] DType weight_type(const DecoderConfig& config, DType wanted, std::string_view name);
/// See above.
[[nodiscard]] DType weight_type(const DitDhConfig& config, DType wanted, std::string_view name);
/// See above.
[[nodiscard]] DType weight_type(const LightningDitConfig& config, DType wanted, std::string_view name);

}  // namespace rae
