// Null, freed and foreign handles end in an error, and errors belong to their thread.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "capi/model_file.hpp"
#include "rae/rae.h"

namespace rae::test {
namespace {

constexpr std::uint8_t kPixels[] = {1, 2, 3, 4, 5, 6};

rae_image* small_image() {
  rae_image* image = nullptr;
  EXPECT_EQ(rae_image_create(kPixels, RAE_PIXELS_GRAY8, 3, 2, 0, &image), RAE_OK);
  return image;
}

/// True if the last error was ARGUMENT and its message contains `part`.
testing::AssertionResult refused(rae_status status, const char* part) {
  if (status == RAE_ERROR_ARGUMENT && rae_last_status() == status &&
      std::strstr(rae_last_error(), part) != nullptr)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << rae_status_name(status) << ": " << rae_last_error();
}

TEST(CHandles, NullIsRefusedAndCanBeFreed) {
  std::int64_t number = 0;
  rae_model_info info{};
  info.size = sizeof info;
  rae_latents* latents = nullptr;
  const float* values = nullptr;
  EXPECT_TRUE(refused(rae_image_size(nullptr, &number, nullptr, nullptr), "'image', got null"));
  EXPECT_TRUE(refused(rae_latents_data(nullptr, &values, nullptr), "'latents', got null"));
  EXPECT_TRUE(refused(rae_generator_info(nullptr, &info), "'generator', got null"));
  EXPECT_TRUE(refused(rae_generator_cancel(nullptr), "null"));
  EXPECT_TRUE(refused(rae_autoencoder_encode(nullptr, nullptr, 0, &latents), "'autoencoder'"));
  EXPECT_TRUE(refused(rae_image_save(nullptr, "x.png"), "null"));
  EXPECT_EQ(rae_image_free(nullptr), RAE_OK);
  EXPECT_EQ(rae_latents_free(nullptr), RAE_OK);
  EXPECT_EQ(rae_generator_free(nullptr), RAE_OK);
  EXPECT_EQ(rae_autoencoder_free(nullptr), RAE_OK);
}

TEST(CHandles, FreedHandlesStayInvalid) {
  rae_image* image = small_image();
  ASSERT_EQ(rae_image_free(image), RAE_OK);
  rae_image* next = small_image();  // does not revive the handle
  EXPECT_NE(image, next);
  const std::uint8_t* samples = nullptr;
  EXPECT_TRUE(refused(rae_image_data(image, &samples, nullptr), "one that was freed"));
  EXPECT_TRUE(refused(rae_image_free(image), "one that was freed"));
  EXPECT_EQ(rae_image_free(next), RAE_OK);
}

TEST(CHandles, ForeignHandlesAreRefused) {
  rae_image* image = small_image();
  EXPECT_TRUE(refused(rae_latents_free(reinterpret_cast<rae_latents*>(image)),
                      "'latents', got one of kind 'image'"));
  int other = 0;
  EXPECT_TRUE(refused(rae_image_free(reinterpret_cast<rae_image*>(&other)), "no handle"));
  EXPECT_TRUE(
      refused(rae_image_free(reinterpret_cast<rae_image*>(std::uintptr_t{4})), "no handle"));
  EXPECT_EQ(rae_image_free(image), RAE_OK);
}

TEST(CHandles, ResultsNeedAPlace) {
  EXPECT_TRUE(refused(rae_image_create(kPixels, RAE_PIXELS_GRAY8, 3, 2, 0, nullptr), "null"));
  EXPECT_TRUE(refused(rae_generator_load("x", nullptr, nullptr), "generator is null"));
  rae_generator* generator = nullptr;
  EXPECT_TRUE(refused(rae_generator_load(nullptr, nullptr, &generator), "path is null"));
}

TEST(CErrors, BelongToTheirThread) {
  EXPECT_TRUE(refused(rae_image_save(nullptr, "x.png"), "null"));
  const std::string mine = rae_last_error();
  std::thread other([] {
    EXPECT_STREQ(rae_last_error(), "");
    EXPECT_EQ(rae_last_status(), RAE_OK);
    rae_image* image = nullptr;
    EXPECT_EQ(rae_image_load("/nowhere/x.png", &image), RAE_ERROR_FILE);
    EXPECT_NE(std::strstr(rae_last_error(), "/nowhere/x.png"), nullptr);
  });
  other.join();
  EXPECT_EQ(rae_last_error(), mine);
  EXPECT_EQ(rae_image_free(small_image()), RAE_OK);
  EXPECT_EQ(rae_last_error(), mine) << "success does not change the last error";
}

TEST(CErrors, LongMessagesAreCutBetweenCharacters) {
  for (const std::size_t shift : {0u, 1u}) {
    std::string path = "/" + std::string(shift, 'x');
    for (int i = 0; i < 4000; ++i) path += "\xc3\xa4";  // a letter of two bytes
    rae_image* image = nullptr;
    EXPECT_EQ(rae_image_load(path.c_str(), &image), RAE_ERROR_FILE);
    const std::string message = rae_last_error();
    EXPECT_LT(message.size(), 4096u);
    EXPECT_GT(message.size(), 4000u);
    EXPECT_EQ(message.back(), '\xa4');
  }
}

TEST(CErrors, HaveNames) {
  EXPECT_STREQ(rae_status_name(RAE_OK), "RAE_OK");
  EXPECT_STREQ(rae_status_name(RAE_CANCELLED), "RAE_CANCELLED");
  EXPECT_STREQ(rae_status_name(RAE_ERROR_INTERNAL), "RAE_ERROR_INTERNAL");
  EXPECT_STREQ(rae_status_name(11), "unknown");
  EXPECT_STREQ(rae_status_name(-1), "unknown");
}

TEST(CErrors, ExplainDamagedFiles) {
  const TempFolder folder;
  rae_generator* generator = nullptr;
  const std::string empty = folder.write("empty.safetensors", "");
  EXPECT_EQ(rae_generator_load(empty.c_str(), nullptr, &generator), RAE_ERROR_FORMAT);
  EXPECT_EQ(rae_generator_load((folder / "none").c_str(), nullptr, &generator), RAE_ERROR_FILE);
  rae_latents* latents = nullptr;
  EXPECT_EQ(rae_latents_load(empty.c_str(), &latents), RAE_ERROR_FORMAT);
  EXPECT_EQ(latents, nullptr);
}

TEST(CSystem, HasVersionAndThreads) {
  const int before = rae_threads();
  EXPECT_EQ(rae_set_threads(2), RAE_OK);
  EXPECT_EQ(rae_threads(), 2);
  EXPECT_TRUE(refused(rae_set_threads(-1), "0 to 1024"));
  EXPECT_TRUE(refused(rae_set_threads(1025), "0 to 1024"));
  const std::string version =
      concat(RAE_VERSION_MAJOR, ".", RAE_VERSION_MINOR, ".", RAE_VERSION_PATCH);
  EXPECT_EQ(rae_version(), version);
  EXPECT_NE(std::string(rae_system_info()).find("rae " + version + ", kernels "),
            std::string::npos);
  EXPECT_EQ(rae_set_threads(before), RAE_OK);
}

}  // namespace
}  // namespace rae::test
