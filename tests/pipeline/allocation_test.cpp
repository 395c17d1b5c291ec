// Counts what the whole program takes from the heap, to show that a sampling step takes nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "rae/pipeline/generator.hpp"
#include "support/tiny_bundle.hpp"

namespace {
std::atomic<std::uint64_t> allocations{0};

void* take(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  void* memory = std::aligned_alloc(alignment, (std::max<std::size_t>(1, bytes) + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

// The array and nothrow forms call these.
void* operator new(std::size_t bytes) { return take(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t bytes, std::align_val_t alignment) { return take(bytes, static_cast<std::size_t>(alignment)); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace rae {
namespace {

TEST(GeneratorAllocationTest, AStepTakesNothingFromTheHeapAfterTheFirst) {
  const Generator generator(test::tiny_bundle());
  for (const Solver solver : {Solver::euler, Solver::heun}) {
    std::vector<std::uint64_t> counts;
    counts.reserve(100);
    const std::uint64_t before = allocations;
    (void)generator.sample(
        {.labels = {0, 1, 2, 0, 1}, .steps = 10, .solver = solver, .guidance = Cfg{.scale = 2.0f}, .on_step = [&](const StepInfo&) {
           counts.push_back(allocations);
           return true;
         }});
    ASSERT_EQ(counts.size(), 10u);
    EXPECT_GT(counts.front(), before);
    EXPECT_EQ(counts.back(), counts.front()) << name_of(solver);
  }
}

}  // namespace
}  // namespace rae
