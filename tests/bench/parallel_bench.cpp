// The cost of starting all threads and waiting for them: bench_parallel
//
// Prints microseconds of an empty parallel loop, for loops in sequence, and for loops after the
// calling thread has worked or slept. Multiplied by the number of loops in a forward pass, this
// shows whether the cost matters; see docs/03_kernels.md.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "rae/core/parallel.hpp"

namespace {

using Clock = std::chrono::steady_clock;

double microseconds(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

void nothing() {
  rae::parallel_ranges(rae::num_threads(), 1, [](rae::index_t begin, rae::index_t) {
    asm volatile("" : : "r"(begin) : "memory");
  });
}

void work(Clock::duration time) {
  for (const auto begin = Clock::now(); Clock::now() - begin < time;) {
  }
}

template <class Before>
void measure(const char* what, int rounds, Before before) {
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    before();
    const auto begin = Clock::now();
    nothing();
    times.push_back(microseconds(begin));
  }
  std::sort(times.begin(), times.end());
  std::printf("%-28s median %6.2f us, 90th percentile %6.2f us\n", what, times[times.size() / 2],
              times[times.size() * 9 / 10]);
}

}  // namespace

int main() {
  using std::chrono::microseconds, std::chrono::milliseconds;
  std::printf("%d threads, %s\n", rae::num_threads(), rae::parallel_backend());
  for (int i = 0; i < 1000; ++i) nothing();
  measure("in sequence", 20000, [] {});
  measure("after 100 us of work", 2000, [] { work(microseconds(100)); });
  measure("after 10 ms of work", 200, [] { work(milliseconds(10)); });
  measure("after 10 ms of sleep", 200, [] { std::this_thread::sleep_for(milliseconds(10)); });
}
