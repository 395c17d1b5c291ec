// The queue of a server: jobs wait for the one thread that computes them. Their number is limited,
// and every job can be cancelled while it waits or runs.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/core/shape.hpp"
#include "rae/error.hpp"

namespace rae::serve {

/// No job is accepted now: as many wait as are allowed, or the queue was stopped.
class QueueFull : public Error {
 public:
  using Error::Error;
};

/// A job took longer than its limit.
class TooSlow : public Error {
 public:
  using Error::Error;
};

/// The result of a job: the body of the answer and its media type.
struct Answer {
  std::string type, body;
};

/// The progress of a job. Of several reports between two calls of `Job::wait`, the last counts.
struct Progress {
  index_t step = 0, steps = 0;
  double seconds = 0;                   ///< since the job was started
  std::vector<std::string> previews{};  ///< PNG files, in Base64, of the estimates so far
};

enum class JobState { queued, running, done, failed };

/// The changes of a job since the last call of `Job::wait`.
struct News {
  JobState state = JobState::queued;
  std::size_t position = 0;  ///< number of jobs before this one; 0 for the next one, and later
  std::optional<Progress> progress{};
};

/// A computation that a client waits for. One thread computes it, another waits for it.
class Job {
 public:
  using Work = Function<Answer(Job&)>;

  /// `work` runs at most `limit` long; then, and when the job is cancelled, `should_stop` is true.
  Job(Work work, std::chrono::steady_clock::duration limit);

  /// Asks the job to stop. A job that still waits is then never started.
  void cancel() noexcept { cancelled_ = true; }
  /// True after `cancel`, and when the job runs for longer than its limit.
  [[nodiscard]] bool should_stop() const noexcept;

  /// Called by the work.
  void report(Progress progress);
  /// Seconds since the job was started.
  [[nodiscard]] double seconds() const noexcept;

  /// Waits until there is news, at most `patience`; called by the thread of the client.
  [[nodiscard]] News wait(std::chrono::milliseconds patience);
  /// The answer of a job that is done. Throws the error of one that failed: that of its work,
  /// TooSlow, or Cancelled.
  [[nodiscard]] Answer take_answer();

 private:
  friend class Queue;
  void move_to(std::size_t position);
  void run();
  void fail(std::exception_ptr error);

  const Work work_;
  const std::chrono::steady_clock::duration limit_;
  std::atomic<bool> cancelled_{false};
  std::atomic<std::int64_t> started_{0};  // ticks of steady_clock; 0: not started
  std::mutex mutex_;
  std::condition_variable changed_;
  News news_;
  bool fresh_ = true;  // news that `wait` has not returned
  Answer answer_;
  std::exception_ptr error_;
};

/// Numbers about a queue.
struct QueueStatistics {
  std::size_t waiting = 0, running = 0;
  std::uint64_t done = 0, failed = 0, cancelled = 0, refused = 0;
  double seconds = 0;  ///< of all jobs that were computed to their end
};

/// Jobs in the order in which they came, computed one by one, since each uses all processors.
class Queue {
 public:
  /// At most `limit` jobs wait while another one runs.
  explicit Queue(std::size_t limit);
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  /// As `stop`.
  ~Queue();

  /// Adds a job. Throws QueueFull.
  void submit(const std::shared_ptr<Job>& job);

  /// Cancels all jobs and waits for the one that runs. No job is accepted afterwards.
  void stop();

  [[nodiscard]] QueueStatistics statistics() const;
  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }
  /// Seconds after which a client that was refused should try again, 1 to 600: the time that the
  /// waiting jobs probably take.
  [[nodiscard]] int retry_after() const;

 private:
  void work();
  void update_positions();

  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> waiting_;
  std::shared_ptr<Job> running_;
  QueueStatistics statistics_;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace rae::serve
