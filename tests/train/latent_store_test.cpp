// A file of latents gives back what was written, and nothing else.
#include "train/latent_store.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "rae/error.hpp"
#include "rae/io/safetensors.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

const Shape kLatent{2, 1, 3};  // (C, h, w)

std::vector<float> latent_of(int i) {
  std::vector<float> out(6);
  for (std::size_t k = 0; k < out.size(); ++k)
    out[k] = 0.1f + static_cast<float>(i) + 0.01f * static_cast<float>(k);
  return out;
}

std::vector<float> read(const detail::LatentStore& store, index_t i) {
  std::vector<float> out(6);
  return store.get(i, out) ? out : std::vector<float>{};
}

TEST(LatentStore, GivesBackWhatWasWrittenAlsoToALaterRun) {
  const TempFolder folder;
  for (int run = 0; run < 2; ++run) {
    detail::LatentStore store(folder / "l", "a", 5, kLatent, DType::f32);
    for (const int i : {0, 1, 2, 3, 4}) {
      EXPECT_EQ(store.contains(i), run == 1 && i != 1);
      if (run == 0 && i != 1) store.put(i, latent_of(i));
      EXPECT_EQ(read(store, i), i == 1 ? std::vector<float>{} : latent_of(i));
    }
  }
  const auto bytes = static_cast<double>(fs::file_size(folder / "l"));
  EXPECT_NEAR(bytes, static_cast<double>(detail::LatentStore::bytes_of(5, kLatent, DType::f32)),
              64);
}

TEST(LatentStore, IsASafetensorsFile) {
  const TempFolder folder;
  {
    detail::LatentStore store(folder / "l", "some encoder", 3, kLatent, DType::f32);
    store.put(2, latent_of(2));
  }
  const SafetensorsFile file = SafetensorsFile::open(folder / "l");
  EXPECT_EQ(file.metadata().at("identity"), "some encoder");
  const auto latents = file.read<float>("latent", Shape{3, 2, 1, 3});  // (N, C, h, w)
  EXPECT_EQ(latents[2 * 6 + 5], latent_of(2)[5]);
  const auto checks = file.read<std::int64_t>("check", Shape{3});  // (N)
  EXPECT_EQ(checks[0], 0);
  EXPECT_EQ(checks[2] >> 32, 1);
}

TEST(LatentStore, OfAnotherIdentityShapeOrTypeIsMadeAgain) {
  const TempFolder folder;
  const auto fill = [&] {
    detail::LatentStore store(folder / "l", "a", 3, kLatent, DType::f32);
    store.put(1, latent_of(1));
  };
  const auto expect_empty = [&](const std::string& identity, index_t count, const Shape& latent,
                                DType type) {
    fill();
    const detail::LatentStore store(folder / "l", identity, count, latent, type);
    EXPECT_FALSE(store.contains(1));
    EXPECT_EQ(SafetensorsFile::open(folder / "l").metadata().at("identity"), identity);
  };
  expect_empty("b", 3, kLatent, DType::f32);
  expect_empty("a", 4, kLatent, DType::f32);
  expect_empty("a", 3, {3, 1, 2}, DType::f32);
  expect_empty("a", 3, kLatent, DType::bf16);
  fill();
  EXPECT_TRUE(detail::LatentStore(folder / "l", "a", 3, kLatent, DType::f32).contains(1));
  folder.write("l", "something else");
  EXPECT_FALSE(detail::LatentStore(folder / "l", "a", 3, kLatent, DType::f32).contains(1));
}

TEST(LatentStore, DamagedLatentsAreMissing) {
  const TempFolder folder;
  {
    detail::LatentStore store(folder / "l", "a", 3, kLatent, DType::f32);
    for (const int i : {0, 1, 2}) store.put(i, latent_of(i));
  }
  std::fstream file(folder / "l", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);  // in latent 2
  file.put('\x55');
  file.close();
  detail::LatentStore store(folder / "l", "a", 3, kLatent, DType::f32);
  EXPECT_EQ(read(store, 1), latent_of(1));
  EXPECT_TRUE(read(store, 2).empty());
  store.put(2, latent_of(2));
  EXPECT_EQ(read(store, 2), latent_of(2));
}

TEST(LatentStore, RoundsToItsType) {
  const TempFolder folder;
  detail::LatentStore store(folder / "l", "a", 3, kLatent, DType::bf16);
  store.put(2, latent_of(2));
  const std::vector<float> got = read(store, 2);
  ASSERT_EQ(got.size(), 6u);
  for (std::size_t k = 0; k < 6; ++k) EXPECT_EQ(got[k], static_cast<float>(bf16(latent_of(2)[k])));
  EXPECT_LT(detail::LatentStore::bytes_of(1000, kLatent, DType::bf16),
            detail::LatentStore::bytes_of(1000, kLatent, DType::f32));
}

TEST(LatentStore, ThatCannotBeWrittenIsAnError) {
  const TempFolder folder;
  EXPECT_THROW(detail::LatentStore(folder / "none/l", "a", 3, kLatent, DType::f32), FileError);
  EXPECT_THROW(detail::LatentStore(folder.path(), "a", 3, kLatent, DType::f32), FileError);
  // More than any disk has.
  EXPECT_THROW(
      detail::LatentStore(folder / "l", "a", 1000, Shape{1 << 20, 1 << 10, 1 << 10}, DType::f32),
      FileError);
}

}  // namespace
}  // namespace rae::test
