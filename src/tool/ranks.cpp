// The ranks of the program: several processes that a launcher such as mpirun has started to share
// the work of one command.
#include "tool/ranks.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "rae/core/parallel.hpp"
#include "rae/train/training_loop.hpp"
#include "tool/command.hpp"
#include "tool/numbers.hpp"
#ifdef RAE_HAS_MPI
#include "rae/mpi/mpi_communicator.hpp"
#endif

namespace rae::tool {
namespace {

/// The number in an environment variable; 0 where there is none.
int number_in(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr ? 0 : std::atoi(text);
}

/// The number of processes that a launcher has started: by Open MPI, MPICH (and its relatives), or
/// Slurm with PMIx. 0 without a launcher.
int launched() {
  if (const int size = std::max(number_in("OMPI_COMM_WORLD_SIZE"), number_in("PMI_SIZE")))
    return size;
  return std::getenv("PMIX_RANK") == nullptr ? 0 : std::max(1, number_in("SLURM_STEP_NUM_TASKS"));
}

#ifdef RAE_HAS_MPI
OwnedPointer<MpiCommunicator> mpi;  // with several ranks
int errors = STDERR_FILENO;         // where errors go, also those of ranks that print nothing

/// Ranks above 0 compute, but say nothing.
void silence() {
  errors = ::dup(STDERR_FILENO);
  if (errors < 0 || std::freopen("/dev/null", "w", stdout) == nullptr ||
      std::freopen("/dev/null", "w", stderr) == nullptr)
    raise<FileError>("/dev/null: cannot be opened");
}
#endif

constexpr double kRankTimeLimit = 600;  // seconds; `rae train --rank-timeout` sets another
#ifdef RAE_HAS_MPI
constexpr double kSecondsForOthersToFail = 5;

/// The messages of all ranks, each once; those that only other ranks have say which. Where rank 0
/// says more about a common error, the others do not.
std::string distinct(const std::vector<std::string>& messages) {
  std::string out;
  for (std::size_t r = 0; r < messages.size(); ++r)
    if (out.find(messages[r].substr(0, messages[r].find_last_not_of('\n') + 1)) ==
        std::string::npos)
      out += (r == 0 ? "" : concat("rae: rank ", r, ":\n")) + messages[r];
  return out;
}

/// Exchanges the outcomes of all ranks; prints them on rank 0. Throws CommunicationError if the
/// others have not ended.
int common_outcome(int status, const std::string& message) {
  // Those that have failed do not wait for others that may be stuck without them. Rank 0 comes
  // first, so that one rank prints.
  if (status != 0) mpi->set_time_limit(kSecondsForOthersToFail + (mpi->is_root() ? 0 : 2));
  const std::vector<std::string> messages = mpi->gather(std::as_bytes(std::span(message)));
  const std::vector<std::string> statuses = mpi->all_gather(std::as_bytes(std::span(&status, 1)));
  for (const std::string& other : statuses) {
    int value = 0;
    other.copy(reinterpret_cast<char*>(&value), sizeof value);
    status = std::max(status, value);
  }
  std::fflush(stdout);
  std::fputs(distinct(messages).c_str(), stderr);
  std::fflush(stderr);
  mpi->disconnect();
  return status;
}

/// Ends all ranks with a failure of this one.
[[noreturn]] void end_all(int status, const std::string& message) {
  std::fflush(stdout);
  const std::string text = concat("rae: rank ", mpi->rank(), ":\n", message);
  [[maybe_unused]] const auto written = ::write(errors, text.data(), text.size());
  mpi->end_all(status);
  std::_Exit(status);  // not reached
}
#endif

}  // namespace

void connect_ranks() {
  const int processes = launched();
  if (processes <= 1) return;
#ifdef RAE_HAS_MPI
  mpi = MpiCommunicator::connect();
  if (mpi->size() != processes)
    throw UsageError(concat("the launcher has started ", processes,
                            " processes, of which MPI finds ", mpi->size(),
                            "; it belongs to another MPI library than this program"));
  mpi->set_time_limit(kRankTimeLimit);
  set_num_threads(mpi->threads());
  if (!mpi->is_root()) silence();
#else
  throw UsageError(concat(
      "a launcher of MPI has started this program ", processes,
      " times, but it was built without MPI, so each process would do the whole work; build it "
      "where MPI is installed (Debian: libopenmpi-dev), with -DRAE_MPI=ON"));
#endif
}

Communicator& ranks() {
  static SerialCommunicator one;
#ifdef RAE_HAS_MPI
  if (mpi) return *mpi;
#endif
  return one;
}

Communicator& patient_ranks() {
  ranks().set_time_limit(0);
  RankSharing{.communicator = &ranks()}.require_same_kernels();
  return ranks();
}

void require_same_on_all_ranks(const std::string& name, const Function<std::string()>& own) {
  Communicator& all = ranks();
  if (all.size() == 1) return;
  std::string found, of_root;
  all.agree([&] { of_root = found = own(); });
  all.broadcast(of_root);
  all.agree([&] {
    if (found != of_root)
      raise<ConfigError>(name, ": this rank finds other contents than rank 0, ", found,
                         " instead of ", of_root);
  });
}

int threads_of_rank() {
#ifdef RAE_HAS_MPI
  if (mpi) return mpi->threads();
#endif
  return 0;
}

void add_rank_timeout_option(CLI::App& command) {
  constexpr std::uint64_t kMostSeconds = 7 * 24 * 3600;
  const auto set = [](const std::string& text) {
    ranks().set_time_limit(
        static_cast<double>(parse_whole("--rank-timeout", text, 0, kMostSeconds)));
  };
  add_parsed_option(command, "--rank-timeout", set,
                    "with several ranks: seconds that a rank waits for the others in a step before "
                    "all are ended, ten times as long while rank 0 alone reads, writes or draws; 0 "
                    "waits without limit (default 600)",
                    {})
      ->type_name("SECONDS");
}

bool shares_work(const std::string& command) {
  constexpr std::array kSharing = {"train", "generate", "encode", "reconstruct",
                                   "stats", "evaluate", "help"};
  return std::find(kSharing.begin(), kSharing.end(), command) != kSharing.end();
}

int conclude(int status, const std::string& message) {
#ifdef RAE_HAS_MPI
  if (mpi) {
    try {
      return common_outcome(status, message);
    } catch (const std::exception& error) {
      end_all(std::max(status, 1),
              message.empty() ? concat("rae: error: ", error.what(), "\n") : message);
    }
  }
#endif
  std::fflush(stdout);
  std::fputs(message.c_str(), stderr);
  return status;
}

}  // namespace rae::tool
