#include "rae/mpi/mpi_communicator.hpp"

#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>

#include "rae/core/parallel.hpp"

namespace rae {

namespace {

void check(int code, const char* operation) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  raise<CommunicationError>(operation, ": ", std::string(text, static_cast<std::size_t>(length)));
}

/// Calls `body` with the pieces of a message that MPI can send at once, whose length is an int.
template <class Byte, class Body>
void for_pieces(std::span<Byte> bytes, Body body) {
  constexpr std::size_t kPiece = std::size_t{1} << 30;
  do {
    const auto piece = bytes.first(std::min(kPiece, bytes.size()));
    body(piece.data(), static_cast<int>(piece.size()));
    bytes = bytes.subspan(piece.size());
  } while (!bytes.empty());
}

class MpiTransfer final : public Transfer {
 public:
  MpiTransfer(MPI_Comm all, unsigned channel, const std::vector<OutgoingBytes>& outgoing,
              const std::vector<IncomingBytes>& incoming) {
    // MPI guarantees tags up to 32767. So many operations are never open at once.
    const int tag = static_cast<int>(channel % 32768);
    // Receive first: a message that is expected needs no copy.
    for (const IncomingBytes& message : incoming)
      for_pieces(message.bytes, [&](std::byte* data, int count) {
        check(MPI_Irecv(data, count, MPI_BYTE, message.rank, tag, all, add(message.rank)),
              "MPI_Irecv");
      });
    for (const OutgoingBytes& message : outgoing)
      for_pieces(message.bytes, [&](const std::byte* data, int count) {
        check(MPI_Isend(data, count, MPI_BYTE, message.rank, tag, all, add(message.rank)),
              "MPI_Isend");
      });
  }

  [[nodiscard]] bool done() override {
    if (complete_) return true;
    int all = 0;
    check(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &all,
                      MPI_STATUSES_IGNORE),
          "MPI_Testall");
    complete_ = all != 0;
    return complete_;
  }

  [[nodiscard]] int missing_rank() const override {
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      int arrived = 0;
      if (MPI_Request_get_status(requests_[i], &arrived, MPI_STATUS_IGNORE) != MPI_SUCCESS ||
          arrived == 0)
        return ranks_[i];
    }
    return 0;
  }

 private:
  MPI_Request* add(int rank) {
    ranks_.push_back(rank);
    return &requests_.emplace_back(MPI_REQUEST_NULL);
  }

  std::vector<MPI_Request> requests_;
  std::vector<int> ranks_;  // of each request
  bool complete_ = false;
};

class MpiRanks final : public MpiCommunicator {
 public:
  MpiRanks() {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
    if (provided < MPI_THREAD_FUNNELED)
      raise<CommunicationError>("this MPI library cannot be used by a program with threads");
    check(MPI_Comm_dup(MPI_COMM_WORLD, &all_), "MPI_Comm_dup");
    check(MPI_Comm_set_errhandler(all_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Comm_rank(all_, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(all_, &size_), "MPI_Comm_size");
    count_threads();
  }

  [[nodiscard]] int rank() const noexcept override { return rank_; }
  [[nodiscard]] int size() const noexcept override { return size_; }
  [[nodiscard]] int threads() const noexcept override { return threads_; }

  [[nodiscard]] OwnedPointer<Transfer> start(unsigned channel, std::vector<OutgoingBytes> outgoing,
                                             std::vector<IncomingBytes> incoming) override {
    return OwnedPointer<Transfer>::make<MpiTransfer>(all_, channel, outgoing, incoming);
  }

  void disconnect() override {
    barrier();
    check(MPI_Comm_free(&all_), "MPI_Comm_free");
    check(MPI_Finalize(), "MPI_Finalize");
  }

  [[noreturn]] void end_all(int status) override {
    MPI_Abort(MPI_COMM_WORLD, status);
    std::abort();  // not reached
  }

 private:
  /// Divides the processors of this rank by the ranks of this computer that share some of them.
  void count_threads() {
    cpu_set_t own;
    CPU_ZERO(&own);
    if (sched_getaffinity(0, sizeof own, &own) != 0) return;
    MPI_Comm node = MPI_COMM_NULL;
    check(MPI_Comm_split_type(all_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node),
          "MPI_Comm_split_type");
    int ranks = 0;
    check(MPI_Comm_size(node, &ranks), "MPI_Comm_size");
    std::vector<cpu_set_t> sets(static_cast<std::size_t>(ranks));
    check(MPI_Allgather(&own, sizeof own, MPI_BYTE, sets.data(), sizeof own, MPI_BYTE, node),
          "MPI_Allgather");
    check(MPI_Comm_free(&node), "MPI_Comm_free");
    const auto sharing = std::count_if(sets.begin(), sets.end(), [&](const cpu_set_t& other) {
      cpu_set_t both;
      CPU_AND(&both, &own, &other);
      return CPU_COUNT(&both) > 0;
    });
    // OMP_NUM_THREADS is the number for each rank.
    threads_ = std::getenv("OMP_NUM_THREADS") != nullptr
                   ? num_threads()
                   : std::max(1, num_threads() / static_cast<int>(sharing));
  }

  MPI_Comm all_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1, threads_ = 1;
};

}  // namespace

OwnedPointer<MpiCommunicator> MpiCommunicator::connect() {
  return OwnedPointer<MpiCommunicator>::make<MpiRanks>();
}

}  // namespace rae
