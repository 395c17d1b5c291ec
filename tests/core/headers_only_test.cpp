// This file is compiled without RAE_LIBRARY, in a program that links the library.
#include <gtest/gtest.h>

#include <atomic>

#include "rae/core/parallel.hpp"

#if RAE_LIBRARY
#error "this test must be compiled without RAE_LIBRARY"
#endif

namespace rae {
namespace {

TEST(HeadersOnly, UseTheThreadsOfTheLinkedLibrary) {
  EXPECT_STREQ(parallel_backend(), RAE_EXPECTED_BACKEND);
  set_num_threads(3);
  EXPECT_EQ(num_threads(), 3);
  EXPECT_EQ(ParallelLoop(100, 1).slots(), 3);
  std::atomic<index_t> sum{0};
  parallel_for(100, 1, [&](index_t i) { sum += i; });
  EXPECT_EQ(sum.load(), 99 * 50);
  set_num_threads(0);
}

}  // namespace
}  // namespace rae
