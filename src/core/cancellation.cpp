#include "core/cancellation.hpp"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include "rae/error.hpp"

namespace rae {
namespace {

thread_local const CancellationScope* innermost = nullptr;

/// A call on another thread.
struct Call {
  Function<void()> work;
  std::mutex mutex{};
  std::condition_variable ended{};
  bool done = false;
  std::exception_ptr thrown{};

  void run() {
    std::exception_ptr error;
    try {
      work();
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    thrown = error;
    done = true;
    ended.notify_all();
  }
};

}  // namespace

CancellationScope::CancellationScope(Function<bool()> should_stop)
    : should_stop_(std::move(should_stop)), around_(innermost) {
  innermost = this;
}

CancellationScope::~CancellationScope() { innermost = around_; }

namespace detail {

const CancellationScope* cancellation_scope() noexcept { return innermost; }

void set_cancellation_scope(const CancellationScope* scope) noexcept { innermost = scope; }

void ask_cancellation() {
  if (innermost != nullptr && innermost->should_stop()) raise<Cancelled>("interrupted");
}

void run_cancellable(const Function<void()>& work) {
  constexpr auto kBetweenQuestions = std::chrono::milliseconds(50);
  if (innermost == nullptr) return work();
  ask_cancellation();
  const auto call = std::make_shared<Call>();
  call->work = work;
  try {
    std::thread([call] { call->run(); }).detach();
  } catch (const std::system_error&) {  // no more threads
    return work();
  }
  std::unique_lock lock(call->mutex);
  while (!call->ended.wait_for(lock, kBetweenQuestions, [&] { return call->done; }))
    ask_cancellation();
  if (call->thrown) std::rethrow_exception(call->thrown);
}

}  // namespace detail
}  // namespace rae
