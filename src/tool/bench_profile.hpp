// Where the time of a network goes: the kinds of kernels in warm forward passes, each compared with
// what limits it.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/kernel_profile.hpp"
#include "rae/core/dtype.hpp"
#include "rae/core/function.hpp"

namespace rae::tool {

/// A part of the time of a pass.
struct ProfilePart {
  std::string name;      ///< a kind of kernels, "waiting" (for other threads) or "rest"
  double calls = 0;      ///< of a pass
  double seconds = 0;    ///< of a pass
  double of_limit = -1;  ///< limit / time; negative for parts without a limit
};

/// The mean of several passes.
struct PassProfile {
  double seconds = 0;              ///< of a pass
  std::vector<ProfilePart> parts;  ///< in the order of KernelKind, then waiting and rest
};

/// Runs passes for half a second, at least three, after one that is not counted. Rates that limit
/// kernels are measured before and after, and the larger counts.
///
/// Products and attention are limited by the peak rate of multiply-adds in the type of each
/// product. Other kinds are limited by the rate at which all threads together read a buffer of as
/// many bytes as a mean call reads and writes, after it has been read once: the rate of a cache for
/// a small buffer, and that of memory for a large one.
[[nodiscard]] PassProfile profile_of(const Function<void()>& pass);

/// A table of a profile.
[[nodiscard]] std::string table_of(const PassProfile& profile);

/// The same as JSON.
[[nodiscard]] nlohmann::ordered_json json_of(const PassProfile& profile);

}  // namespace rae::tool
