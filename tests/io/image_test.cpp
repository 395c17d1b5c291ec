#include "rae/io/image.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "rae/io/file.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

constexpr index_t kWidth = 23, kHeight = 17;

std::string picture(const std::string& name) { return data_path("io/data/" + name); }

/// Largest difference between the samples of a picture and a file of raw samples.
int worst_difference(const Image& image, const std::string& raw) {
  const auto expected = slurp(picture(raw));
  if (expected.size() != image.pixels().size()) return 1000;
  int worst = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    worst = std::max(worst, std::abs(image.pixels()[i] - static_cast<unsigned char>(expected[i])));
  return worst;
}

/// Converts a tensor (H, W, C) of bytes to a picture.
Image image_of(const Tensor<std::uint8_t>& samples) {
  Image out(samples.extent(1), samples.extent(0), static_cast<int>(samples.extent(2)));
  std::copy(samples.span().begin(), samples.span().end(), out.pixels().begin());
  return out;
}

TEST(Image, DecodesEveryFormat) {
  for (const char* name : {"rgb.png", "interlaced.png", "rgb16.png", "alpha.png", "rgb.bmp"}) {
    const Image image = Image::open(picture(name));
    EXPECT_EQ(image.width(), kWidth) << name;
    EXPECT_EQ(image.height(), kHeight) << name;
    EXPECT_EQ(image.channels(), 3) << name;
    EXPECT_EQ(worst_difference(image, "rgb.raw"), 0) << name;
  }
  EXPECT_EQ(worst_difference(Image::open(picture("palette.png")), "palette.raw"), 0);
  EXPECT_EQ(worst_difference(Image::open(picture("gray.png")), "gray.raw"), 0);
  EXPECT_EQ(worst_difference(Image::open(picture("one_bit.png")), "one_bit.raw"), 0);
  // JPEG decoders may round the inverse transform and interpolate subsampled chroma differently.
  EXPECT_LE(worst_difference(Image::open(picture("baseline.jpg")), "baseline.raw"), 2);
  EXPECT_LE(worst_difference(Image::open(picture("progressive.jpg")), "progressive.raw"), 2);
  EXPECT_EQ(Image::open(picture("gray.jpg")).channels(), 1);
}

TEST(Image, CropsRectanglesLikeSquares) {
  Image image(40, 90, 3);
  for (std::size_t i = 0; i < image.pixels().size(); ++i)
    image.pixels()[i] = static_cast<std::uint8_t>(i * 7 % 251);
  EXPECT_EQ(image.center_crop(12, 12), image.center_crop(12));
  const Image wide = image.center_crop(20, 10), high = image.center_crop(10, 30);
  EXPECT_EQ(wide.width(), 20);
  EXPECT_EQ(wide.height(), 10);
  // It is halved to 20 x 45, which is wide enough, and the middle of its height is taken.
  EXPECT_EQ(wide, image.resized(20, 45, ResizeFilter::box).cropped(0, 17, 20, 10));
  // It needs a scale of 1 / 3: it is halved to 20 x 45, then resized to 13 x 30.
  EXPECT_EQ(high, image.resized(20, 45, ResizeFilter::box).resized(13, 30).cropped(1, 0, 10, 30));
  EXPECT_THROW((void)image.center_crop(0, 10), ArgumentError);
}

TEST(Image, ResizesLikePillow) {
  const Image image = Image::open(picture("rgb.png"));
  EXPECT_EQ(worst_difference(image.resized(31, 9), "resized_31x9.raw"), 0);
  EXPECT_EQ(worst_difference(image.resized(7, 5, ResizeFilter::box), "box_7x5.raw"), 0);
  EXPECT_EQ(image.resized(kWidth, kHeight), image);
  EXPECT_THROW((void)image.resized(0, 5), ArgumentError);
  EXPECT_THROW((void)image.resized(5, 100000), ArgumentError);
  EXPECT_THROW((void)Image().resized(2, 2), ArgumentError);
}

TEST(Image, PreparesPicturesLikeTheReference) {
  const Golden golden("image_prep/io.safetensors");
  const auto expect_bytes = [&](const Image& image, const std::string& name) {
    const auto expected = golden.get<std::uint8_t>(name);  // (H, W, C) or (1, H, W, C)
    ASSERT_EQ(static_cast<index_t>(image.pixels().size()), expected.numel()) << name;
    EXPECT_TRUE(test::close(Tensor<std::uint8_t>(expected.shape(), image.pixels()), expected, 0))
        << name;
  };
  const Image source = image_of(golden.get<std::uint8_t>("src"));
  for (const index_t size : {32, 48, 64})
    expect_bytes(source.center_crop(size), "center_crop_arr_" + std::to_string(size));
  expect_bytes(image_of(golden.get<std::uint8_t>("src_small")).center_crop(64),
               "center_crop_arr_small_64");
  expect_bytes(source.resized_shorter(48), "resize48_bicubic");
  expect_bytes(Image::from_tensor(golden("float_img"), Rounding::nearest), "uint8_save_image");
  expect_bytes(Image::from_tensor(golden("float_img"), Rounding::truncate), "uint8_sample_ddp");
}

TEST(Image, TensorsRoundTrip) {
  const Image image = Image::open(picture("rgb.png"));
  const auto tensor = image.to_tensor();
  EXPECT_EQ(tensor.shape(), (Shape{1, 3, kHeight, kWidth}));
  EXPECT_EQ(Image::from_tensor(tensor), image);
  EXPECT_EQ(Image::from_tensor(tensor.reshaped({3, kHeight, kWidth})), image);
  EXPECT_EQ(tensor[kHeight * kWidth + 1], static_cast<float>(image.pixels()[4]) / 255.0f);
  EXPECT_EQ(Image::from_batch(tensor).size(), 1u);
  EXPECT_THROW((void)Image::from_tensor(Tensor<float>(Shape{2, 4, 4}, 0.0f)), ShapeError);
  EXPECT_THROW((void)Image::from_tensor(Tensor<float>(Shape{2, 3, 4, 4}, 0.0f)), ShapeError);
  EXPECT_THROW((void)Image::from_tensor(Tensor<float>()), ShapeError);
  EXPECT_THROW((void)Image::from_tensor(Tensor<float>(Shape{3, 0, 4})), ArgumentError);
  Tensor<float> bad(Shape{1, 2, 2}, 0.5f);  // (1, 2, 2)
  bad[3] = std::nanf("");
  EXPECT_EQ(message_of<NumericError>([&] { (void)Image::from_tensor(bad); }),
            "Image::from_tensor: channel 0, row 1, column 1 is not a number");
  bad[3] = std::numeric_limits<float>::infinity();
  EXPECT_THROW((void)Image::from_tensor(bad), NumericError);
  bad[3] = 7.0f;
  bad[2] = -7.0f;
  EXPECT_EQ(Image::from_tensor(bad).pixels()[3], 255);
  EXPECT_EQ(Image::from_tensor(bad).pixels()[2], 0);
}

TEST(Image, IsCopiedFromViewsOfAnyStrides) {
  // 2 x 3 pixels in rows with a gap, blue first.
  const std::vector<std::uint8_t> bgr{1,  2,  3,  4,  5,  6,  7,  8,  9,  0, 0,  //
                                      11, 12, 13, 14, 15, 16, 17, 18, 19, 0, 0};
  const View<const std::uint8_t> view(bgr.data(), Shape{2, 3, 3}, {11, 3, 1});  // (H, W, C)
  const Image image = Image::from_view(view, ChannelOrder::bgr);
  EXPECT_EQ(
      std::vector<std::uint8_t>(image.pixels().begin(), image.pixels().end()),
      (std::vector<std::uint8_t>{3, 2, 1, 6, 5, 4, 9, 8, 7, 13, 12, 11, 16, 15, 14, 19, 18, 17}));
  EXPECT_EQ(Image::from_view(image.view()), image);
  // From the bottom to the top.
  const View<const std::uint8_t> turned(bgr.data() + 11, Shape{2, 3, 3}, {-11, 3, 1});
  EXPECT_EQ(Image::from_view(turned).pixels()[0], 11);
  // Gray.
  const View<const std::uint8_t> gray(bgr.data(), Shape{2, 3}, {11, 1});  // (H, W)
  const Image one = Image::from_view(gray);
  EXPECT_EQ(one.channels(), 1);
  EXPECT_EQ(one.pixels()[3], 11);
  // Planes of floats.
  const Tensor<float> planes = image.to_tensor();                            // (1, C, H, W)
  const View<const float> floats(planes.data(), Shape{2, 3, 3}, {3, 1, 6});  // (H, W, C)
  EXPECT_EQ(Image::from_view(floats), image);
}

TEST(Image, RefusesViewsThatAreNoPictures) {
  const std::vector<std::uint8_t> bytes(24);
  EXPECT_THROW((void)Image::from_view(View<const std::uint8_t>(bytes.data(), Shape{2, 3, 4})),
               ShapeError);
  EXPECT_THROW((void)Image::from_view(View<const std::uint8_t>(bytes.data(), Shape{24})),
               ShapeError);
  EXPECT_THROW((void)Image::from_view(View<const std::uint8_t>(bytes.data(), Shape{0, 3})),
               ArgumentError);
  const float nan = std::nanf("");
  EXPECT_EQ(message_of<NumericError>([&] {
              (void)Image::from_view(View<const float>(&nan, Shape{1, 1}));
            }),
            "Image::from_view: channel 0, row 0, column 0 is not a number");
}

TEST(Image, ViewsWriteItsPixels) {
  Image image(3, 2, 3);
  image.view()(1, 2, 0) = 9;
  EXPECT_EQ(image.pixels()[15], 9);
}

TEST(Image, SavesPngWithText) {
  const TempFolder folder;
  const auto path = folder / "out.png";
  for (const char* name : {"rgb.png", "gray.png"}) {
    const Image image = Image::open(picture(name));
    const std::map<std::string, std::string> text = {
        {"rae.settings", R"({"seed":7})"}, {"Title", "\xe6\x97\xa5\xe6\x9c\xac"}, {"empty", ""}};
    image.save_png(path, text);
    EXPECT_EQ(Image::open(path), image);
    EXPECT_EQ(read_png_text(path), text);
  }
  EXPECT_EQ(folder.entries().size(), 1u);
  const Image image(2, 2, 1);
  EXPECT_THROW(image.save_png(path, {{"", "x"}}), ArgumentError);
  EXPECT_THROW(image.save_png(path, {{std::string(80, 'k'), "x"}}), ArgumentError);
  EXPECT_THROW(image.save_png(path, {{" k", "x"}}), ArgumentError);
  EXPECT_THROW(image.save_png(path, {{"k", std::string("a\0b", 3)}}), ArgumentError);
  EXPECT_THROW(Image().save_png(path), ArgumentError);
  EXPECT_THROW(image.save_png(folder / "none/out.png"), FileError);
  EXPECT_THROW(image.save_png("/dev/full"), FileError);
  EXPECT_EQ(Image::open(path), Image::open(picture("gray.png")));  // the failures kept the old file
}

TEST(Image, ReadsTextOfOtherWriters) {
  const auto text = read_png_text(picture("text.png"));
  EXPECT_EQ(text.at("plain"), "Hello");
  EXPECT_EQ(text.at("latin"), "caf\xc3\xa9");
  EXPECT_EQ(text.at("utf8"), "\xe6\x97\xa5\xe6\x9c\xac");
  EXPECT_EQ(text.at("zipped"), std::string(1000, 'x') + "\xc3\xa9");
  EXPECT_EQ(text.at("ztxt"), std::string(1000, 'y'));
  EXPECT_THROW((void)read_png_text(picture("rgb.bmp")), FormatError);
}

TEST(Image, CropsFlipsAndConverts) {
  Image image(2, 2, 3);
  for (std::size_t i = 0; i < 12; ++i) image.pixels()[i] = static_cast<std::uint8_t>(20 * i);
  EXPECT_EQ(image.flipped().pixels()[0], 60);
  EXPECT_EQ(image.flipped().flipped(), image);
  EXPECT_EQ(image.cropped(1, 1, 1, 1).pixels()[2], 220);
  EXPECT_THROW((void)image.cropped(1, 0, 2, 1), ArgumentError);
  EXPECT_THROW((void)image.cropped(-1, 0, 1, 1), ArgumentError);
  const Image gray = Image::open(picture("rgb.png")).to_gray();
  EXPECT_EQ(worst_difference(gray, "gray.raw"), 0);
  EXPECT_EQ(gray.to_rgb().channels(), 3);
  EXPECT_EQ(gray.to_rgb().to_gray(), gray);
}

TEST(Image, MakesAGrid) {
  const std::vector<Image> images = {Image(2, 1, 1, 10), Image(2, 1, 1, 20), Image(2, 1, 1, 30)};
  const Image grid = Image::grid(images, 2, 1);
  EXPECT_EQ(grid.width(), 5);
  EXPECT_EQ(grid.height(), 3);
  const std::uint8_t expected[] = {10,  10,  255, 20, 20,  255, 255, 255,
                                   255, 255, 30,  30, 255, 255, 255};
  EXPECT_TRUE(std::equal(grid.pixels().begin(), grid.pixels().end(), std::begin(expected),
                         std::end(expected)));
  EXPECT_EQ(Image::grid(images, 100, 0).width(), 6);
  EXPECT_THROW((void)Image::grid({}, 2), ArgumentError);
  // 1638 rows of 8 pixels and a gap of 2 have 16378 pixels.
  EXPECT_TRUE(Image::grid_fits(3 * 1638, 3, 8, 8));
  EXPECT_FALSE(Image::grid_fits(3 * 1638 + 1, 3, 8, 8));
  EXPECT_TRUE(Image::grid_fits(64, 8, 1022, 1022));   // 8190 x 8190 pixels
  EXPECT_FALSE(Image::grid_fits(72, 8, 1022, 1022));  // too many pixels
  EXPECT_FALSE(Image::grid_fits(10, 10, 1700, 1));    // too wide
  EXPECT_FALSE(Image::grid_fits(0, 1, 8, 8));
  EXPECT_FALSE(Image::grid_fits(std::numeric_limits<index_t>::max(), 1, 8, 8));
  EXPECT_THROW((void)Image::grid(images, 0), ArgumentError);
  const std::vector<Image> mixed = {Image(2, 1, 1), Image(1, 1, 1)};
  EXPECT_THROW((void)Image::grid(mixed, 2), ArgumentError);
}

TEST(Image, RefusesBadFiles) {
  const auto png = slurp(picture("rgb.png")), jpeg = slurp(picture("baseline.jpg")),
             bmp = slurp(picture("rgb.bmp"));
  auto flipped_bit = png;
  flipped_bit[png.size() / 2] = static_cast<char>(flipped_bit[png.size() / 2] ^ 1);
  auto huge_bmp = bmp;
  for (const std::size_t at : {18u, 22u})
    huge_bmp.replace(at, 4, std::string("\x00\x40\x00\x00", 4));  // 16384 x 16384
  auto large_bmp = bmp;
  for (const std::size_t at : {18u, 22u})
    large_bmp.replace(at, 4, std::string("\x00\x20\x00\x00", 4));  // 8192 x 8192 in 1 KB
  auto longer_bmp = bmp;
  longer_bmp[22] = 18;  // declares one row more than the file has
  auto bad_table = jpeg;
  bad_table.replace(jpeg.find("\xff\xc4") + 5, 4, "\xff\xff\xff\xff");
  auto progressive = slurp(picture("progressive.jpg"));
  const std::pair<std::string, const char*> cases[] = {
      {"", "is empty"},
      {"GIF89a....", "neither PNG"},
      {png.substr(0, 8), "truncated"},
      {png.substr(0, png.size() - 1), "truncated"},
      {png.substr(0, 60), "truncated"},
      {flipped_bit, "damaged"},
      {jpeg.substr(0, 3), "truncated"},
      {jpeg.substr(0, jpeg.size() - 2), "truncated"},
      {bad_table, "Huffman table"},
      {progressive.substr(0, progressive.size() / 2), "truncated"},
      {bmp.substr(0, 20), "truncated"},
      {bmp.substr(0, bmp.size() - 1), "truncated"},
      {huge_bmp, "too large"},
      {large_bmp, "are too few for a picture of 8192 x 8192"},
      {longer_bmp, "truncated"},
  };
  const TempFolder folder;
  for (const auto& [contents, expected] : cases) {
    const auto path = folder.write("bad.img", contents);
    const auto message = message_of<FormatError>([&] { (void)Image::open(path); });
    EXPECT_NE(message.find(expected), std::string::npos)
        << contents.size() << " bytes: " << message;
    EXPECT_NE(message.find("bad.img"), std::string::npos) << message;
  }
  EXPECT_NE(message_of<FileError>([&] { (void)Image::open(folder / "none.png"); }).find("none.png"),
            std::string::npos);
  EXPECT_THROW((void)Image::open(folder.path()), FileError);
  EXPECT_THROW(Image(0, 1, 1), ArgumentError);
  EXPECT_THROW(Image(1, 1, 2), ArgumentError);
  EXPECT_THROW(Image(16384, 16384, 3), ArgumentError);
}

TEST(Image, RefusesAPngThatInflatesTooMuch) {
  // A small picture, whose compressed rows are replaced by those of a picture 100 times as high.
  const auto small = Image(64, 8, 1, 7).encode_png(), high = Image(64, 800, 1, 7).encode_png();
  std::vector<std::byte> mixed(small.begin(), small.begin() + 33);  // signature and header
  mixed.insert(mixed.end(), high.begin() + 33, high.end());
  const auto message = message_of<FormatError>([&] { (void)Image::decode(mixed, "bomb.png"); });
  EXPECT_NE(message.find("bomb.png: the PNG contains more data"), std::string::npos) << message;
}

}  // namespace
}  // namespace rae::test
