// The ranks of a test program that mpirun has started.
#pragma once

#include "rae/mpi/mpi_communicator.hpp"

namespace rae::test {

/// The connection of this process.
MpiCommunicator& ranks();

}  // namespace rae::test
