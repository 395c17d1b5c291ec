#include "core/process_limits.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace rae::detail {
namespace {

/// The first number of a file; none if it cannot be read or does not begin with one ("max").
std::optional<std::int64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::int64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

/// The number after `key` in a file of lines "key number", such as memory.stat; 0 if there is none.
std::int64_t number_after(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  std::string word;
  for (std::int64_t number = 0; file >> word >> number;)
    if (word == key) return number;
  return 0;
}

bool contains(std::string_view list, std::string_view item) {
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    if (list.substr(begin, end - begin) == item) return true;
    begin = end + 1;
  }
  return false;
}

/// Folders of the control group `group` and of all groups above it, up to `mount`.
std::vector<std::string> folders(const std::string& mount, std::string group) {
  std::vector<std::string> out;
  if (group.find("/..") != std::string::npos) group.clear();  // not below the mount point
  while (!group.empty() && group.back() == '/') group.pop_back();
  for (;;) {
    out.push_back(mount + group);
    if (group.empty()) return out;
    const std::size_t slash = group.rfind('/');
    group.resize(slash == std::string::npos ? 0 : slash);
  }
}

/// Folders of control groups, of which each may hold limits.
struct Groups {
  std::vector<std::string> unified;   // folders of version 2
  std::vector<std::string> separate;  // folders of version 1, for one controller
};

/// The groups of this process for `controller` ("cpu" or "memory"). In a container, the path in
/// /proc/self/cgroup may be that of the host, although only the container's group is mounted.
/// Folders that do not exist hold no limits, and the last folder is the mount point, which has
/// those of the container.
Groups groups_of(const std::string& root, std::string_view controller) {
  Groups out;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // number:controllers:path
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1),
                      path = line.substr(second + 1), base = root + "/sys/fs/cgroup";
    const auto add = [&path](std::vector<std::string>& to, const std::string& mount) {
      for (auto& folder : folders(mount, path)) to.push_back(std::move(folder));
    };
    if (controllers.empty()) {
      add(out.unified, base);
      add(out.unified, base + "/unified");
    } else if (contains(controllers, controller)) {
      add(out.separate, base + "/" + controllers);
      if (controllers != controller) add(out.separate, base + "/" + std::string(controller));
    }
  }
  return out;
}

}  // namespace

int quota_processors(const std::string& root) {
  std::optional<std::int64_t> least;
  const auto limit = [&least](std::int64_t quota, std::int64_t period) {
    if (quota <= 0 || period <= 0) return;
    const std::int64_t whole = std::max<std::int64_t>(1, quota / period);
    least = std::min(least.value_or(whole), whole);
  };
  const Groups groups = groups_of(root, "cpu");
  for (const auto& folder : groups.unified) {
    std::ifstream file(folder + "/cpu.max");  // "quota period"; the quota may be "max"
    std::int64_t quota = 0, period = 0;
    if (file >> quota >> period) limit(quota, period);
  }
  for (const auto& folder : groups.separate) {
    const auto quota = number_in(folder + "/cpu.cfs_quota_us"),  // -1: none
        period = number_in(folder + "/cpu.cfs_period_us");
    if (quota && period) limit(*quota, *period);
  }
  return least ? static_cast<int>(std::min<std::int64_t>(*least, 1 << 20)) : 0;
}

int usable_processors() {
  int processors = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#if defined(__linux__)
  // The kernel's mask may be larger than cpu_set_t: try larger masks until it fits.
  for (std::size_t most = CPU_SETSIZE; most <= (std::size_t{1} << 20); most *= 2) {
    cpu_set_t* const mask = CPU_ALLOC(most);
    if (mask == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(most);
    const bool known = sched_getaffinity(0, bytes, mask) == 0;
    if (known) processors = std::max(1, CPU_COUNT_S(bytes, mask));
    CPU_FREE(mask);
    if (known) break;
  }
  if (const int quota = quota_processors(); quota > 0) processors = std::min(processors, quota);
#endif
  return processors;
}

std::uint64_t available_memory(const std::string& root) {
  std::optional<std::int64_t> least;
  std::ifstream file(root + "/proc/meminfo");
  std::string key, rest;
  for (std::int64_t kibibytes = 0; file >> key >> kibibytes; std::getline(file, rest))
    if (key == "MemAvailable:") least = 1024 * kibibytes;
  if (!least) return 0;
  const auto limit = [&least](const std::string& folder, const char* most, const char* used,
                              const char* idle_files) {
    const auto bytes = number_in(folder + "/" + most), taken = number_in(folder + "/" + used);
    if (!bytes || !taken) return;
    const std::int64_t idle = number_after(folder + "/memory.stat", idle_files);
    const std::int64_t held = std::max<std::int64_t>(0, *taken - idle);
    least = std::min(*least, std::max<std::int64_t>(0, *bytes - held));
  };
  const Groups groups = groups_of(root, "memory");
  for (const auto& folder : groups.unified)
    limit(folder, "memory.max", "memory.current", "inactive_file");
  for (const auto& folder : groups.separate)
    limit(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
  // 0 would mean unknown.
  return static_cast<std::uint64_t>(std::max<std::int64_t>(1, *least));
}

std::uint64_t cache_memory(std::uint64_t most, const std::string& root) {
  const std::uint64_t available = available_memory(root);
  return available == 0 ? most : std::min(most, available / 4);
}

}  // namespace rae::detail
