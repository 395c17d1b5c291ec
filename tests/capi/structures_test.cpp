// Structures of older and newer versions of the interface.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "capi/model_file.hpp"
#include "rae/generate/generator.hpp"
#include "rae/rae.h"

namespace rae::test {
namespace {

/// A structure in more bytes than it has, which a newer version may use.
template <class S>
union Longer {
  S structure;
  std::array<unsigned char, sizeof(S) + 24> bytes;
};

constexpr std::int64_t kLabel = 1;

class CStructures : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(rae_generator_load(file_.path().c_str(), nullptr, &generator_), RAE_OK);
    expected_ = Generator::load(file_.path()).sample({.labels = {kLabel}, .seed = 3});
  }
  void TearDown() override { EXPECT_EQ(rae_generator_free(generator_), RAE_OK); }

  rae_status sample(const rae_sample_options& options) {
    rae_image* image = nullptr;
    const rae_status status = rae_generator_sample(generator_, &options, &image, 1);
    if (status == RAE_OK) {
      EXPECT_EQ(taken(&image, 1), expected_);
    }
    return status;
  }
  static void request(rae_sample_options& options) {
    options.labels = &kLabel;
    options.label_count = 1;
    options.seed = 3;
  }

  ModelFile file_;
  rae_generator* generator_ = nullptr;
  std::vector<Image> expected_;
};

TEST_F(CStructures, AShorterOneHasDefaultsInTheRest) {
  // An older version would have ended before `steps`; the bytes from there on are not its own.
  constexpr std::size_t kOld = offsetof(rae_sample_options, steps);
  Longer<rae_sample_options> options;
  options.bytes.fill(0xab);
  ASSERT_EQ(rae_sample_options_init(&options.structure, kOld), RAE_OK);
  for (std::size_t i = kOld; i < options.bytes.size(); ++i) ASSERT_EQ(options.bytes[i], 0xab) << i;
  EXPECT_EQ(options.structure.size, kOld);
  request(options.structure);
  EXPECT_EQ(sample(options.structure), RAE_OK);
}

TEST_F(CStructures, ALongerOneMustHaveZerosInTheRest) {
  Longer<rae_sample_options> options;
  options.bytes.fill(0xab);
  ASSERT_EQ(rae_sample_options_init(&options.structure, sizeof options), RAE_OK);
  request(options.structure);
  EXPECT_EQ(sample(options.structure), RAE_OK);
  options.bytes.back() = 1;
  EXPECT_EQ(sample(options.structure), RAE_ERROR_ARGUMENT);
  EXPECT_NE(std::strstr(rae_last_error(), "does not have"), nullptr);
}

TEST_F(CStructures, RefusesOtherSizes) {
  rae_sample_options options{};
  request(options);
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{1} << 40}) {
    options.size = size;
    EXPECT_EQ(sample(options), RAE_ERROR_ARGUMENT) << size;
    EXPECT_EQ(rae_sample_options_init(&options, size), RAE_ERROR_ARGUMENT) << size;
  }
  EXPECT_EQ(rae_sample_options_init(nullptr, sizeof options), RAE_ERROR_ARGUMENT);
  rae_load_options load{};
  rae_generator* generator = nullptr;
  EXPECT_EQ(rae_generator_load(file_.path().c_str(), &load, &generator), RAE_ERROR_ARGUMENT);
}

TEST_F(CStructures, ResultsAreWrittenAsFarAsTheyAreKnown) {
  Longer<rae_model_info> info;
  info.bytes.fill(0xab);
  info.structure.size = offsetof(rae_model_info, image_channels);
  ASSERT_EQ(rae_generator_info(generator_, &info.structure), RAE_OK);
  EXPECT_EQ(info.structure.null_class, 3);
  EXPECT_EQ(info.structure.size, offsetof(rae_model_info, image_channels));
  EXPECT_EQ(info.bytes[offsetof(rae_model_info, image_channels)], 0xab);
  info.structure.size = sizeof info;
  ASSERT_EQ(rae_generator_info(generator_, &info.structure), RAE_OK);
  EXPECT_EQ(info.structure.steps, 4);
  EXPECT_EQ(info.bytes.back(), 0);
  info.structure.size = 0;
  EXPECT_EQ(rae_generator_info(generator_, &info.structure), RAE_ERROR_ARGUMENT);
}

}  // namespace
}  // namespace rae::test
