#include "serve/queue.hpp"

#include <algorithm>
#include <cmath>

#include "rae/core/cancellation.hpp"

namespace rae::serve {

using Clock = std::chrono::steady_clock;

Job::Job(Work work, Clock::duration limit) : work_(std::move(work)), limit_(limit) {}

bool Job::should_stop() const noexcept {
  if (cancelled_) return true;
  const std::int64_t started = started_;
  return started != 0 && Clock::now().time_since_epoch().count() - started > limit_.count();
}

double Job::seconds() const noexcept {
  const std::int64_t started = started_;
  if (started == 0) return 0;
  return std::chrono::duration<double>(Clock::now().time_since_epoch() - Clock::duration(started))
      .count();
}

void Job::report(Progress progress) {
  const std::lock_guard lock(mutex_);
  // Previews that the client has not received yet are kept unless there are newer ones.
  if (progress.previews.empty() && news_.progress)
    progress.previews = std::move(news_.progress->previews);
  news_.progress = std::move(progress);
  fresh_ = true;
  changed_.notify_all();
}

News Job::wait(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience, [&] { return fresh_; });
  News out = news_;
  news_.progress.reset();
  fresh_ = false;
  return out;
}

Answer Job::take_answer() {
  const std::lock_guard lock(mutex_);
  if (error_) std::rethrow_exception(error_);
  return std::move(answer_);
}

void Job::move_to(std::size_t position) {
  const std::lock_guard lock(mutex_);
  if (news_.position == position) return;
  news_.position = position;
  fresh_ = true;
  changed_.notify_all();
}

void Job::fail(std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  error_ = std::move(error);
  news_.state = JobState::failed;
  news_.position = 0;
  fresh_ = true;
  changed_.notify_all();
}

void Job::run() {
  {
    const std::lock_guard lock(mutex_);
    started_ = Clock::now().time_since_epoch().count();
    news_.state = JobState::running;
    news_.position = 0;
    fresh_ = true;
    changed_.notify_all();
  }
  try {
    if (should_stop()) raise<Cancelled>("cancelled");
    const CancellationScope scope([this] { return should_stop(); });
    Answer answer = work_(*this);
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
    news_.state = JobState::done;
    fresh_ = true;
    changed_.notify_all();
  } catch (const Cancelled&) {
    if (cancelled_ || !should_stop()) return fail(std::current_exception());
    const double limit = std::chrono::duration<double>(limit_).count();
    fail(std::make_exception_ptr(
        TooSlow(concat("the request took longer than the limit of ", limit, " s"))));
  } catch (...) {
    fail(std::current_exception());
  }
}

Queue::Queue(std::size_t limit) : limit_(limit), thread_([this] { work(); }) {}

Queue::~Queue() { stop(); }

void Queue::submit(const std::shared_ptr<Job>& job) {
  const std::lock_guard lock(mutex_);
  // Clients that went away do not count.
  const auto gone = [&](const std::shared_ptr<Job>& each) {
    if (!each->should_stop()) return false;
    ++statistics_.cancelled;
    each->fail(std::make_exception_ptr(Cancelled("cancelled")));
    return true;
  };
  waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), gone), waiting_.end());
  if (stopped_ || waiting_.size() >= limit_) {
    ++statistics_.refused;
    raise<QueueFull>(stopped_ ? "the server stops"
                              : concat("the queue is full: ", limit_, " requests wait already"));
  }
  waiting_.push_back(job);
  update_positions();
  changed_.notify_one();
}

void Queue::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    for (const auto& job : waiting_) job->cancel();
    if (running_) running_->cancel();
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

QueueStatistics Queue::statistics() const {
  const std::lock_guard lock(mutex_);
  QueueStatistics out = statistics_;
  out.waiting = waiting_.size();
  out.running = running_ ? 1 : 0;
  return out;
}

int Queue::retry_after() const {
  const QueueStatistics now = statistics();
  const double mean = now.done > 0 ? now.seconds / static_cast<double>(now.done) : 1.0;
  const double wait = std::ceil(mean * static_cast<double>(now.waiting + now.running));
  return static_cast<int>(std::clamp(wait, 1.0, 600.0));
}

void Queue::update_positions() {
  const std::size_t ahead = running_ ? 1 : 0;
  for (std::size_t i = 0; i < waiting_.size(); ++i) waiting_[i]->move_to(i + ahead);
}

void Queue::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stopped_ || !waiting_.empty(); });
    if (waiting_.empty()) return;  // stopped
    running_ = std::move(waiting_.front());
    waiting_.pop_front();
    update_positions();
    lock.unlock();
    running_->run();
    const double seconds = running_->seconds();
    const bool done = running_->news_.state == JobState::done;
    const bool cancelled = !done && running_->cancelled_;
    lock.lock();
    if (done) {
      ++statistics_.done;
      statistics_.seconds += seconds;
    } else {
      ++(cancelled ? statistics_.cancelled : statistics_.failed);
    }
    running_.reset();
    update_positions();
  }
}

}  // namespace rae::serve
