// Ranks that are threads of the test, so that shared work is tested without an MPI launcher.
#pragma once

#include <algorithm>
#include <exception>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/train/communicator.hpp"

namespace rae::test {

/// Messages between threads.
class ThreadMessages {
 public:
  using Road = std::tuple<int, int, unsigned>;  // from, to, channel

  void send(const Road& road, std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    sent_[road].emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  /// The number of the next message that is received on this road.
  std::size_t expect(const Road& road) {
    const std::lock_guard lock(mutex_);
    return expected_[road]++;
  }
  /// Copies the message if it was sent.
  bool receive(const Road& road, std::size_t number, std::span<std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    const auto found = sent_.find(road);
    if (found == sent_.end() || found->second.size() <= number) return false;
    const std::string& message = found->second[number];
    if (message.size() != bytes.size())
      raise<CommunicationError>("a message of ", message.size(), " bytes where ", bytes.size(),
                                " are expected");
    std::copy(message.begin(), message.end(), reinterpret_cast<char*>(bytes.data()));
    return true;
  }

 private:
  std::mutex mutex_;
  std::map<Road, std::vector<std::string>> sent_;
  std::map<Road, std::size_t> expected_;
};

/// One of several threads that run the same code.
class ThreadRank final : public Communicator {
 public:
  ThreadRank(ThreadMessages& messages, int rank, int size)
      : messages_(messages), rank_(rank), size_(size) {
    set_time_limit(60);
  }
  [[nodiscard]] int rank() const noexcept override { return rank_; }
  [[nodiscard]] int size() const noexcept override { return size_; }
  [[nodiscard]] OwnedPointer<Transfer> start(unsigned channel, std::vector<OutgoingBytes> outgoing,
                                             std::vector<IncomingBytes> incoming) override {
    for (const OutgoingBytes& message : outgoing)
      messages_.send({rank_, message.rank, channel}, message.bytes);
    std::vector<Arrival> arrivals;
    for (const IncomingBytes& message : incoming) {
      const ThreadMessages::Road road{message.rank, rank_, channel};
      arrivals.push_back({road, messages_.expect(road), message.bytes});
    }
    return OwnedPointer<Transfer>::make<Arrivals>(messages_, std::move(arrivals));
  }

 private:
  struct Arrival {
    ThreadMessages::Road road;
    std::size_t number;
    std::span<std::byte> bytes;
  };
  class Arrivals final : public Transfer {
   public:
    Arrivals(ThreadMessages& messages, std::vector<Arrival> missing)
        : messages_(messages), missing_(std::move(missing)) {}
    [[nodiscard]] bool done() override {
      std::erase_if(missing_, [&](const Arrival& each) {
        return messages_.receive(each.road, each.number, each.bytes);
      });
      return missing_.empty();
    }
    [[nodiscard]] int missing_rank() const override { return std::get<0>(missing_.front().road); }

   private:
    ThreadMessages& messages_;
    std::vector<Arrival> missing_;
  };

  ThreadMessages& messages_;
  int rank_, size_;
};

/// Calls `work` on `size` ranks at once, and throws the error of the first that fails.
inline void on_ranks(int size, const Function<void(Communicator&)>& work) {
  ThreadMessages messages;
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r)
    threads.emplace_back([&, r] {
      ThreadRank rank(messages, r, size);
      try {
        work(rank);
      } catch (...) {
        errors[static_cast<std::size_t>(r)] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace rae::test
