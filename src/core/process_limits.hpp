// How much of the machine this process may use: its CPU affinity, and the CPU quotas and memory
// limits of its Linux control groups (cgroups, versions 1 and 2) and all groups above them.
//
// Elsewhere than on Linux: the processors of the machine, and no known memory.
#pragma once

#include <cstdint>
#include <string>

namespace rae::detail {

/// Processors that this process may keep busy, at least 1: those of its affinity mask, at most the
/// whole processors of its CPU quota (a quota of 2.5 processors gives 2).
[[nodiscard]] int usable_processors();

/// Processors of the CPU quota of this process, rounded down, at least 1; 0 without a quota. Files
/// are read below `root`, which stands for "/".
[[nodiscard]] int quota_processors(const std::string& root = "");

/// Bytes that this process can still take without swapping: the smallest of MemAvailable and the
/// rest of each memory limit, where cached file pages that have not been used lately count as free.
/// 0: unknown.
[[nodiscard]] std::uint64_t available_memory(const std::string& root = "");

}  // namespace rae::detail
