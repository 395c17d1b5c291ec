// The memory that the weights of a model take.
#pragma once

#include <cstdint>
#include <string>

#include "rae/core/dtype.hpp"
#include "rae/spec/network_role.hpp"

namespace rae::detail {

/// A number of bytes as "3.36 GB" (10^9 bytes).
[[nodiscard]] std::string in_gigabytes(std::uint64_t bytes);

/// Bytes of a network's weights in memory in a model of type `wanted`.
[[nodiscard]] std::uint64_t bytes_of_network(const NetworkOutline& network, DType wanted);

}  // namespace rae::detail
