// The names of temporary files and folders, "NAME.tmp-PROCESS-COUNT": they say which process makes
// them, so that those of processes that were killed can be recognised and removed.
#pragma once

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "rae/error.hpp"

namespace rae::detail {

inline constexpr std::string_view kTemporaryMark = ".tmp-";

/// A name for a temporary file that becomes `path`, another one in each call. A process of the same
/// number on another machine or in another container may have taken it.
[[nodiscard]] inline std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  return concat(path, kTemporaryMark, static_cast<long>(::getpid()), "-", counter.fetch_add(1));
}

/// What such a name is made of.
struct TemporaryName {
  std::string_view base;  // without a folder; may be empty
  pid_t process = 0;
};

/// The parts of the name of a temporary file, without its folder; absent for other names.
[[nodiscard]] inline std::optional<TemporaryName> parse_temporary_name(std::string_view name) {
  const auto mark = name.rfind(kTemporaryMark);
  if (mark == std::string_view::npos) return std::nullopt;
  const char* const end = name.data() + name.size();
  TemporaryName out{name.substr(0, mark)};
  unsigned count = 0;
  const auto first = std::from_chars(name.data() + mark + kTemporaryMark.size(), end, out.process);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-' || out.process < 1)
    return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, count);
  if (second.ec != std::errc() || second.ptr != end) return std::nullopt;
  return out;
}

/// False when no process of this number exists here.
[[nodiscard]] inline bool may_be_running(pid_t process) noexcept {
  return ::kill(process, 0) == 0 || errno != ESRCH;
}

}  // namespace rae::detail
