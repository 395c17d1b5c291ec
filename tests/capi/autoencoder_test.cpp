// rae_autoencoder and rae_latents against Autoencoder.
#include "rae/generate/autoencoder.hpp"

#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "capi/model_file.hpp"
#include "rae/rae.h"

namespace rae::test {
namespace {

class CAutoencoder : public testing::Test {
 protected:
  void SetUp() override {
    for (std::size_t i = 0; i < pixels_.size(); ++i)
      pixels_[i] = static_cast<std::uint8_t>(37 * i % 251);
    ASSERT_EQ(rae_autoencoder_load(file_.path().c_str(), nullptr, &autoencoder_), RAE_OK)
        << rae_last_error();
    ASSERT_EQ(rae_image_create(pixels_.data(), RAE_PIXELS_RGB8, 20, 15, 0, &image_), RAE_OK);
    picture_ = Image(20, 15, 3);
    std::copy(pixels_.begin(), pixels_.end(), picture_.pixels().begin());
  }
  void TearDown() override {
    EXPECT_EQ(rae_image_free(image_), RAE_OK);
    EXPECT_EQ(rae_autoencoder_free(autoencoder_), RAE_OK);
  }

  ModelFile file_;
  Autoencoder expected_ = Autoencoder::load(file_.path());
  std::array<std::uint8_t, 900> pixels_{};
  Image picture_;
  rae_autoencoder* autoencoder_ = nullptr;
  rae_image* image_ = nullptr;
};

TEST_F(CAutoencoder, AgreesWithTheAutoencoder) {
  const rae_image* const images[] = {image_, image_};
  rae_latents* z = nullptr;
  ASSERT_EQ(rae_autoencoder_encode(autoencoder_, images, 2, &z), RAE_OK) << rae_last_error();
  const Tensor<float> expected = expected_.encode(std::vector<Image>{picture_, picture_});
  EXPECT_TRUE(has_values(z, expected));  // (B, C, h, w)
  rae_image* decoded[2];
  ASSERT_EQ(rae_autoencoder_decode(autoencoder_, z, decoded, 2), RAE_OK);
  EXPECT_EQ(taken(decoded, 2), expected_.decode(expected));
  EXPECT_EQ(rae_latents_free(z), RAE_OK);
  rae_image *prepared = nullptr, *again = nullptr;
  ASSERT_EQ(rae_autoencoder_prepare(autoencoder_, image_, &prepared), RAE_OK);
  EXPECT_EQ(taken(&prepared, 1).at(0), expected_.prepare(picture_));
  ASSERT_EQ(rae_autoencoder_reconstruct(autoencoder_, image_, &again), RAE_OK);
  EXPECT_EQ(taken(&again, 1).at(0), expected_.reconstruct(picture_));
}

TEST_F(CAutoencoder, IsCopiedAndDescribed) {
  rae_autoencoder* copy = nullptr;
  ASSERT_EQ(rae_autoencoder_copy(autoencoder_, &copy), RAE_OK);
  EXPECT_EQ(rae_autoencoder_cancel(copy), RAE_OK);
  rae_model_info info{};
  info.size = sizeof info;
  ASSERT_EQ(rae_autoencoder_info(copy, &info), RAE_OK);
  EXPECT_STREQ(info.name, "tiny");
  EXPECT_EQ(info.dtype, nullptr);
  EXPECT_EQ(info.image_width, 12);
  EXPECT_EQ(rae_autoencoder_free(copy), RAE_OK);
  ASSERT_EQ(rae_autoencoder_builtin(nullptr, nullptr, &copy), RAE_OK);
  EXPECT_EQ(rae_autoencoder_free(copy), RAE_OK);
}

TEST_F(CAutoencoder, RefusesWrongArguments) {
  rae_latents* z = nullptr;
  EXPECT_EQ(rae_autoencoder_encode(autoencoder_, nullptr, 1, &z), RAE_ERROR_ARGUMENT);
  const rae_image* const images[] = {image_, nullptr};
  EXPECT_EQ(rae_autoencoder_encode(autoencoder_, images, 2, &z), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(rae_autoencoder_encode(autoencoder_, images, 0, &z), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(z, nullptr);
  std::vector<float> values(96, std::numeric_limits<float>::quiet_NaN());
  const std::int64_t shape[] = {1, 16, 2, 3};
  ASSERT_EQ(rae_latents_create(values.data(), shape, &z), RAE_OK);
  rae_image* decoded[1];
  EXPECT_EQ(rae_autoencoder_decode(autoencoder_, z, decoded, 1), RAE_ERROR_NUMERIC);
  EXPECT_EQ(rae_autoencoder_decode(autoencoder_, z, decoded, 0), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(decoded[0], nullptr);
  EXPECT_EQ(rae_latents_free(z), RAE_OK);
}

TEST(CLatents, AreSavedAndLoaded) {
  const TempFolder folder;
  const float values[] = {1, 2, 3, 4, 5, 6};
  const std::int64_t shape[] = {1, 3, 1, 2};
  const std::string path = folder / "z.safetensors";
  rae_latents *z = nullptr, *again = nullptr;
  ASSERT_EQ(rae_latents_create(values, shape, &z), RAE_OK);
  ASSERT_EQ(rae_latents_save(z, path.c_str()), RAE_OK);
  ASSERT_EQ(rae_latents_load(path.c_str(), &again), RAE_OK);
  EXPECT_TRUE(has_values(again, Tensor<float>(Shape{1, 3, 1, 2}, {1, 2, 3, 4, 5, 6})));
  EXPECT_EQ(rae_latents_free(z), RAE_OK);
  EXPECT_EQ(rae_latents_free(again), RAE_OK);
}

TEST(CLatents, RefuseWrongShapes) {
  const float values[] = {1};
  rae_latents* z = nullptr;
  const std::int64_t empty[] = {1, 0, 1, 1}, negative[] = {1, 1, -1, 1},
                     huge[] = {INT64_MAX, INT64_MAX, 1, 1};
  EXPECT_EQ(rae_latents_create(values, empty, &z), RAE_ERROR_SHAPE);
  EXPECT_EQ(rae_latents_create(values, negative, &z), RAE_ERROR_SHAPE);
  EXPECT_EQ(rae_latents_create(values, huge, &z), RAE_ERROR_SHAPE);
  EXPECT_EQ(rae_latents_create(nullptr, empty, &z), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(rae_latents_create(values, nullptr, &z), RAE_ERROR_ARGUMENT);
  EXPECT_EQ(z, nullptr);
}

}  // namespace
}  // namespace rae::test
