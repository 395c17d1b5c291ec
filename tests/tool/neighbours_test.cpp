#include "rae/generate/autoencoder.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

/// A picture whose left part is white.
Image bar(index_t columns) {
  Image out(8, 8, 1);
  for (index_t y = 0; y < 8; ++y)
    for (index_t x = 0; x < columns; ++x) out.pixels()[static_cast<std::size_t>(8 * y + x)] = 255;
  return out;
}

class NeighboursTest : public ToolTest {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    bar(4).save_png(path("in.png"));
    std::filesystem::create_directories(path("data"));
    for (index_t columns = 0; columns <= 8; ++columns)
      bar(columns).save_png(path("data/" + std::to_string(columns) + ".png"));
  }
};

TEST_F(NeighboursTest, WritesAContactSheetNearestFirst) {
  for (const std::string distance : {"cosine", "euclidean"}) {
    const auto result = rae({"neighbours", "in.png", "data", "--model", "m.safetensors", "--count",
                             "2", "--distance", distance});
    EXPECT_EQ(result.status, 0) << result.err;
    // The picture itself is nearest, at distance 0.
    EXPECT_TRUE(contains(result.out, "0.0000  data/4.png\n"));
    const Image sheet = Image::open(path("neighbours.png"));
    EXPECT_EQ(sheet.width(), 3 * 8 + 2 * 2);
    EXPECT_EQ(sheet.cropped(0, 0, 8, 8), bar(4));
    EXPECT_EQ(sheet.cropped(10, 0, 8, 8), bar(4));
    EXPECT_EQ(read_png_text(path("neighbours.png")).at("distance"), distance);
  }
}

TEST_F(NeighboursTest, ShowsAtMostThePicturesThatThereAre) {
  const auto result =
      rae({"neighbours", "in.png", "data", "--model", "m.safetensors", "--count", "100"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "its 9 nearest of 9"));
}

TEST_F(NeighboursTest, RefusesWhatItCannotRead) {
  const auto distance = rae({"neighbours", "in.png", "data", "--distance", "far"});
  EXPECT_EQ(distance.status, 2);
  EXPECT_TRUE(contains(distance.err, "--distance"));
  EXPECT_EQ(rae({"neighbours", "none.png", "data", "--model", "m.safetensors"}).status, 1);
  std::filesystem::create_directories(path("empty"));
  EXPECT_EQ(rae({"neighbours", "in.png", "empty", "--model", "m.safetensors"}).status, 1);
  EXPECT_FALSE(exists("neighbours.png"));
}

}  // namespace
}  // namespace rae::test
