#include "rae/train/communicator.hpp"

#include <gtest/gtest.h>

namespace rae::test {
namespace {

TEST(Communicator, PartsFollowEachOtherAndDifferByAtMostOne) {
  for (const index_t count : {0, 1, 3, 10, 4096, 4099})
    for (const int size : {1, 2, 4, 7}) {
      index_t end = 0;
      for (int rank = 0; rank < size; ++rank) {
        const RankPart part = part_of(count, rank, size);
        EXPECT_EQ(part.begin, end);
        EXPECT_GE(part.count(), count / size);
        EXPECT_LE(part.count(), count / size + 1);
        end = part.end;
      }
      EXPECT_EQ(end, count);
    }
}

TEST(Communicator, OneRankChangesNothing) {
  SerialCommunicator one;
  EXPECT_EQ(one.rank(), 0);
  EXPECT_EQ(one.size(), 1);
  EXPECT_TRUE(one.is_root());
  std::vector<float> values{1.0f, 2.5f};
  one.all_reduce(std::span(values));
  EXPECT_EQ(values, (std::vector<float>{1.0f, 2.5f}));
  std::vector<double> sums{0.5};
  one.all_reduce(std::span(sums));
  EXPECT_EQ(sums, std::vector<double>{0.5});
  std::string text = "text";
  one.broadcast(text);
  EXPECT_EQ(text, "text");
  EXPECT_EQ(one.gather(std::as_bytes(std::span(text))), std::vector<std::string>{"text"});
  EXPECT_EQ(one.all_gather(std::as_bytes(std::span(text))), std::vector<std::string>{"text"});
  EXPECT_EQ(one.scatter({"part"}), "part");
  EXPECT_THROW((void)one.scatter({"a", "b"}), ArgumentError);
  one.barrier();
}

TEST(Communicator, OneRankThrowsItsOwnErrors) {
  SerialCommunicator one;
  class OfAnotherType : public std::exception {};
  EXPECT_THROW(one.agree([] { throw OfAnotherType(); }), OfAnotherType);
  EXPECT_THROW(one.on_root([] { raise<FileError>("missing"); }), FileError);
}

}  // namespace
}  // namespace rae::test
