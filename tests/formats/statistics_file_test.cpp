// Files of statistics under all names that programs use, and files that are none.
#include "formats/statistics_file.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "rae/formats/official/open.hpp"
#include "rae/io/safetensors.hpp"
#include "support/official_files.hpp"
#include "support/torch_files.hpp"

namespace rae::test {
namespace {

using Entries = std::vector<SafetensorsEntry>;

const Shape kLatentShape{3, 2, 2};

class StatisticsFile : public testing::Test {
 protected:
  [[nodiscard]] std::string write(const Entries& entries) const {
    write_safetensors(folder_ / "stat.safetensors", entries);
    return folder_ / "stat.safetensors";
  }
  [[nodiscard]] LatentNorm<float> read(const Entries& entries) const {
    return detail::read_statistics(write(entries), kLatentShape, "stage_1");
  }
  template <class E = FormatError>
  void expect_refused(const Entries& entries, const std::vector<std::string>& parts) const {
    const std::string message = message_of<E>([&] { (void)read(entries); });
    for (const std::string& part : parts)
      EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' in: " << message;
    EXPECT_NE(message.find("stat.safetensors"), std::string::npos) << message;
  }

  TempFolder folder_;
  const Tensor<float> mean_{kLatentShape, -0.5f}, var_{kLatentShape, 4.0f},
      std_{kLatentShape, 3.0f};
};

TEST_F(StatisticsFile, EveryNameIsRead) {
  for (const std::string place : {"", "stats.", "latent_stats."}) {
    for (const std::string mean : {"mean", "latents_mean", "latent_mean", "_latents_mean"}) {
      for (const std::string var : {"var", "latents_var", "latent_var"}) {
        const auto norm = read({{place + mean, mean_}, {place + var, var_}});
        EXPECT_EQ(norm.mean[11], -0.5f) << place << mean;
        EXPECT_EQ(norm.var[11], 4.0f) << place << var;
      }
      for (const std::string std : {"std", "latents_std", "latent_std", "_latents_std"}) {
        const auto norm = read({{place + mean, mean_}, {place + std, std_}});
        EXPECT_EQ(norm.mean[0], -0.5f) << place << mean;
        EXPECT_EQ(norm.var[0], 9.0f) << place << std;
      }
    }
  }
  // The variance is preferred, and one of the two may be absent.
  EXPECT_EQ(read({{"std", std_}, {"var", var_}}).var[5], 4.0f);
  EXPECT_TRUE(read({{"std", std_}}).mean.empty());
  EXPECT_EQ(read({{"mean", mean_}, {"count", var_}}).var[5], 1.0f);
}

TEST_F(StatisticsFile, ShapesAreBroadcast) {
  const auto norm = read({{"mean", Tensor<float>(Shape{1, 3, 1, 1}, {1.0f, 2.0f, 3.0f})},
                          {"std", Tensor<float>(Shape{1}, 2.0f)}});
  EXPECT_EQ(norm.mean[11], 3.0f);
  EXPECT_EQ(norm.var[11], 4.0f);
  for (const Shape& shape : {Shape{4, 2, 2}, Shape{2, 3, 2, 2}, Shape{3, 4}, Shape{3}, Shape{}}) {
    expect_refused<ShapeError>({{"std", Tensor<float>(shape, 1.0f)}},
                               {"'std' is ", "stage_1 makes latents (3, 2, 2)"});
    expect_refused<ShapeError>({{"stats.latents_mean", Tensor<float>(shape, 1.0f)}},
                               {"'latents_mean' is "});
  }
}

TEST_F(StatisticsFile, WrongValuesAreRefused) {
  const auto with = [](float value) {
    Tensor<float> out(kLatentShape, 1.0f);  // (3, 2, 2)
    out[7] = value;
    return out;
  };
  for (const float value : {std::nanf(""), INFINITY}) {
    expect_refused({{"mean", with(value)}}, {"'mean' has the value"});
    expect_refused({{"var", with(value)}}, {"'var' has the value"});
    expect_refused({{"std", with(value)}}, {"'std' has the value"});
  }
  expect_refused({{"var", with(-1)}}, {"'var' has the value -1"});
  expect_refused({{"latents_std", with(-1)}}, {"'latents_std' has the value -1"});
  expect_refused({{"std", with(1e30f)}}, {"'std' has the value", "not a valid variance"});
  EXPECT_EQ(read({{"mean", with(-1)}}).mean[7], -1.0f);
}

TEST_F(StatisticsFile, OtherFilesListTheirKeys) {
  expect_refused({{"avg", mean_}, {"variance", var_}},
                 {"no statistics of latents", "expected 'mean' and 'var'", "'avg', 'variance'"});
  expect_refused({{"other.mean", mean_}}, {"'other.mean'"});
  Entries many;
  for (int i = 0; i < 20; ++i) many.push_back({concat("w", i), mean_});
  expect_refused(many, {"'w0', 'w1'", "'w7' and 12 more"});
  expect_refused({}, {"found no tensor"});
}

// A NumPy array is not read, so that it must not count as an absent mean.
TEST_F(StatisticsFile, AnArrayOfNumPyIsNamed) {
  using namespace torch;
  const std::string path = folder_.write(
      "stat.pt", saved(dict({{"mean", global("numpy.core.multiarray", "_reconstruct") + ")R"},
                             {"var", tensor_of_six(0, {6}, {1})}}),
                       {{"0", std::string(24, '\0')}}));
  const std::string message = message_of<FormatError>(
      [&] { (void)detail::read_statistics(path, kLatentShape, "stage_1"); });
  for (const std::string part : {"stat.pt: the tensor mean cannot be read", "_reconstruct"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

// The decoder's weights instead of statistics gave a mean of 0 and a variance of 1 without a word.
TEST_F(StatisticsFile, WeightsOfADecoderAreRefusedByOfficialModels) {
  const OfficialFolder folder;
  const std::string config =
      folder.config({"stage_1.params.normalization_stat_path=decoder/model.pt"});
  const std::string message = message_of<FormatError>([&] { (void)open_official(config); });
  for (const std::string part :
       {"decoder/model.pt", "no statistics of latents", "'decoder_pos_embed'"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

}  // namespace
}  // namespace rae::test
