// The roles of the networks of a model, and the outline of each network: its parameters without
// their values.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/nn/outline.hpp"
#include "rae/spec/model_config.hpp"

namespace rae {

/// The role of a network in a model.
enum class NetworkRole { encoder, decoder, dit, guide };

/// All roles, in the order in which files list them.
inline constexpr NetworkRole kNetworkRoles[] = {NetworkRole::encoder, NetworkRole::decoder,
                                                NetworkRole::dit, NetworkRole::guide};

/// "encoder", "decoder", "dit" or "guide"; with a dot, this is the prefix of the network's tensors
/// in a bundle.
[[nodiscard]] constexpr std::string_view name_of(NetworkRole role) noexcept {
  constexpr std::string_view kNames[] = {"encoder", "decoder", "dit", "guide"};
  return kNames[static_cast<std::size_t>(role)];
}

/// A network without its weights.
struct NetworkOutline {
  std::vector<ParameterShape> parameters;  ///< in the network's order
  Function<DType(DType wanted, std::string_view name)>
      weight_type;  ///< the type of a matrix; see weight_types.hpp
};

/// True when the configuration has a network of this role.
[[nodiscard]] bool describes(const ModelConfig& config, NetworkRole role);

/// The outline of the network of this role; empty when the configuration has none.
[[nodiscard]] NetworkOutline outline_of(const ModelConfig& config, NetworkRole role);

}  // namespace rae
