#include "rae/train/batches.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "rae/core/parallel.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

std::vector<float> values(const Tensor<float>& t) { return {t.span().begin(), t.span().end()}; }

TEST(Batches, AnEpochHasEveryPictureOnceInItsOwnOrder) {
  const auto data = std::make_shared<ToyDataset>(10, 4, 2);
  Batches batches(data, 5, 3);
  std::set<std::vector<float>> seen[2];
  std::vector<float> order[2];
  for (index_t i = 0; i < 4; ++i) {
    const Batch batch = batches(i);
    EXPECT_EQ(batch.first, static_cast<std::uint64_t>(5 * i));
    EXPECT_EQ(batch.images.shape(), (Shape{5, 1, 4, 4}));
    for (index_t b = 0; b < 5; ++b) {
      const auto image = batch.images.span().subspan(static_cast<std::size_t>(b) * 16, 16);
      seen[i / 2].insert({image.begin(), image.end()});
      order[i / 2].push_back(image[0]);
    }
  }
  EXPECT_EQ(seen[0].size(), 10u);
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_NE(order[0], order[1]);
}

TEST(Batches, AreAFunctionOfSeedAndIndex) {
  const auto data = std::make_shared<ToyDataset>(10, 6, 2);
  const Augmentation varied{2, true};
  Batches forward(data, 4, 3, varied), again(data, 4, 3, varied), other(data, 4, 4, varied);
  std::vector<std::vector<float>> seen;
  for (index_t i = 0; i < 6; ++i) seen.push_back(values(forward(i).images));
  set_num_threads(3);
  for (const index_t i : {5, 0, 3, 1})
    EXPECT_EQ(values(again(i).images), seen[static_cast<std::size_t>(i)]) << i;
  set_num_threads(0);
  EXPECT_NE(values(other(0).images), seen[0]);
}

TEST(Batches, ShiftsFillWithBlack) {
  const auto data = std::make_shared<ToyDataset>(1, 4, 1);
  Batches plain(data, 1, 3), shifted(data, 64, 3, {1, false});
  const std::vector<float> image = values(plain(0).images);
  const Batch batch = shifted(0);
  std::set<std::vector<float>> expected, seen;
  for (index_t dy = -1; dy <= 1; ++dy)
    for (index_t dx = -1; dx <= 1; ++dx) {
      std::vector<float> moved(16, 0.0f);
      for (index_t y = 0; y < 4; ++y)
        for (index_t x = 0; x < 4; ++x)
          if (y - dy >= 0 && y - dy < 4 && x - dx >= 0 && x - dx < 4)
            moved[static_cast<std::size_t>(y * 4 + x)] =
                image[static_cast<std::size_t>((y - dy) * 4 + x - dx)];
      expected.insert(moved);
    }
  for (std::size_t b = 0; b < 64; ++b) {
    const auto one = batch.images.span().subspan(b * 16, 16);
    seen.insert({one.begin(), one.end()});
  }
  EXPECT_EQ(seen, expected);
}

TEST(Batches, RefusesInvalidArguments) {
  EXPECT_THROW(Batches(nullptr, 1, 0), ArgumentError);
  EXPECT_THROW(Batches(std::make_shared<ToyDataset>(0), 1, 0), ArgumentError);
  EXPECT_THROW(Batches(std::make_shared<ToyDataset>(4), 0, 0), ArgumentError);
  EXPECT_THROW(Batches(std::make_shared<ToyDataset>(4), 1, 0, {-1, false}), ArgumentError);
}

}  // namespace
}  // namespace rae::test
