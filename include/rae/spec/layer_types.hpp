// A type for each weight matrix of a model, where one type for all (weight_types.hpp) is not
// wanted.
#pragma once

#include <map>
#include <string>

#include "rae/spec/network_role.hpp"

namespace rae {

/// The type of each matrix by its name in a bundle, such as "dit.blocks.0.attn.qkv.weight". Empty:
/// one type for all, with the exceptions of weight_types.hpp.
using LayerTypes = std::map<std::string, DType>;

/// The outline of the network of this role, whose matrices have these types whatever the type of
/// the model is; with empty `types` as without them. Throws ConfigError, naming the matrix, when a
/// matrix of the network has no type.
[[nodiscard]] NetworkOutline outline_of(const ModelConfig& config, NetworkRole role,
                                        const LayerTypes& types);

/// The type with the fewest bits of these, the first of equal ones. `types` is not empty.
[[nodiscard]] DType narrowest(const LayerTypes& types);

/// "int4", or "mixed" for layers with types of their own: the name of a model's types in messages
/// and files.
[[nodiscard]] std::string_view name_of(DType type, const LayerTypes& types) noexcept;

}  // namespace rae
