// The ranks that an MPI launcher such as mpirun or srun has started (library rae::mpi).
//
// Message Passing Interface Forum, "MPI: A Message-Passing Interface Standard", version 3.1.
#pragma once

#include "rae/core/owner.hpp"
#include "rae/train/communicator.hpp"

namespace rae {

/// All processes of an MPI program. Only the thread that made it may use it.
class MpiCommunicator : public Communicator {
 public:
  /// Connects this process with the others. Once in a process. Throws CommunicationError.
  [[nodiscard]] static OwnedPointer<MpiCommunicator> connect();

  /// The number of threads with which all ranks of this computer use each of their processors once:
  /// the processors that this rank may use, divided by the ranks that may use the same ones.
  [[nodiscard]] virtual int threads() const noexcept = 0;

  /// Disconnects when every rank has called it; call it last. Throws CommunicationError.
  virtual void disconnect() = 0;

  /// Ends all ranks at once with this exit status, also those that do not answer.
  [[noreturn]] virtual void end_all(int status) = 0;
};

}  // namespace rae
