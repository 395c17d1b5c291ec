#include "train/shared_work.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>

#include "load/network_loader.hpp"
#include "rae/core/random.hpp"
#include "support/thread_ranks.hpp"
#include "support/tiny_bundle.hpp"
#include "support/toy_dataset.hpp"
#include "train/dataset_statistics.hpp"
#include "train/shared_statistics.hpp"

namespace rae::test {
namespace {

TEST(SharedWork, RankZeroTakesThePiecesInOrder) {
  for (const int size : {1, 2, 4})
    for (const index_t count : {0, 1, 2, 7, 8}) {
      std::vector<index_t> taken;
      std::atomic<index_t> computed = 0;
      on_ranks(size, [&](Communicator& ranks) {
        detail::share_in_order(
            ranks, count,
            [&](index_t i) {
              ++computed;
              EXPECT_EQ(i % size, ranks.rank());
              detail::Piece piece;
              piece.put(std::span<const index_t>(&i, 1));
              piece.put_tensor(Tensor<float>(Shape{i + 1, 3}, static_cast<float>(i)));
              return piece;
            },
            [&](index_t i, detail::Piece& piece) {
              EXPECT_TRUE(ranks.is_root());
              EXPECT_EQ(piece.get<index_t>(1).front(), i);
              const auto tensor = piece.get_tensor<float>();  // (i + 1, 3)
              EXPECT_EQ(tensor.shape(), (Shape{i + 1, 3}));
              for (const float v : tensor.span()) EXPECT_EQ(v, static_cast<float>(i));
              EXPECT_THROW((void)piece.get<char>(1), CommunicationError);
              taken.push_back(i);
            });
      });
      EXPECT_EQ(computed, count);
      ASSERT_EQ(static_cast<index_t>(taken.size()), count);
      for (index_t i = 0; i < count; ++i) EXPECT_EQ(taken[static_cast<std::size_t>(i)], i);
    }
}

// The pieces of complete rounds are taken before, and every rank throws the same error.
TEST(SharedWork, AnErrorEndsAllRanks) {
  for (const int size : {1, 2, 4}) {
    index_t taken = 0;
    std::atomic<int> failed = 0;
    on_ranks(size, [&](Communicator& ranks) {
      try {
        detail::share_in_order(
            ranks, 20,
            [&](index_t i) {
              if (i == 9) raise<FileError>("picture 9 is missing");
              return detail::Piece();
            },
            [&](index_t, detail::Piece&) { ++taken; });
      } catch (const FileError& error) {
        EXPECT_NE(std::string(error.what()).find("picture 9 is missing"), std::string::npos);
        ++failed;
      }
    });
    EXPECT_EQ(failed, size);
    EXPECT_EQ(taken, 9 / size * size);
  }
}

/// Latents (n, 2, 3, 5) of pictures.
Tensor<float> latents_of(index_t first, index_t n) {
  Tensor<float> out(Shape{n, 2, 3, 5});  // (n, C, h, w)
  for (index_t i = 0; i < n; ++i)
    Philox(5, static_cast<std::uint64_t>(first + i))
        .fill_normal(out.span().subspan(static_cast<std::size_t>(i * 30), 30));
  return out;
}

TEST(SharedStatistics, HaveTheSameBitsForAnyNumberOfRanks) {
  for (const index_t pictures : {1, 5, 23, 24}) {
    LatentStatistics wanted;
    wanted.update(latents_of(0, pictures));
    for (const int size : {1, 2, 3, 4, 32}) {
      std::atomic<int> equal = 0;
      on_ranks(size, [&](Communicator& ranks) {
        const LatentStatistics got = detail::shared_statistics(ranks, pictures, 3, latents_of);
        EXPECT_EQ(got.count(), pictures);
        const auto same = [](const Tensor<double>& a, const Tensor<double>& b) {
          return a.shape() == b.shape() &&
                 std::equal(a.span().begin(), a.span().end(), b.span().begin());
        };
        equal += same(got.mean<double>(), wanted.mean<double>()) &&
                 same(got.squares(), wanted.squares()) &&
                 same(got.variance<double>(), wanted.variance<double>());
      });
      EXPECT_EQ(equal, size) << pictures;
    }
  }
}

TEST(SharedStatistics, OfADataSetByBothRules) {
  Bundle bundle = tiny_bundle();
  bundle.remove("latent_norm.");
  const Rae<float> autoencoder = detail::NetworkLoader(bundle.files(), {}, {NetworkRole::encoder})
                                     .autoencoder(NetworkRole::encoder);
  const OwnedPointer<const ImageDataset> data = std::make_shared<ToyDataset>(530, 8, 3);
  for (const StatisticsRule rule : {StatisticsRule::exact, StatisticsRule::official}) {
    const StatisticsOptions options{.rule = rule, .batch_size = 60};
    const LatentNorm<float> wanted = detail::dataset_statistics(data, autoencoder, options, {});
    for (const int size : {2, 3}) {
      std::atomic<int> equal = 0;
      on_ranks(size, [&](Communicator& ranks) {
        const LatentNorm<float> got =
            detail::dataset_statistics(data, autoencoder, options, {}, &ranks);
        const auto same = [](const Tensor<float>& a, const Tensor<float>& b) {
          return a.shape() == b.shape() &&
                 std::equal(a.span().begin(), a.span().end(), b.span().begin());
        };
        equal += same(got.mean, wanted.mean) && same(got.var, wanted.var);
      });
      EXPECT_EQ(equal, size);
    }
  }
}

TEST(SharedStatistics, AnErrorEndsAllRanks) {
  std::atomic<int> failed = 0;
  on_ranks(3, [&](Communicator& ranks) {
    try {
      (void)detail::shared_statistics(ranks, 20, 2, [&](index_t first, index_t n) {
        Tensor<float> out = latents_of(first, n);  // (n, C, h, w)
        if (first == 8) out.data()[7] = NAN;
        return out;
      });
    } catch (const NumericError&) {
      ++failed;
    }
  });
  EXPECT_EQ(failed, 3);
}

}  // namespace
}  // namespace rae::test
