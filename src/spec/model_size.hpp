// The memory that the weights of a model take.
#pragma once

#include <cstdint>
#include <string>

#include "rae/core/dtype.hpp"
#include "rae/spec/network_role.hpp"

namespace rae::detail {

/// "3.36 GB".
[[nodiscard]] std::string in_gigabytes(std::uint64_t bytes);

/// Bytes of a network's weights as they are held when `wanted` is asked for.
[[nodiscard]] std::uint64_t bytes_of_network(const NetworkOutline& network, DType wanted);

}  // namespace rae::detail
