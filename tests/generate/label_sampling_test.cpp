#include "rae/generate/label_sampling.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

using Labels = std::vector<std::int64_t>;

TEST(LabelSampling, InTurn) {
  const std::array<std::int64_t, 3> classes{4, 2, 7};
  EXPECT_EQ(sample_labels(LabelSampling::in_turn, 5, classes, 1), (Labels{4, 2, 7, 4, 2}));
}

TEST(LabelSampling, EqualGivesEveryClassTheSameNumberInRandomOrder) {
  const std::array<std::int64_t, 4> classes{0, 1, 2, 3};
  const auto labels = sample_labels(LabelSampling::equal, 4000, classes, 1);
  for (const std::int64_t label : classes)
    EXPECT_EQ(std::count(labels.begin(), labels.end(), label), 1000);
  // Each class is spread over the whole set: about 250 of the first 1000 pictures have it, with a
  // standard deviation of 12.
  for (const std::int64_t label : classes)
    EXPECT_NEAR(static_cast<double>(std::count(labels.begin(), labels.begin() + 1000, label)), 250,
                60);
  EXPECT_EQ(sample_labels(LabelSampling::equal, 4000, classes, 1), labels);
  EXPECT_NE(sample_labels(LabelSampling::equal, 4000, classes, 2), labels);
}

TEST(LabelSampling, RandomDrawsLabelsIndependently) {
  const std::array<std::int64_t, 2> classes{3, 9};
  const auto labels = sample_labels(LabelSampling::random, 10000, classes, 5);
  const auto threes = std::count(labels.begin(), labels.end(), 3);
  EXPECT_NEAR(static_cast<double>(threes), 5000, 250);
  EXPECT_EQ(std::count(labels.begin(), labels.end(), 9), 10000 - threes);
  // A longer set begins with the labels of a shorter one.
  const auto longer = sample_labels(LabelSampling::random, 10001, classes, 5);
  EXPECT_TRUE(std::equal(labels.begin(), labels.end(), longer.begin()));
}

// The expected labels are arange(3).repeat_interleave(4)[randperm(12)] and randint(0, 3, (12,)) of
// a torch.Generator with seed 5.
TEST(LabelSampling, AgreesWithTheOfficialScriptAndPyTorch) {
  const std::array<std::int64_t, 3> classes{0, 1, 2};
  TorchCpuGenerator first(5), second(5);
  EXPECT_EQ(sample_labels(LabelSampling::equal, 12, classes, first),
            (Labels{2, 0, 2, 1, 2, 0, 1, 1, 2, 1, 0, 0}));
  EXPECT_EQ(sample_labels(LabelSampling::random, 12, classes, second),
            (Labels{2, 0, 1, 0, 2, 1, 1, 2, 0, 1, 1, 0}));
}

TEST(LabelSampling, RefusesCountsThatCannotBeEqual) {
  const std::array<std::int64_t, 3> classes{0, 1, 2};
  const auto message =
      message_of<ArgumentError>([&] { (void)sample_labels(LabelSampling::equal, 10, classes, 0); });
  EXPECT_NE(message.find("10 pictures cannot be divided equally among 3 classes; use 9 or 12"),
            std::string::npos)
      << message;
  EXPECT_NE(message_of<ArgumentError>([&] {
              (void)sample_labels(LabelSampling::equal, 2, classes, 0);
            }).find("use 3"),
            std::string::npos);
  EXPECT_THROW((void)sample_labels(LabelSampling::random, 0, classes, 0), ArgumentError);
  EXPECT_THROW((void)sample_labels(LabelSampling::random, 3, {}, 0), ArgumentError);
}

TEST(LabelSampling, NamesAreParsed) {
  for (const LabelSampling sampling :
       {LabelSampling::in_turn, LabelSampling::equal, LabelSampling::random})
    EXPECT_EQ(parse_label_sampling(name_of(sampling)), sampling);
  EXPECT_THROW((void)parse_label_sampling("even"), ArgumentError);
}

}  // namespace
}  // namespace rae::test
