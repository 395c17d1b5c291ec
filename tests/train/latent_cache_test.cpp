// Kept latents are those that the encoder gives for each batch, bit for bit.
#include "train/latent_cache.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "rae/core/owner.hpp"
#include "rae/models/initialize.hpp"
#include "support/temp_folder.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

/// Counts how often pictures are read; they do not depend on the epoch unless `varies`.
class CountedPictures final : public ImageDataset {
 public:
  explicit CountedPictures(bool varies) : varies_(varies) {}
  index_t size() const override { return kPictures; }
  int channels() const override { return 3; }
  index_t height() const override { return 8; }
  index_t width() const override { return 8; }
  const std::vector<std::string>& class_names() const override { return names_; }
  bool varies_by_epoch() const override { return varies_; }
  [[nodiscard]] index_t readings() const { return readings_; }

  static constexpr index_t kPictures = 13;

 protected:
  void load(index_t i, std::span<float> out, std::uint64_t epoch) const override {
    ++readings_;
    const Philox random(3, static_cast<std::uint64_t>(i) + (varies_ ? 100 * epoch : 0));
    for (std::size_t k = 0; k < out.size(); ++k) out[k] = random.uniform(k);
  }
  index_t load_label(index_t i) const override { return i % 2; }

 private:
  bool varies_;
  std::vector<std::string> names_{"a", "b"};
  mutable std::atomic<index_t> readings_ = 0;
};

class Latents : public ::testing::Test {
 protected:
  Latents() {
    Encoder<Tensor<float>> network(EncoderConfig{.family = EncoderFamily::siglip2,
                                                 .patch_size = 4,
                                                 .channels = 3,
                                                 .hidden_size = 32,
                                                 .num_layers = 2,
                                                 .num_heads = 2,
                                                 .intermediate_size = 64,
                                                 .table_h = 2,
                                                 .table_w = 2});
    init_default(network, 5);
    pack_parameters(network);
    // Numbers whose normalisation rounds.
    LatentNorm<float> norm{Tensor<float>(Shape{32, 2, 2}), Tensor<float>(Shape{32, 2, 2})};
    for (index_t i = 0; i < 32 * 2 * 2; ++i) {
      norm.mean[i] = 0.1f * static_cast<float>(i % 7);
      norm.var[i] = 0.3f + 0.07f * static_cast<float>(i % 11);
    }
    autoencoder_.emplace(encoder_network(std::move(network)),
                         OwnedPointer<const Decoder<Tensor<float>>>{},
                         RaeSettings<float>{.latent_norm = norm});
  }

  /// Batches of 6 over three epochs, against the encoder on every batch.
  void expect_equal(const OwnedPointer<const ImageDataset>& data, const Augmentation& augmentation,
                    index_t most_bytes = detail::kKeptLatentBytes, const KeptLatents& kept = {}) {
    detail::LatentCache cache(data, *autoencoder_, 6, 9, augmentation, most_bytes, kept);
    Batches batches(data, 6, 9, augmentation);
    for (const index_t i : {0, 1, 2, 3, 4, 5, 6, 2}) {
      SCOPED_TRACE(i);
      const index_t begin = i % 3, end = 6 - i % 2;  // of one rank
      const Batch batch = batches(i, begin, end);
      const Tensor<float> expected = autoencoder_->encode(batch.images);  // (B, C, h, w)
      const LatentBatch got = cache(i, begin, end);
      EXPECT_EQ(got.labels, batch.labels);
      EXPECT_EQ(got.first, batch.first);
      ASSERT_EQ(got.latents.shape(), expected.shape());
      EXPECT_TRUE(
          std::equal(expected.span().begin(), expected.span().end(), got.latents.span().begin()));
    }
  }

  std::optional<Rae<float>> autoencoder_;
};

TEST_F(Latents, AreThoseOfTheEncoder) {
  for (const bool varies : {false, true})
    for (const bool flip : {false, true})
      for (const index_t shift : {0, 1}) {
        SCOPED_TRACE(concat(varies, flip, shift));
        expect_equal(std::make_shared<CountedPictures>(varies), {.shift = shift, .flip = flip});
      }
}

TEST_F(Latents, OfPicturesWithHolesAreNotKept) {
  expect_equal(std::make_shared<CountedPictures>(false), {.cutout = 2});
}

TEST_F(Latents, AreKeptWhileTheMemorySuffices) {
  constexpr index_t kBytes = 32 * 2 * 2 * 4;  // of a latent
  expect_equal(std::make_shared<CountedPictures>(false), {}, 5 * kBytes);
  for (const index_t kept : {0, 5, 100}) {
    const auto data = std::make_shared<CountedPictures>(false);
    detail::LatentCache cache(data, *autoencoder_, CountedPictures::kPictures, 9, {},
                              kept * kBytes);
    for (index_t epoch = 0; epoch < 4; ++epoch) (void)cache(epoch, 0, CountedPictures::kPictures);
    EXPECT_EQ(data->readings(),
              4 * CountedPictures::kPictures - 3 * std::min(kept, CountedPictures::kPictures));
  }
}

TEST_F(Latents, InAFileAreThoseOfTheEncoder) {
  const TempFolder folder;
  for (const bool flip : {false, true})
    for (int run = 0; run < 2; ++run)  // the second finds all in the file
      expect_equal(std::make_shared<CountedPictures>(false), {.flip = flip}, 0,
                   {folder / (flip ? "mirrored" : "latents.safetensors"), "a"});
  const auto data = std::make_shared<CountedPictures>(false);
  for (const auto& [identity, readings] : {std::pair("a", 0), std::pair("b", 13), {"b", 0}}) {
    const index_t before = data->readings();
    detail::LatentCache cache(data, *autoencoder_, CountedPictures::kPictures, 9, {}, 0,
                              {folder / "latents.safetensors", identity});
    (void)cache(0, 0, CountedPictures::kPictures);
    (void)cache(1, 0, CountedPictures::kPictures);
    EXPECT_EQ(data->readings() - before, readings) << identity;
  }
}

TEST_F(Latents, OfVaryingPicturesMakeNoFile) {
  const TempFolder folder;
  expect_equal(std::make_shared<CountedPictures>(true), {}, 0, {folder / "l.safetensors", "a"});
  expect_equal(std::make_shared<CountedPictures>(false), {.shift = 1}, 0,
               {folder / "l.safetensors", "a"});
  EXPECT_FALSE(std::filesystem::exists(folder / "l.safetensors"));
}

TEST_F(Latents, AreRoundedInTheFileAndInMemoryAlike) {
  const TempFolder folder;
  const auto data = std::make_shared<CountedPictures>(false);
  Tensor<float> first;  // (B, C, h, w)
  for (const index_t bytes : {0, 1, 1 << 20})
    for (const std::string file : {"", "latents.safetensors"}) {
      detail::LatentCache cache(data, *autoencoder_, 6, 9, {.flip = true}, bytes,
                                {file.empty() ? "" : folder / file, "a", DType::bf16});
      for (int time = 0; time < 2; ++time) {
        const Tensor<float> got = cache(3, 0, 6).latents;  // (B, C, h, w)
        if (first.empty()) first = got;
        EXPECT_TRUE(std::equal(first.span().begin(), first.span().end(), got.span().begin()));
      }
    }
  const Tensor<float> exact =
      autoencoder_->encode(Batches(data, 6, 9, {.flip = true})(3).images);  // (B, C, h, w)
  double most = 0;
  for (index_t i = 0; i < exact.numel(); ++i)
    most = std::max(most, std::abs(static_cast<double>(exact[i] - first[i])));
  EXPECT_GT(most, 0);
  EXPECT_LT(most, 0.05);
}

TEST_F(Latents, OfTheStatisticsAreExactAndStayInTheFile) {
  const TempFolder folder;
  const auto data = std::make_shared<CountedPictures>(false);
  for (const DType stored : {DType::f32, DType::bf16}) {
    const KeptLatents kept{folder / std::string(name_of(stored)), "a", stored};
    Tensor<float> expected(Shape{0});  // (N, C, h, w)
    for (int run = 0; run < 2; ++run) {
      const index_t before = data->readings();
      detail::LatentCache cache(data, *autoencoder_, 1, 0, {}, 0, kept);
      const Tensor<float> got = cache.exact(0, CountedPictures::kPictures);  // (N, C, h, w)
      EXPECT_EQ(data->readings() - before,
                run == 1 && stored == DType::f32 ? 0 : CountedPictures::kPictures);
      if (run == 0) expected = got;
      EXPECT_TRUE(std::equal(got.span().begin(), got.span().end(), expected.span().begin()));
    }
    const index_t before = data->readings();
    detail::LatentCache training(data, *autoencoder_, CountedPictures::kPictures, 9, {}, 0, kept);
    (void)training(0, 0, CountedPictures::kPictures);
    EXPECT_EQ(data->readings(), before);
  }
}

}  // namespace
}  // namespace rae::test
