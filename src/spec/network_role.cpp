#include "rae/spec/network_role.hpp"

#include "rae/spec/weight_types.hpp"

namespace rae {
namespace {

template <template <class> class Network, class Config>
NetworkOutline vit_outline(const Config& config) {
  return {parameter_shapes<Network>(config), [config](DType wanted, std::string_view name) {
            return weight_type(config, wanted, name);
          }};
}

NetworkOutline backbone_outline(const Backbone& backbone) {
  return {backbone.parameter_shapes(), [backbone](DType wanted, std::string_view name) {
            return backbone.weight_type(wanted, name);
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
    case NetworkRole::decoder: return vit_outline<Decoder>(*c.decoder);
    case NetworkRole::dit: return backbone_outline(*c.dit);
    case NetworkRole::guide: return backbone_outline(*c.guide);
    default: return vit_outline<Encoder>(c.encoder);
  }
}

}  // namespace rae
