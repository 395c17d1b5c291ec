// How much memory models take.
#pragma once

#include <cstdint>
#include <string>

#include "rae/nn/outline.hpp"
#include "rae/spec/weight_types.hpp"

namespace rae::detail {

/// "3.36 GB".
[[nodiscard]] std::string in_gigabytes(std::uint64_t bytes);

/// Bytes of a model's weights as they will be held.
template <template <class> class Model, class Config>
[[nodiscard]] std::uint64_t bytes_of_model(const Config& config, DType dtype) {
  std::uint64_t bytes = 0;
  for (const auto& [name, shape, use] : parameter_shapes<Model>(config)) {
    const DType stored =
        use == ParameterUse::elements ? DType::f32 : weight_type(config, dtype, name);
    bytes += bytes_of_weights(stored, static_cast<std::uint64_t>(shape.numel()));
  }
  return bytes;
}

}  // namespace rae::detail
