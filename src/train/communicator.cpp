#include "rae/train/communicator.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <thread>

#include "rae/kernels/elementwise.hpp"

namespace rae {

namespace {

using Clock = std::chrono::steady_clock;

/// A pause between two looks at a transfer: none at first, so that short messages are not delayed,
/// then long enough to leave the processor to others.
class Pause {
 public:
  void operator()() {
    if (++calls_ < 200)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(calls_ < 2000 ? 20 : 500));
  }

 private:
  int calls_ = 0;
};

/// What is sent about the outcome of a rank's work: one of these letters, then the message.
enum Outcome : char {
  kGood = '-',
  kError = 'E',
  kShape = 'S',
  kFile = 'F',
  kFormat = 'O',
  kConfig = 'C',
  kArgument = 'A',
  kNumeric = 'N',
  kMemory = 'M',
  kCancelled = 'X'
};

char kind_of(const std::exception& error) {
  if (dynamic_cast<const ShapeError*>(&error)) return kShape;
  if (dynamic_cast<const FileError*>(&error)) return kFile;
  if (dynamic_cast<const FormatError*>(&error)) return kFormat;
  if (dynamic_cast<const ConfigError*>(&error)) return kConfig;
  if (dynamic_cast<const ArgumentError*>(&error)) return kArgument;
  if (dynamic_cast<const NumericError*>(&error)) return kNumeric;
  if (dynamic_cast<const MemoryError*>(&error)) return kMemory;
  if (dynamic_cast<const Cancelled*>(&error)) return kCancelled;
  return kError;
}

[[noreturn]] void throw_kind(char kind, const std::string& message) {
  switch (kind) {
    case kShape: throw ShapeError(message);
    case kFile: throw FileError(message);
    case kFormat: throw FormatError(message);
    case kConfig: throw ConfigError(message);
    case kArgument: throw ArgumentError(message);
    case kNumeric: throw NumericError(message);
    case kMemory: throw MemoryError(message);
    case kCancelled: throw Cancelled(message);
    default: throw Error(message);
  }
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}
std::span<std::byte> writable_bytes_of(std::string& text) {
  return std::as_writable_bytes(std::span(text));
}

}  // namespace

void Communicator::wait(Transfer& transfer, const char* operation) const {
  const auto start = Clock::now();
  Pause pause;
  while (!transfer.done()) {
    pause();
    if (time_limit_ > 0 &&
        std::chrono::duration<double>(Clock::now() - start).count() > time_limit_)
      raise<CommunicationError>(operation, ": rank ", transfer.missing_rank(),
                                " has not answered for ", time_limit_, " s");
  }
}

void Communicator::all_reduce(std::span<float> values) { PendingSum(*this, values).wait(); }

void Communicator::all_reduce(std::span<double> values) {
  if (size() == 1) return;
  const std::vector<double> all = all_gather(std::span<const double>(values));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = all[i];
  for (std::size_t i = values.size(); i < all.size(); ++i) values[i % values.size()] += all[i];
}

// A binomial tree: with ranks counted from the root, rank r receives from the rank without its
// lowest set bit, and sends to those with one more, lower bit.
void Communicator::broadcast(std::span<std::byte> bytes, int root) {
  if (size() == 1 || bytes.empty()) return;
  const unsigned channel = new_channel();
  const int n = size(), own = (rank() - root + n) % n;
  const auto rank_of = [&](int r) { return (r + root) % n; };
  int bit = 1;
  for (; bit < n; bit *= 2)
    if ((own & bit) != 0) {
      const auto transfer = start(channel, {}, {{rank_of(own - bit), bytes}});
      wait(*transfer, "broadcast");
      break;
    }
  std::vector<OutgoingBytes> outgoing;
  for (bit /= 2; bit > 0; bit /= 2)
    if (own + bit < n) outgoing.push_back({rank_of(own + bit), bytes});
  const auto transfer = start(channel, std::move(outgoing), {});
  wait(*transfer, "broadcast");
}

void Communicator::broadcast(std::string& text, int root) {
  std::uint64_t length = text.size();
  broadcast(std::span(&length, 1), root);
  text.resize(static_cast<std::size_t>(length));
  broadcast(writable_bytes_of(text), root);
}

std::vector<std::string> Communicator::gather(std::span<const std::byte> bytes) {
  const unsigned channel = new_channel();
  const auto others = static_cast<std::size_t>(size());
  std::uint64_t length = bytes.size();
  if (!is_root()) {
    const auto sizes = start(channel, {{0, std::as_bytes(std::span(&length, 1))}, {0, bytes}}, {});
    wait(*sizes, "gather");
    return {};
  }
  std::vector<std::uint64_t> lengths(others, 0);
  std::vector<IncomingBytes> incoming;
  for (std::size_t r = 1; r < others; ++r)
    incoming.push_back({static_cast<int>(r), std::as_writable_bytes(std::span(&lengths[r], 1))});
  const auto sizes = start(channel, {}, std::move(incoming));
  wait(*sizes, "gather");
  std::vector<std::string> all(others);
  all[0].assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  incoming.clear();
  for (std::size_t r = 1; r < others; ++r) {
    all[r].resize(static_cast<std::size_t>(lengths[r]));
    incoming.push_back({static_cast<int>(r), writable_bytes_of(all[r])});
  }
  const auto contents = start(channel, {}, std::move(incoming));
  wait(*contents, "gather");
  return all;
}

std::vector<std::string> Communicator::all_gather(std::span<const std::byte> bytes) {
  std::vector<std::string> all = gather(bytes);
  if (size() == 1) return all;
  all.resize(static_cast<std::size_t>(size()));
  for (std::string& each : all) broadcast(each);
  return all;
}

std::vector<double> Communicator::all_gather(std::span<const double> values) {
  const unsigned channel = new_channel();
  const std::size_t count = values.size(), own = static_cast<std::size_t>(rank());
  std::vector<double> all(count * static_cast<std::size_t>(size()));
  std::copy(values.begin(), values.end(), all.begin() + static_cast<std::ptrdiff_t>(own * count));
  if (size() == 1) return all;
  std::vector<OutgoingBytes> outgoing;
  std::vector<IncomingBytes> incoming;
  for (std::size_t r = 0; r < static_cast<std::size_t>(size()); ++r) {
    if (r == own) continue;
    outgoing.push_back({static_cast<int>(r), std::as_bytes(values)});
    incoming.push_back(
        {static_cast<int>(r), std::as_writable_bytes(std::span(all).subspan(r * count, count))});
  }
  const auto transfer = start(channel, std::move(outgoing), std::move(incoming));
  wait(*transfer, "all_gather");
  return all;
}

std::string Communicator::scatter(const std::vector<std::string>& parts) {
  const unsigned channel = new_channel();
  if (!is_root()) {
    std::uint64_t length = 0;
    const auto sizes = start(channel, {}, {{0, std::as_writable_bytes(std::span(&length, 1))}});
    wait(*sizes, "scatter");
    std::string own(static_cast<std::size_t>(length), '\0');
    const auto contents = start(channel, {}, {{0, writable_bytes_of(own)}});
    wait(*contents, "scatter");
    return own;
  }
  if (parts.size() != static_cast<std::size_t>(size()))
    raise<ArgumentError>("scatter: expected one part for each of ", size(), " ranks, got ",
                         parts.size());
  std::vector<std::uint64_t> lengths;
  for (const std::string& part : parts) lengths.push_back(part.size());
  std::vector<OutgoingBytes> outgoing;
  for (std::size_t r = 1; r < parts.size(); ++r) {
    outgoing.push_back({static_cast<int>(r), std::as_bytes(std::span(&lengths[r], 1))});
    outgoing.push_back({static_cast<int>(r), bytes_of(parts[r])});
  }
  const auto transfer = start(channel, std::move(outgoing), {});
  wait(*transfer, "scatter");
  return parts[0];
}

void Communicator::barrier() {
  if (size() == 1) return;
  (void)gather({});
  char released = 0;
  broadcast(std::span(&released, 1));
}

void Communicator::agree(const Function<void()>& work) {
  std::exception_ptr own;
  std::string outcome(1, kGood);
  try {
    work();
  } catch (const std::exception& error) {
    if (size() == 1) throw;
    own = std::current_exception();
    outcome = kind_of(error) + std::string(error.what());
  }
  if (size() == 1) return;
  const std::vector<std::string> all = all_gather(bytes_of(outcome));
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (all[r].empty() || all[r][0] == kGood) continue;
    if (r == 0 && is_root()) std::rethrow_exception(own);
    throw_kind(all[r][0], (r == 0 ? "" : concat("rank ", r, ": ")) + all[r].substr(1));
  }
}

void Communicator::on_root(const Function<void()>& work) {
  agree([&] {
    if (is_root()) work();
  });
}

PendingSum::PendingSum(Communicator& communicator, std::span<float> values, bool gathered,
                       std::vector<float> memory)
    : communicator_(&communicator),
      values_(values),
      received_(std::move(memory)),
      gathered_(gathered) {
  const int own = communicator.rank(), size = communicator.size();
  if (size == 1 || values.empty()) {
    complete_ = true;
    return;
  }
  sum_channel_ = communicator.new_channel();
  gather_channel_ = communicator.new_channel();
  const auto count = static_cast<index_t>(values.size());
  const auto length = static_cast<std::size_t>(part_of(count, own, size).count());
  received_.resize(std::max(received_.size(), length * static_cast<std::size_t>(size - 1)));
  std::vector<OutgoingBytes> outgoing;
  std::vector<IncomingBytes> incoming;
  // Each rank begins with its successor, so that not all send to the same rank at once.
  for (int step = 1; step < size; ++step) {
    const int to = (own + step) % size, from = (own + size - step) % size;
    const RankPart part = part_of(count, to, size);
    outgoing.push_back({to, std::as_bytes(values.subspan(static_cast<std::size_t>(part.begin),
                                                         static_cast<std::size_t>(part.count())))});
    const auto slot = static_cast<std::size_t>(from < own ? from : from - 1);
    incoming.push_back(
        {from, std::as_writable_bytes(std::span(received_).subspan(slot * length, length))});
  }
  transfer_ = communicator.start(sum_channel_, std::move(outgoing), std::move(incoming));
}

/// Adds the received parts to that of this rank, in the order of the ranks.
void PendingSum::add_part() {
  const int own = communicator_->rank(), size = communicator_->size();
  const RankPart part = part_of(static_cast<index_t>(values_.size()), own, size);
  const auto length = static_cast<std::size_t>(part.count());
  const std::span<float> sum = values_.subspan(static_cast<std::size_t>(part.begin), length);
  const auto from = [&](int rank) {
    return std::span(received_).subspan(
        static_cast<std::size_t>(rank < own ? rank : rank - 1) * length, length);
  };
  const auto add = [](std::span<float> x, std::span<const float> y) {
    const Shape shape{static_cast<index_t>(x.size())};
    const View<float> sum_of_both(x.data(), shape);
    if (!x.empty()) axpby<float>(1.0f, sum_of_both, 1.0f, {y.data(), shape}, sum_of_both);
  };
  if (own > 0) {
    for (int r = 1; r < own; ++r) add(from(0), from(r));
    add(from(0), sum);
    std::copy(from(0).begin(), from(0).end(), sum.begin());
  }
  for (int r = own + 1; r < size; ++r) add(sum, from(r));
}

bool PendingSum::poll() {
  if (complete_) return true;
  if (!transfer_->done()) return false;
  if (adding_) {
    add_part();
    adding_ = false;
    if (gathered_) {
      const int own = communicator_->rank(), size = communicator_->size();
      const auto slice = [&](int rank) {
        const RankPart part = part_of(static_cast<index_t>(values_.size()), rank, size);
        return values_.subspan(static_cast<std::size_t>(part.begin),
                               static_cast<std::size_t>(part.count()));
      };
      std::vector<OutgoingBytes> outgoing;
      std::vector<IncomingBytes> incoming;
      for (int step = 1; step < size; ++step) {
        const int to = (own + step) % size, from = (own + size - step) % size;
        outgoing.push_back({to, std::as_bytes(slice(own))});
        incoming.push_back({from, std::as_writable_bytes(slice(from))});
      }
      transfer_ = communicator_->start(gather_channel_, std::move(outgoing), std::move(incoming));
      return false;
    }
  }
  complete_ = true;
  return true;
}

void PendingSum::wait() {
  while (!complete_) {
    communicator_->wait(*transfer_, "all_reduce");
    (void)poll();
  }
}

OwnedPointer<Transfer> SerialCommunicator::start(unsigned, std::vector<OutgoingBytes> outgoing,
                                                 std::vector<IncomingBytes> incoming) {
  if (!outgoing.empty() || !incoming.empty())
    raise<ArgumentError>("SerialCommunicator: there is no other rank");
  class Nothing final : public Transfer {
    [[nodiscard]] bool done() override { return true; }
    [[nodiscard]] int missing_rank() const override { return 0; }
  };
  return OwnedPointer<Transfer>::make<Nothing>();
}

}  // namespace rae
