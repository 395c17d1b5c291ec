#include "serve/metrics.hpp"

namespace rae::serve {
namespace {

/// The lines that introduce a metric.
std::string head(std::string_view name, std::string_view type, std::string_view help) {
  return concat("# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
}

template <class N>
std::string metric(std::string_view name, std::string_view type, std::string_view help, N value) {
  return head(name, type, help) + concat(name, " ", value, "\n");
}

}  // namespace

void Metrics::count_request(const std::string& route, int status) {
  const std::lock_guard lock(mutex_);
  ++requests_[{route, status}];
}

void Metrics::count_images(const std::string& model, std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  images_[model] += count;
}

double Metrics::uptime() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

std::string Metrics::text(const QueueStatistics& queue, std::size_t limit) const {
  std::string out = metric("rae_uptime_seconds", "gauge", "Time since the start.", uptime());
  out += metric("rae_queue_waiting", "gauge", "Requests that wait.", queue.waiting);
  out += metric("rae_queue_limit", "gauge", "Most requests that can wait.", limit);
  out += metric("rae_jobs_running", "gauge", "Requests that are computed.", queue.running);
  out += head("rae_jobs_total", "counter", "Requests that left the queue, by their end.");
  for (const auto& [end, count] :
       {std::pair("done", queue.done), std::pair("failed", queue.failed),
        std::pair("cancelled", queue.cancelled), std::pair("refused", queue.refused)})
    out += concat("rae_jobs_total{end=\"", end, "\"} ", count, "\n");
  out += metric("rae_job_seconds_total", "counter", "Time of the requests that are done.",
                queue.seconds);
  const std::lock_guard lock(mutex_);
  out += head("rae_http_requests_total", "counter", "Answers, by route and status.");
  for (const auto& [key, count] : requests_)
    out += concat("rae_http_requests_total{route=\"", key.first, "\",status=\"", key.second, "\"} ",
                  count, "\n");
  out += head("rae_images_total", "counter", "Pictures drawn, by model.");
  for (const auto& [model, count] : images_)
    out += concat("rae_images_total{model=\"", model, "\"} ", count, "\n");
  return out;
}

}  // namespace rae::serve
