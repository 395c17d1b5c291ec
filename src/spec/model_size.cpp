#include "spec/model_size.hpp"

#include <cstdio>

#include "rae/spec/weight_types.hpp"

namespace rae::detail {

std::string in_gigabytes(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g GB", static_cast<double>(bytes) / 1e9);
  return text;
}

std::uint64_t bytes_of_network(const NetworkOutline& network, DType wanted) {
  std::uint64_t bytes = 0;
  for (const auto& [name, shape, use] : network.parameters) {
    const DType stored =
        use == ParameterUse::elements ? DType::f32 : network.weight_type(wanted, name);
    bytes += bytes_of_weights(stored, static_cast<std::uint64_t>(shape.numel()));
  }
  return bytes;
}

}  // namespace rae::detail
