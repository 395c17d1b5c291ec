// The choice of a type for each layer: the smallest model whose error stays below a limit, or the
// most exact model in a number of bytes.
//
// A layer is narrowed where this costs the least error per byte that it saves (Dong et al. 2020,
// "HAWQ-V2", section 3, chooses bits by such sensitivities). Errors of layers are taken as
// independent, so that their squares add up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rae/spec/layer_types.hpp"

namespace rae {

/// A type that a layer can have.
struct TypeCost {
  DType type{};             ///< one of kWeightTypes
  std::uint64_t bytes = 0;  ///< of the layer in this type
  double error = 0;  ///< relative error of the network's output if only this layer has the type
};

/// A layer with its types. The first is the most exact; it is what `choose_types` begins with.
struct LayerCosts {
  std::string name;             ///< as in LayerTypes
  NetworkRole role{};           ///< its network
  std::vector<TypeCost> types;  ///< at least one
};

/// The limit of a choice. Exactly one is present.
struct TypeLimit {
  std::optional<std::uint64_t> bytes{};  ///< of all layers together
  std::optional<double> error{};         ///< of each network
};

/// A type for each layer.
struct TypeChoice {
  LayerTypes types{};       ///< by name
  std::uint64_t bytes = 0;  ///< of all layers together
  /// The estimated relative error of the output of each network, in the order of kNetworkRoles: the
  /// root of the sum of the squared errors of its layers.
  std::vector<double> errors{};
};

/// Chooses greedily: of all ways to give a layer a narrower type, the one that adds the least
/// squared error per byte saved comes first. A type that is larger and less exact than a mean of
/// two others is not used. With a limit of bytes it stops as soon as the layers fit; with a limit
/// of error it leaves out the layers that would exceed it. Throws ArgumentError for a layer without
/// types, for no limit or two, and when the bytes are not enough for the narrowest types.
[[nodiscard]] TypeChoice choose_types(const std::vector<LayerCosts>& layers,
                                      const TypeLimit& limit);

}  // namespace rae
