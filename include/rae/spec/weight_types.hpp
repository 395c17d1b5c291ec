// The types that the weights of a model are stored and multiplied as, and the layers that stay more
// exact than the rest.
//
// | asked for   | matrices of transformer blocks      | other matrices | vectors and tables |
// |-------------|-------------------------------------|----------------|--------------------|
// | f32         | f32                                 | f32            | f32                |
// | bf16        | bf16                                | bf16           | f32                |
// | int8        | int8, but bf16 for adaLN layers of  | bf16           | f32                |
// |             | the backbone (one vector a picture) |                |                    |
// | int8w, int4 | as int8, with int8w or int4         | bf16           | f32                |
//
// The first and last layers see and make the latent or the picture itself and are small. The
// modulation that an adaLN layer makes of one vector acts on all tokens alike, so that its error
// does not average out; it costs nothing, since it is computed once for a schedule.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rae/core/dtype.hpp"
#include "rae/core/shape.hpp"
#include "rae/models/decoder.hpp"
#include "rae/models/encoder.hpp"

namespace rae {

/// All types that a model's weights can be stored as; users give their `name_of`. With int8w and
/// int4 only the weights are narrow, and products keep 16 bits of their other operand.
inline constexpr DType kWeightTypes[] = {DType::f32, DType::bf16, DType::int8, DType::int8w,
                                         DType::int4};

/// "f32, bf16, int8, int8w or int4", for messages.
[[nodiscard]] std::string weight_type_names();

/// Inverse of `name_of` for these types. Throws ArgumentError for anything else.
[[nodiscard]] DType parse_weight_type(std::string_view name);

/// Throws ArgumentError unless the type is one of kWeightTypes.
void require_weight_type(DType type);

/// Bytes of n weights that are stored as a type, with their scales.
[[nodiscard]] std::uint64_t bytes_of_weights(DType stored, std::uint64_t n);

/// The type of a matrix in a network whose blocks have names that begin with `blocks` and a number
/// ("blocks.12."), when `wanted` is asked for: `wanted` inside of blocks, else at least bf16. The
/// first `conditioned` blocks have adaLN layers with one condition for each image. Throws
/// ArgumentError.
[[nodiscard]] DType block_weight_type(DType wanted, std::string_view blocks, std::string_view name,
                                      index_t conditioned);

/// The type that a matrix of an encoder is stored as when `wanted` is asked for; `name` is as the
/// model's `parameters` gives it. Throws ArgumentError. See also Backbone::weight_type.
[[nodiscard]] DType weight_type(const EncoderConfig& config, DType wanted, std::string_view name);
/// The same for a decoder.
[[nodiscard]] DType weight_type(const DecoderConfig& config, DType wanted, std::string_view name);
}  // namespace rae
