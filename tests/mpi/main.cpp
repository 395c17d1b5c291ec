// Runs all tests on every rank. The result is that of all ranks.
#include <gtest/gtest.h>

#include "mpi/ranks.hpp"

namespace rae::test {
namespace {
OwnedPointer<MpiCommunicator> connection;
}  // namespace

MpiCommunicator& ranks() { return *connection; }

}  // namespace rae::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  rae::test::connection = rae::MpiCommunicator::connect();
  const int failed = RUN_ALL_TESTS();
  rae::test::connection->disconnect();
  return failed;
}
