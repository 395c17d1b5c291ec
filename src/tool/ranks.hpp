// The ranks of the program: several processes that a launcher such as mpirun has started to share
// the work of one command.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "rae/train/communicator.hpp"

namespace rae::tool {

/// Connects the processes that a launcher has started. After this, ranks above 0 print nothing.
/// Throws UsageError if there are several and the program was built without MPI.
void connect_ranks();

/// The ranks of this program; one, unless a launcher has started several.
[[nodiscard]] Communicator& ranks();

/// The same without a limit on the time that they wait for each other, for commands whose pieces of
/// work may take any time. The launcher ends all ranks when one dies. Throws ConfigError when the
/// kernels of the ranks round differently.
[[nodiscard]] Communicator& patient_ranks();

/// Throws ConfigError on all ranks when `own`, a description of the model or of the pictures
/// `name`, is not the same on all ranks. With one rank, `own` is not called.
void require_same_on_all_ranks(const std::string& name, const Function<std::string()>& own);

/// The number of threads of this rank; 0, the default number, without a launcher.
[[nodiscard]] int threads_of_rank();

/// `--rank-timeout SECONDS`, which takes effect when it is parsed.
void add_rank_timeout_option(CLI::App& command);

/// True if a command shares its work between ranks; the others are refused with several.
[[nodiscard]] bool shares_work(const std::string& command);

/// Ends the command on this rank with its exit status and its error, which may be empty. When the
/// other ranks have ended, too, then rank 0 prints each message once, and the result is the exit
/// status of all. Otherwise a failure here ends the other ranks.
[[nodiscard]] int conclude(int status, const std::string& message);

}  // namespace rae::tool
