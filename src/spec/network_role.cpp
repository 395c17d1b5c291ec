#include "rae/spec/network_role.hpp"

#include "rae/spec/weight_types.hpp"

namespace rae {
namespace {

NetworkOutline decoder_outline(const DecoderConfig& config) {
  return {parameter_shapes<Decoder>(config), [config](DType wanted, std::string_view name) {
            return weight_type(config, wanted, name);
          }};
}

/// The outline of an AnyEncoder or a Backbone.
template <class Network>
NetworkOutline outline_of_kind(const Network& network) {
  return {network.parameter_shapes(), [network](DType wanted, std::string_view name) {
            return network.weight_type(wanted, name);
          }};
}

}  // namespace

bool describes(const ModelConfig& c, NetworkRole role) {
  switch (role) {
    case NetworkRole::decoder: return c.decoder.has_value();
    case NetworkRole::dit: return c.dit.has_value();
    case NetworkRole::guide: return c.guide.has_value();
    default: return true;
  }
}

NetworkOutline outline_of(const ModelConfig& c, NetworkRole role) {
  if (!describes(c, role)) return {};
  switch (role) {
    case NetworkRole::decoder: return decoder_outline(*c.decoder);
    case NetworkRole::dit: return outline_of_kind(*c.dit);
    case NetworkRole::guide: return outline_of_kind(*c.guide);
    default: return outline_of_kind(c.encoder);
  }
}

}  // namespace rae
