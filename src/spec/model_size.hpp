// How much memory models take, and how much there is.
#pragma once

#include <cstdint>
#include <string>

#include "rae/core/dtype.hpp"
#include "rae/spec/network_role.hpp"

namespace rae::detail {

/// Bytes that programs can take before the machine runs short ("MemAvailable"); 0 when the system
/// does not say.
[[nodiscard]] std::uint64_t available_memory();

/// "3.36 GB".
[[nodiscard]] std::string in_gigabytes(std::uint64_t bytes);

/// Bytes of a network's weights as they are held when `wanted` is asked for.
[[nodiscard]] std::uint64_t bytes_of_network(const NetworkOutline& network, DType wanted);

}  // namespace rae::detail
