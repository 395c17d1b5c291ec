// The types of a model's weights in memory and in products, and the layers that stay more exact
// than the others.
//
// | type        | matrices of transformer blocks      | other matrices | vectors and tables |
// |-------------|-------------------------------------|----------------|--------------------|
// | f32         | f32                                 | f32            | f32                |
// | bf16        | bf16                                | bf16           | f32                |
// | int8        | int8, but bf16 for adaLN layers of  | bf16           | f32                |
// |             | the backbone (one vector a picture) |                |                    |
// | int8w, int4 | as int8, with int8w or int4         | bf16           | f32                |
//
// The first and last layers read and write the latent or the picture itself, and are small. The
// modulation that an adaLN layer computes from one vector acts on all tokens alike, so that its
// error does not average out; its cost is small, since it is computed once per time and label.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rae/core/dtype.hpp"
#include "rae/core/shape.hpp"
#include "rae/models/decoder.hpp"
#include "rae/models/encoder.hpp"

namespace rae {

/// All types of a model's weights; options use their `name_of`. With int8w and int4 only the
/// weights are narrow: products read 16 bits of their other operand.
inline constexpr DType kWeightTypes[] = {DType::f32, DType::bf16, DType::int8, DType::int8w,
                                         DType::int4};

/// "f32, bf16, int8, int8w or int4", for messages.
[[nodiscard]] std::string weight_type_names();

/// Inverse of `name_of` for these types. Throws ArgumentError for anything else.
[[nodiscard]] DType parse_weight_type(std::string_view name);

/// Throws ArgumentError unless the type is one of kWeightTypes.
void require_weight_type(DType type);

/// Bytes of n weights of this type, with their scales.
[[nodiscard]] std::uint64_t bytes_of_weights(DType stored, std::uint64_t n);

/// The type of a matrix when `wanted` is the type of the model, for a network whose blocks have
/// names that begin with `blocks` and a number ("blocks.12."): `wanted` inside blocks, else at
/// least bf16. The first `conditioned` blocks have adaLN layers with one condition per picture.
/// Throws ArgumentError for a `wanted` that is not one of kWeightTypes.
[[nodiscard]] DType block_weight_type(DType wanted, std::string_view blocks, std::string_view name,
                                      index_t conditioned);

/// The type of a matrix of an encoder when `wanted` is the type of the model; `name` is that of the
/// parameter. Throws ArgumentError as `block_weight_type`. See also Backbone::weight_type.
[[nodiscard]] DType weight_type(const EncoderConfig& config, DType wanted, std::string_view name);
/// The same for a decoder.
[[nodiscard]] DType weight_type(const DecoderConfig& config, DType wanted, std::string_view name);

}  // namespace rae
