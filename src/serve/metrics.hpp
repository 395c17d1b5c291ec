// Counters of a server as text for Prometheus. Source: its text format, version 0.0.4.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "serve/queue.hpp"

namespace rae::serve {

/// Counts requests. All members can be called from several threads.
class Metrics {
 public:
  /// A request to a route of the server ("other" for any other path) was answered.
  void count_request(const std::string& route, int status);
  /// Pictures of a model were drawn.
  void count_images(const std::string& model, std::uint64_t count);

  /// Seconds since this object was made.
  [[nodiscard]] double uptime() const;
  /// All numbers, with those of the queue and its limit.
  [[nodiscard]] std::string text(const QueueStatistics& queue, std::size_t limit) const;

 private:
  mutable std::mutex mutex_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
  std::map<std::string, std::uint64_t> images_;
};

}  // namespace rae::serve
