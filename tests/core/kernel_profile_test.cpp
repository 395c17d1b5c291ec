#include "core/kernel_profile.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "rae/core/parallel.hpp"

namespace rae {
namespace {

using detail::KernelCost;
using detail::KernelKind;
using detail::KernelProfile;
using detail::ProfiledKernel;

void sleep_milliseconds(int count) {
  std::this_thread::sleep_for(std::chrono::milliseconds(count));
}

TEST(KernelProfileTest, SumsTheCallsOfEachKind) {
  {
    const ProfiledKernel before(KernelKind::norm, [] { return KernelCost{.bytes = 1}; });
  }
  const KernelProfile profile;
  for (int i = 0; i < 2; ++i) {
    const ProfiledKernel kernel(KernelKind::norm, [] { return KernelCost{.bytes = 10}; });
    sleep_milliseconds(5);
  }
  {
    const ProfiledKernel kernel(KernelKind::product, [] {
      return KernelCost{.products = 6, .bytes = 3, .type = DType::bf16};
    });
  }
  const auto& norms = profile.of(KernelKind::norm);
  EXPECT_EQ(norms.calls, 2);
  EXPECT_EQ(norms.bytes, 20);
  EXPECT_GE(norms.seconds, 0.01);
  EXPECT_EQ(profile.of(KernelKind::product).products[std::size_t(DType::bf16)], 6);
  EXPECT_EQ(profile.of(KernelKind::attention).calls, 0);
}

TEST(KernelProfileTest, InnerCallsBelongToTheOuterOne) {
  const KernelProfile profile;
  {
    const ProfiledKernel outer(KernelKind::attention, [] { return KernelCost{}; });
    const ProfiledKernel inner(KernelKind::product, [] { return KernelCost{.products = 1}; });
  }
  EXPECT_EQ(profile.of(KernelKind::attention).calls, 1);
  EXPECT_EQ(profile.of(KernelKind::product).calls, 0);
}

TEST(KernelProfileTest, WaitingForOtherThreadsIsNoTimeOfTheKernel) {
  set_num_threads(2);
  const KernelProfile profile;
  const auto main_thread = std::this_thread::get_id();
  {
    const ProfiledKernel kernel(KernelKind::copy, [] { return KernelCost{}; });
    parallel_for(2, 1, [&](index_t) {
      if (std::this_thread::get_id() != main_thread) sleep_milliseconds(200);
    });
  }
  set_num_threads(0);
  // A thread that is late finds both parts done; the kernel then has all of the time.
  EXPECT_LT(profile.of(KernelKind::copy).seconds, 0.2);
  EXPECT_GE(profile.waiting(), 0);
}

TEST(KernelProfileTest, WithoutAProfileTheCostIsNotComputed) {
  bool computed = false;
  {
    const ProfiledKernel kernel(KernelKind::norm, [&] {
      computed = true;
      return KernelCost{};
    });
  }
  EXPECT_FALSE(computed);
}

}  // namespace
}  // namespace rae
