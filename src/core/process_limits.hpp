// The share of the machine that this process may use: its CPU affinity, and the CPU quotas and
// memory limits of its Linux control groups (cgroups, versions 1 and 2) and of all groups above
// them.
//
// On other systems: all processors of the machine, and an unknown amount of memory.
#pragma once

#include <cstdint>
#include <string>

namespace rae::detail {

/// Number of processors that this process may use, at least 1: those of its affinity mask, at most
/// its CPU quota rounded down (a quota of 2.5 processors gives 2).
[[nodiscard]] int usable_processors();

/// The CPU quota of this process in processors, rounded down, at least 1; 0 without a quota. `root`
/// replaces "/" in all paths, for tests.
[[nodiscard]] int quota_processors(const std::string& root = "");

/// Bytes that this process can still allocate without swapping; 0: unknown. The minimum of
/// MemAvailable and the unused part of each memory limit, where file pages in the cache that have
/// not been used lately count as unused.
[[nodiscard]] std::uint64_t available_memory(const std::string& root = "");

/// Bytes that a cache may use: `most`, but at most a quarter of the available memory.
[[nodiscard]] std::uint64_t cache_memory(std::uint64_t most, const std::string& root = "");

}  // namespace rae::detail
