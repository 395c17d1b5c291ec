#include "rae/core/workspace.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "rae/core/tensor.hpp"

namespace rae {
namespace {

TEST(Workspace, RecyclesEqualBlocks) {
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  const float* first = nullptr;
  {
    const Tensor<float> t(Shape{1000});  // (1000)
    first = t.data();
  }
  const Tensor<float> again(Shape{1000});  // (1000)
  EXPECT_EQ(again.data(), first);
  EXPECT_EQ(workspace.allocations(), 1u);
  EXPECT_EQ(workspace.reserved_bytes(), 4096u);  // rounded up
}

TEST(Workspace, WarmLoopAllocatesNothing) {
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  std::uint64_t warm = 0;
  for (int step = 0; step < 5; ++step) {
    const Tensor<float> a(Shape{64, 64}, 1.0f);                // (64, 64)
    Tensor<float> b = a;                                       // shares the elements of a
    b[0] = 2.0f;                                               // copies them
    const Tensor<double> c(Shape{31});                         // (31)
    const Tensor<float> d = convert<float>(convert<bf16>(a));  // (64, 64)
    if (step == 0) warm = workspace.allocations();
    EXPECT_EQ(workspace.allocations(), warm) << step;
  }
  EXPECT_GE(warm, 4u);
}

// If a small tensor could take a larger block, a later step could miss that block.
TEST(Workspace, ASecondStepAllocatesNothingInAnyOrderOfSizes) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<index_t> sizes;
    for (int i = 0; i < 30; ++i) sizes.push_back(1 + static_cast<index_t>(random() % 5000));
    const auto order = static_cast<std::uint32_t>(random());
    Workspace workspace;
    const WorkspaceScope scope(workspace);
    std::uint64_t first = 0;
    for (int step = 0; step < 3; ++step) {
      std::minstd_rand pick(order);
      std::vector<Tensor<float>> live;
      for (const index_t size : sizes) {
        live.emplace_back(Shape{size});
        if (live.size() > 4) live.erase(live.begin() + static_cast<long>(pick() % live.size()));
      }
      if (step == 0) first = workspace.allocations();
    }
    ASSERT_EQ(workspace.allocations(), first) << trial;
  }
}

TEST(Workspace, SizesAreRoundedByLessThanAQuarter) {
  std::size_t before = 0;
  for (std::size_t bytes = 1; bytes < 200000; ++bytes) {
    const std::size_t size = detail::pooled_size(bytes);
    ASSERT_GE(size, bytes);
    ASSERT_LT(size, bytes + std::max<std::size_t>(64, bytes / 4 + 1));
    ASSERT_EQ(detail::pooled_size(size), size);
    ASSERT_GE(size, before);
    before = size;
  }
}

TEST(Workspace, LiveTensorsNeverShareMemory) {
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  std::vector<Tensor<int>> live;
  for (int i = 0; i < 50; ++i) {
    live.emplace_back(Shape{10 + i % 7}, i);
    if (i % 3 == 0) live.erase(live.begin());
  }
  for (const auto& t : live)
    for (const int v : t.span()) ASSERT_EQ(v, t[0]);
}

TEST(Workspace, ATinyTensorDoesNotReuseAHugeBlock) {
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  { const Tensor<float> huge(Shape{1 << 20}); }
  const Tensor<float> tiny(Shape{1});  // (1)
  EXPECT_EQ(workspace.allocations(), 2u);
}

TEST(Workspace, TensorsOutliveTheWorkspace) {
  Tensor<float> t;  // (100), set below
  {
    Workspace workspace;
    const WorkspaceScope scope(workspace);
    t = Tensor<float>(Shape{100}, 3.0f);
    const Tensor<float> dies_first(Shape{10});  // (10)
  }
  for (const float v : std::as_const(t).span()) ASSERT_EQ(v, 3.0f);
  Tensor<float> copy = t;
  copy[0] = 1.0f;
  EXPECT_EQ(std::as_const(t)[0], 3.0f);
}

TEST(Workspace, OutsideAScopeTheHeapIsUsed) {
  Workspace workspace;
  const Tensor<float> t(Shape{10});  // (10)
  EXPECT_EQ(workspace.allocations(), 0u);
}

TEST(Workspace, ScopesNest) {
  Workspace outer, inner;
  const WorkspaceScope a(outer);
  const Tensor<float> x(Shape{10});  // (10)
  {
    const WorkspaceScope b(inner);
    const Tensor<float> y(Shape{10});  // (10)
  }
  const Tensor<float> z(Shape{10});  // (10)
  EXPECT_EQ(outer.allocations(), 2u);
  EXPECT_EQ(inner.allocations(), 1u);
}

TEST(Workspace, ABlockReturnsToItsWorkspace) {
  Workspace first, second;
  auto t = std::make_unique<Tensor<float>>();
  {
    const WorkspaceScope scope(first);
    *t = Tensor<float>(Shape{256});
  }
  {
    const WorkspaceScope scope(second);
    t.reset();
    const Tensor<float> other(Shape{256});  // (256)
    EXPECT_EQ(second.allocations(), 1u);
  }
  const WorkspaceScope scope(first);
  const Tensor<float> again(Shape{256});  // (256)
  EXPECT_EQ(first.allocations(), 1u);
}

TEST(Workspace, ReleaseUnusedKeepsLiveTensors) {
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  const Tensor<float> kept(Shape{100}, 5.0f);  // (100)
  { const Tensor<float> gone(Shape{5000}); }
  EXPECT_EQ(workspace.reserved_bytes(), 20480u + 448u);
  workspace.release_unused();
  EXPECT_EQ(workspace.reserved_bytes(), 448u);
  EXPECT_EQ(kept[99], 5.0f);
}

TEST(Workspace, ARefusedAllocationLeavesTheWorkspaceUsable) {
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  EXPECT_THROW((Tensor<double>(Shape{index_t{1} << 50})), ArgumentError);
  EXPECT_EQ(workspace.reserved_bytes(), 0u);
  const Tensor<float> t(Shape{10}, 1.0f);  // (10)
  EXPECT_EQ(t[9], 1.0f);
}

TEST(Workspace, IsSharedByThreads) {
  Workspace workspace;
  std::vector<Tensor<int>> results(4);
  std::vector<std::thread> threads;
  for (int me = 0; me < 4; ++me)
    threads.emplace_back([&workspace, &results, me] {
      const WorkspaceScope scope(workspace);
      for (int round = 0; round < 200; ++round) {
        Tensor<int> t(Shape{1 + (round * 37 + me) % 100}, me);  // (n)
        results[static_cast<std::size_t>(me)] = t;
      }
    });
  for (auto& thread : threads) thread.join();
  for (int me = 0; me < 4; ++me)
    for (const int v : std::as_const(results[static_cast<std::size_t>(me)]).span())
      ASSERT_EQ(v, me);
}

TEST(Workspace, ScopeBelongsToItsThread) {
  Workspace workspace;
  const WorkspaceScope scope(workspace);
  std::thread([] { const Tensor<float> t(Shape{10}); }).join();
  EXPECT_EQ(workspace.allocations(), 0u);
}

}  // namespace
}  // namespace rae
