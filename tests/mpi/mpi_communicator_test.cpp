// Collective operations between processes. The program is started by mpirun with several ranks,
// each of which runs all tests.
#include "rae/mpi/mpi_communicator.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "mpi/ranks.hpp"
#include "rae/core/random.hpp"

namespace rae::test {
namespace {

/// The elements of a rank, of magnitudes at which every order of a sum rounds differently.
std::vector<float> elements(int rank, std::size_t count) {
  const Philox random(3, static_cast<std::uint64_t>(rank));
  std::vector<float> out(count);
  for (std::size_t i = 0; i < count; ++i)
    out[i] = random.normal(i) * (i % 3 == 0 ? 1e4f : 1.0f) + static_cast<float>(rank);
  return out;
}

/// The sum over all ranks in their order.
std::vector<float> sum_in_order(int size, std::size_t count) {
  std::vector<float> out = elements(0, count);
  for (int r = 1; r < size; ++r) {
    const std::vector<float> other = elements(r, count);
    for (std::size_t i = 0; i < count; ++i) out[i] += other[i];
  }
  return out;
}

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(MpiCommunicator, HasAllRanks) {
  EXPECT_GE(ranks().size(), 2);
  EXPECT_LT(ranks().rank(), ranks().size());
  EXPECT_GE(ranks().threads(), 1);
}

TEST(MpiCommunicator, AddsInTheOrderOfTheRanks) {
  for (const std::size_t count : {0u, 1u, 3u, 7u, 1000u, 100003u}) {
    std::vector<float> values = elements(ranks().rank(), count);
    ranks().all_reduce(std::span(values));
    EXPECT_EQ(values, sum_in_order(ranks().size(), count)) << count;
  }
  std::vector<double> sums{0.5 + ranks().rank(), 1.0};
  ranks().all_reduce(std::span(sums));
  const double n = ranks().size();
  EXPECT_EQ(sums, (std::vector<double>{0.5 * n + n * (n - 1) / 2, n}));
}

TEST(MpiCommunicator, SumsMayBeMovedOnInAnyOrder) {
  constexpr std::size_t kSums = 5, kCount = 5001;
  std::vector<std::vector<float>> values;
  std::vector<PendingSum> pending;
  for (std::size_t i = 0; i < kSums; ++i) values.push_back(elements(ranks().rank(), kCount + i));
  for (std::size_t i = 0; i < kSums; ++i) pending.emplace_back(ranks(), std::span(values[i]));
  // Every rank moves them on in another order, with another operation in between.
  for (std::size_t i = 0; i < kSums; ++i)
    (void)pending[(i * 2 + static_cast<std::size_t>(ranks().rank())) % kSums].poll();
  ranks().barrier();
  for (PendingSum& sum : pending) sum.wait();
  for (std::size_t i = 0; i < kSums; ++i)
    EXPECT_EQ(values[i], sum_in_order(ranks().size(), kCount + i));
}

TEST(MpiCommunicator, AddsOnlyThePartOfEachRank) {
  constexpr std::size_t kCount = 1003;
  std::vector<float> values = elements(ranks().rank(), kCount);
  const std::vector<float> own = values, sum = sum_in_order(ranks().size(), kCount);
  PendingSum(ranks(), std::span(values), false).wait();
  const RankPart part = part_of(kCount, ranks().rank(), ranks().size());
  for (index_t i = 0; i < static_cast<index_t>(kCount); ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(values[at], i >= part.begin && i < part.end ? sum[at] : own[at]) << i;
  }
}

TEST(MpiCommunicator, Broadcasts) {
  for (int root = 0; root < ranks().size(); ++root) {
    std::string text = ranks().rank() == root ? std::string(70000, 'a') + "end" : "other";
    ranks().broadcast(text, root);
    EXPECT_EQ(text, std::string(70000, 'a') + "end");
    std::vector<double> numbers(3, ranks().rank() == root ? 2.5 : 0.0);
    ranks().broadcast(std::span(numbers), root);
    EXPECT_EQ(numbers, std::vector<double>(3, 2.5));
  }
}

TEST(MpiCommunicator, GathersAndScatters) {
  const std::string own(static_cast<std::size_t>(ranks().rank()) * 1000, 'x');
  const std::vector<std::string> gathered = ranks().gather(bytes(own)),
                                 everywhere = ranks().all_gather(bytes(own));
  EXPECT_EQ(gathered.empty(), !ranks().is_root());
  ASSERT_EQ(everywhere.size(), static_cast<std::size_t>(ranks().size()));
  for (std::size_t r = 0; r < everywhere.size(); ++r) {
    EXPECT_EQ(everywhere[r], std::string(r * 1000, 'x'));
    if (ranks().is_root()) {
      EXPECT_EQ(gathered[r], everywhere[r]);
    }
  }
  EXPECT_EQ(ranks().scatter(gathered), own);
}

TEST(MpiCommunicator, AnErrorOfOneRankIsThrownOnAll) {
  const int last = ranks().size() - 1;
  ranks().agree([] {});
  try {
    ranks().agree([&] {
      if (ranks().rank() == last) raise<FileError>("no such folder");
    });
    FAIL();
  } catch (const FileError& error) {
    EXPECT_EQ(std::string(error.what()), concat("rank ", last, ": no such folder"));
  }
  try {
    ranks().on_root([&] { raise<ConfigError>("of rank ", ranks().rank()); });
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(std::string(error.what()), "of rank 0");
  }
}

TEST(MpiCommunicator, NamesARankThatDoesNotAnswer) {
  ranks().barrier();
  const int last = ranks().size() - 1;
  const bool late = ranks().rank() == last;
  ranks().set_time_limit(late ? 0 : 0.2);
  if (late) std::this_thread::sleep_for(std::chrono::milliseconds(600));
  std::vector<float> values(1000, 1.0f);
  PendingSum sum(ranks(), std::span(values));
  if (late) {
    sum.wait();
  } else {
    try {
      sum.wait();
      ADD_FAILURE() << "the time limit is ignored";
    } catch (const CommunicationError& error) {
      const std::string message = error.what();
      EXPECT_EQ(message, concat("all_reduce: rank ", last, " has not answered for 0.2 s"));
    }
    ranks().set_time_limit(0);
    sum.wait();  // the rank was only late
  }
  EXPECT_EQ(values, std::vector<float>(1000, static_cast<float>(ranks().size())));
  ranks().set_time_limit(0);
  ranks().barrier();
}

}  // namespace
}  // namespace rae::test
