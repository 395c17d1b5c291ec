// Communicator: the ranks of a program that runs several times at once and shares its work.
//
// A communicator only sends bytes between ranks. The collective operations on top of it are written
// once, so that a sum adds the ranks in their order whatever the library below does: the same ranks
// give the same bits every time, and every rank gets the same bits.
//
// Thakur, Rabenseifner and Gropp, "Optimization of Collective Communication Operations in MPICH"
// (2005), section 4: trees, and sums whose parts are added on different ranks.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/core/owner.hpp"
#include "rae/core/shape.hpp"
#include "rae/error.hpp"

namespace rae {

/// A rank does not answer, or the connection is lost.
class CommunicationError : public Error {
 public:
  using Error::Error;
};

/// Bytes for another rank.
struct OutgoingBytes {
  int rank = 0;
  std::span<const std::byte> bytes{};
};

/// Memory for bytes from another rank, of exactly their number.
struct IncomingBytes {
  int rank = 0;
  std::span<std::byte> bytes{};
};

/// Messages that have been started. Their memory must stay in place until `done` returns true.
class Transfer {
 public:
  virtual ~Transfer() = default;
  /// Moves the messages on; true when all have arrived. Throws CommunicationError.
  [[nodiscard]] virtual bool done() = 0;
  /// A rank whose messages are still missing.
  [[nodiscard]] virtual int missing_rank() const = 0;
};

/// One of `size` processes, each of which runs the same program. The collective operations must be
/// called by every rank in the same order. Each waits at most `time_limit` seconds for the other
/// ranks and then throws CommunicationError, which names a rank that is missing.
class Communicator {
 public:
  virtual ~Communicator() = default;

  /// The number of this process, in [0, size).
  [[nodiscard]] virtual int rank() const noexcept = 0;
  /// The number of processes, at least 1.
  [[nodiscard]] virtual int size() const noexcept = 0;
  /// True on the rank that reads and writes the results: rank 0.
  [[nodiscard]] bool is_root() const noexcept { return rank() == 0; }

  /// The next channel. Every rank gets the same numbers in the same order, so a channel belongs to
  /// one operation.
  [[nodiscard]] unsigned new_channel() noexcept { return channels_++; }
  /// Starts messages to and from other ranks. The messages of a channel between two ranks arrive in
  /// the order in which both start them; those of different channels are independent.
  [[nodiscard]] virtual OwnedPointer<Transfer> start(unsigned channel,
                                                     std::vector<OutgoingBytes> outgoing,
                                                     std::vector<IncomingBytes> incoming) = 0;

  /// Seconds that an operation waits for other ranks; 0: without limit.
  [[nodiscard]] double time_limit() const noexcept { return time_limit_; }
  /// Sets the limit.
  void set_time_limit(double seconds) noexcept { time_limit_ = seconds; }

  /// Waits until the messages have arrived; `operation` names them in the error.
  void wait(Transfer& transfer, const char* operation) const;

  /// Replaces the elements by their sums over all ranks, added in the order of the ranks. The
  /// number of elements is the same on all ranks.
  void all_reduce(std::span<float> values);
  /// The same for double.
  void all_reduce(std::span<double> values);

  /// Copies the bytes of rank `root` to all others. The number of bytes is the same on all ranks.
  void broadcast(std::span<std::byte> bytes, int root = 0);
  /// The same for a string of any length, which replaces that of the other ranks.
  void broadcast(std::string& text, int root = 0);
  /// The same for the elements of a span.
  template <class T>
  requires(std::is_trivially_copyable_v<T> &&
           !std::is_same_v<T, std::byte>) void broadcast(std::span<T> values, int root = 0) {
    broadcast(std::as_writable_bytes(values), root);
  }

  /// The bytes of every rank, in the order of the ranks, on rank 0; nothing on the others. Ranks
  /// may give different numbers of bytes.
  [[nodiscard]] std::vector<std::string> gather(std::span<const std::byte> bytes);
  /// The same on every rank.
  [[nodiscard]] std::vector<std::string> all_gather(std::span<const std::byte> bytes);
  /// The numbers of every rank, in the order of the ranks, on every rank, with one message between
  /// each two; all ranks give as many.
  [[nodiscard]] std::vector<double> all_gather(std::span<const double> values);
  /// Sends the parts of rank 0 to their ranks; returns that of this rank. `parts` has one element
  /// for each rank on rank 0 and is ignored on the others.
  [[nodiscard]] std::string scatter(const std::vector<std::string>& parts);

  /// Returns when every rank has called it.
  void barrier();

  /// Calls `work` on this rank. If it throws on any rank, then every rank throws an error of the
  /// same type with the same message, that of the first rank that failed. `work` must not contain
  /// collective operations.
  void agree(const Function<void()>& work);
  /// The same where only rank 0 works.
  void on_root(const Function<void()>& work);

 private:
  double time_limit_ = 0;
  unsigned channels_ = 0;
};

/// The indices of `rank` where [0, count) is divided into one contiguous part for each of `size`
/// ranks, whose lengths differ by at most one.
struct RankPart {
  index_t begin = 0, end = 0;
  [[nodiscard]] index_t count() const noexcept { return end - begin; }
};
[[nodiscard]] constexpr RankPart part_of(index_t count, int rank, int size) noexcept {
  const index_t n = size, base = count / n, longer = count % n;
  const auto begin = [&](index_t r) { return r * base + (r < longer ? r : longer); };
  return {begin(rank), begin(rank + 1)};
}

/// A sum over all ranks in two halves, each of which `poll` moves on while the caller computes:
/// each rank adds one part of the elements, then all parts are gathered. `all_reduce` is both
/// halves.
class PendingSum {
 public:
  /// Starts to add `values` over the ranks. They must stay in place, and must not be used, until
  /// `poll` has returned true or `wait` has returned. With `gathered` false, only the part of this
  /// rank, `part_of(values.size(), rank, size)`, is added, and the others stay as they are.
  /// `memory`, of any size, is used for what the other ranks send; see `take_memory`.
  PendingSum(Communicator& communicator, std::span<float> values, bool gathered = true,
             std::vector<float> memory = {});

  /// Moves the sum on without waiting; true when it is complete.
  bool poll();
  /// Waits until it is complete. The ranks must wait for their sums in the same order.
  void wait();

  /// The memory of a sum whose parts have been added, for another sum; else nothing.
  [[nodiscard]] std::vector<float> take_memory() {
    return adding_ && !complete_ ? std::vector<float>() : std::exchange(received_, {});
  }

 private:
  void add_part();

  Communicator* communicator_;
  std::span<float> values_;
  std::vector<float> received_;  // the part of this rank from every other rank, in their order
  OwnedPointer<Transfer> transfer_{};
  unsigned sum_channel_ = 0, gather_channel_ = 0;
  bool gathered_, adding_ = true, complete_ = false;
};

/// A communicator of one rank, whose collective operations do nothing.
class SerialCommunicator final : public Communicator {
 public:
  [[nodiscard]] int rank() const noexcept override { return 0; }
  [[nodiscard]] int size() const noexcept override { return 1; }
  [[nodiscard]] OwnedPointer<Transfer> start(unsigned channel, std::vector<OutgoingBytes> outgoing,
                                             std::vector<IncomingBytes> incoming) override;
};

}  // namespace rae
