#include "tool/bench_profile.hpp"

#include <algorithm>
#include <cstdio>

#include "rae/core/parallel.hpp"
#include "tool/peak.hpp"

namespace rae::tool {
namespace {

using detail::KernelKind;
using detail::KernelWork;

constexpr double kProfileSeconds = 0.5;
constexpr int kLeastPasses = 3;

/// Bytes per second at which all threads read `bytes` bytes that were read before.
double read_rate_of(double bytes) {
  constexpr double kLeast = 4096, kMost = 256 << 20;
  constexpr int kLeastReads = 5;
  constexpr double kSeconds = 0.01;
  const auto words = static_cast<std::size_t>(std::clamp(bytes, kLeast, kMost)) / 8;
  const std::vector<std::uint64_t> memory(words, 1);
  double best = 0;
  const double start = bench::seconds();
  for (int i = 0; i < kLeastReads || bench::seconds() - start < kSeconds; ++i)
    best = std::max(best, bench::read_rate(memory));
  return best;
}

/// Seconds that the work would take at the limit.
class Limits {
 public:
  /// Measures what limits this work; the better of this time and those before counts.
  void measure(const std::vector<KernelWork>& all) {
    for (const KernelWork& work : all)
      for (std::size_t t = 0; t < work.products.size(); ++t) {
        if (work.products[t] == 0) continue;
        double& best = peaks_[static_cast<DType>(t)];
        best = std::max(best, bench::peak(static_cast<DType>(t), num_threads()));
      }
    for (const KernelWork& work : all) {
      if (work.calls == 0 || has_products(work)) continue;
      double& best = rates_[bytes_of_call(work)];
      best = std::max(best, read_rate_of(bytes_of_call(work)));
    }
  }
  /// Negative where nothing limits it.
  [[nodiscard]] double seconds(const KernelWork& work) const {
    if (!has_products(work))
      return work.bytes > 0 ? work.bytes / rates_.at(bytes_of_call(work)) : -1;
    double sum = 0;
    for (std::size_t t = 0; t < work.products.size(); ++t)
      if (work.products[t] > 0) sum += 2 * work.products[t] / peaks_.at(static_cast<DType>(t));
    return sum;
  }

 private:
  static bool has_products(const KernelWork& work) {
    return std::any_of(work.products.begin(), work.products.end(), [](double p) { return p > 0; });
  }
  static double bytes_of_call(const KernelWork& work) {
    return work.bytes / static_cast<double>(work.calls);
  }

  std::map<DType, double> peaks_;   // operations per second
  std::map<double, double> rates_;  // bytes per second, by the bytes of a mean call
};

}  // namespace

PassProfile profile_of(const Function<void()>& pass) {
  pass();
  std::vector<KernelWork> works;
  double waiting = 0, elapsed = 0, passes = 0;
  {
    const detail::KernelProfile profile;
    const double start = detail::profile_seconds();
    for (; passes < kLeastPasses || elapsed < kProfileSeconds; ++passes) {
      pass();
      elapsed = detail::profile_seconds() - start;
    }
    waiting = profile.waiting();
    for (std::size_t k = 0; k < detail::kKernelKinds; ++k)
      works.push_back(profile.of(static_cast<KernelKind>(k)));
  }
  Limits limits;
  constexpr int kMeasurements = 2;
  for (int i = 0; i < kMeasurements; ++i) limits.measure(works);
  PassProfile out;
  out.seconds = elapsed / passes;
  double rest = elapsed - waiting;
  for (std::size_t k = 0; k < works.size(); ++k) {
    const KernelWork& work = works[k];
    if (work.calls == 0) continue;
    rest -= work.seconds;
    ProfilePart part{.name = std::string(detail::name_of(static_cast<KernelKind>(k))),
                     .calls = static_cast<double>(work.calls) / passes,
                     .seconds = work.seconds / passes};
    if (const double limit = limits.seconds(work); limit >= 0 && work.seconds > 0)
      part.of_limit = limit / work.seconds;
    out.parts.push_back(part);
  }
  out.parts.push_back({.name = "waiting", .seconds = waiting / passes});
  out.parts.push_back({.name = "rest", .seconds = rest / passes});
  return out;
}

std::string table_of(const PassProfile& profile) {
  char row[160];
  std::snprintf(row, sizeof row, "  %-12s %7s %10s %9s %9s\n", "part", "calls", "ms", "of time",
                "of limit");
  std::string text = row;
  for (const ProfilePart& part : profile.parts) {
    const int length =
        std::snprintf(row, sizeof row, "  %-12s %7.0f %10.3f %7.1f %%", part.name.c_str(),
                      part.calls, 1e3 * part.seconds, 100 * part.seconds / profile.seconds);
    if (part.of_limit >= 0)
      std::snprintf(row + length, sizeof row - static_cast<std::size_t>(length), " %9.2f",
                    part.of_limit);
    text += std::string(row) + "\n";
  }
  return text;
}

nlohmann::ordered_json json_of(const PassProfile& profile) {
  nlohmann::ordered_json json{{"seconds", profile.seconds}};
  for (const ProfilePart& part : profile.parts) {
    nlohmann::ordered_json entry{{"name", part.name},
                                 {"calls", part.calls},
                                 {"seconds", part.seconds},
                                 {"share", part.seconds / profile.seconds}};
    if (part.of_limit >= 0) entry["fraction_of_limit"] = part.of_limit;
    json["parts"].push_back(entry);
  }
  return json;
}

}  // namespace rae::tool
