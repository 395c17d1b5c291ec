// Pictures of all formats against those that Pillow 9.4 reads (with libjpeg-turbo 2.1.5 and libwebp
// 1.2.4). tests/golden/pictures contains the files, and the results as 8-bit PNG.
#include "rae/io/image.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "io/picture_decoders.hpp"
#include "rae/io/file.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

std::string pillow_path(const std::string& name) { return data_path("golden/pictures/" + name); }

/// What Pillow reads from a file. Equal results are stored once.
Image read_by_pillow(const std::string& name, const std::string& same_as = "") {
  return Image::open(pillow_path((same_as.empty() ? name : same_as) + ".expected.png"));
}

int worst_sample(const Image& a, const Image& b) {
  if (a.width() != b.width() || a.height() != b.height() || a.channels() != b.channels())
    return 1000;
  int worst = 0;
  for (std::size_t i = 0; i < a.pixels().size(); ++i)
    worst = std::max(worst, std::abs(a.pixels()[i] - b.pixels()[i]));
  return worst;
}

bool uses(ImageFormat format, const std::string& library) {
  return image_decoder(format).starts_with(library);
}

struct PillowCase {
  std::string name;
  std::string same_as = {};
};

const std::vector<PillowCase> kPngAndBmp = {
    {"rgba.png"},
    {"la.png"},
    {"la16.png"},
    {"gray1.png"},
    {"gray2.png"},
    {"gray4.png"},
    {"palette.png", "bits4.bmp"},
    {"rgb16.png", "rgba.png"},
    {"bits1.bmp"},
    {"bits4.bmp"},
    {"bits8.bmp", "bits4.bmp"},
    {"os2.bmp", "bits4.bmp"},
    {"bits16.bmp"},
    {"masks16.bmp"},
    {"bits24.bmp", "rgba.png"},
    {"bits32.bmp", "rgba.png"},
    {"alpha32.bmp", "rgba.png"},
    {"top_down.bmp", "rgba.png"},
};

TEST(ImageDecode, PngAndBmpEqualPillow) {
  for (const auto& [name, same_as] : kPngAndBmp)
    EXPECT_EQ(worst_sample(Image::open(pillow_path(name)), read_by_pillow(name, same_as)), 0)
        << name;
}

const std::vector<PillowCase> kJpeg = {
    {"420.jpg"},
    {"422.jpg"},
    {"440.jpg"},
    {"444.jpg"},
    {"411.jpg"},
    {"rgb.jpg", "cmyk.jpg"},
    {"gray.jpg"},
    {"progressive.jpg", "420.jpg"},
    {"cmyk.jpg"},
    {"ycck.jpg"},
    {"restart.jpg", "420.jpg"},
};

TEST(ImageDecode, JpegEqualsPillow) {
  if (!uses(ImageFormat::jpeg, "libjpeg-turbo")) GTEST_SKIP() << "built without libjpeg-turbo";
  std::vector<PillowCase> cases = kJpeg;
  cases.push_back({"cmyk_plain.jpg"});
  cases.push_back({"arith.jpg", "420.jpg"});
  for (const auto& [name, same_as] : cases)
    EXPECT_EQ(worst_sample(Image::open(pillow_path(name)), read_by_pillow(name, same_as)), 0)
        << name;
}

/// Decodes a file by stb_image, which is the last decoder of its format.
Image open_by_stb(const std::string& path) {
  const MappedFile file(path);
  const ImageInfo info = parse_image_info(file.bytes(), path);
  return detail::picture_decoders(info.format).back().decode(file.bytes(), info, path);
}

TEST(ImageDecode, JpegByStbIsClose) {
  ASSERT_TRUE(detail::picture_decoders(ImageFormat::jpeg).back().name.starts_with("stb_image"));
  // Chroma is interpolated and colours are rounded differently. In the last column of 4:2:2, stb
  // interpolates with exchanged weights.
  const auto without_last_column = [](const Image& image) {
    return image.cropped(0, 0, image.width() - 1, image.height());
  };
  for (const auto& [name, same_as] : kJpeg) {
    const Image image = open_by_stb(pillow_path(name)), expected = read_by_pillow(name, same_as);
    EXPECT_LE(worst_sample(without_last_column(image), without_last_column(expected)), 3) << name;
    EXPECT_LE(worst_sample(image, expected), name == "422.jpg" ? 26 : 3) << name;
  }
  for (const auto& [name, reason] :
       {std::pair{"cmyk_plain.jpg", "only libjpeg-turbo"}, {"arith.jpg", "cannot decode"}}) {
    const auto message =
        message_of<FormatError>([&, file = std::string(name)] { open_by_stb(pillow_path(file)); });
    EXPECT_NE(message.find(reason), std::string::npos) << message;
  }
}

TEST(ImageDecode, WebpEqualsPillow) {
  if (!uses(ImageFormat::webp, "libwebp")) {
    const auto message =
        message_of<FormatError>([] { (void)Image::open(pillow_path("lossy.webp")); });
    EXPECT_NE(message.find("libwebp-dev"), std::string::npos) << message;
    GTEST_SKIP() << "built without libwebp";
  }
  const std::vector<PillowCase> cases = {{"lossy.webp"},
                                         {"lossy_alpha.webp"},
                                         {"lossless.webp", "rgba.png"},
                                         {"lossless_alpha.webp", "rgba.png"}};
  for (const auto& [name, same_as] : cases)
    EXPECT_EQ(worst_sample(Image::open(pillow_path(name)), read_by_pillow(name, same_as)), 0)
        << name;
}

TEST(ImageDecode, KeepsTheUpperHalfOf16BitGray) {
  // A PNG of one row: 0x1234, 0xff00. Pillow would clamp both to 255.
  const auto bytes = slurp(data_path("io/data/gray16.png"));
  const Image image = Image::decode(as_byte_span(bytes));
  ASSERT_EQ(image.channels(), 1);
  EXPECT_EQ(image.pixels()[0], 0x12);
  EXPECT_EQ(image.pixels()[1], 0xff);
}

TEST(ImageDecode, AppliesTheOrientation) {
  const bool exact = uses(ImageFormat::jpeg, "libjpeg-turbo");
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const std::string name = "orientation" + std::to_string(orientation) + ".jpg";
    const Image image = Image::open(pillow_path(name));
    EXPECT_LE(worst_sample(image, read_by_pillow(name)), exact ? 0 : 3) << name;
    EXPECT_EQ(image.width(), orientation < 5 ? 16 : 12);
    const Image stored = Image::open(pillow_path(name), {.exif = false});
    EXPECT_EQ(stored.width(), 16);
    EXPECT_EQ(stored.height(), 12);
  }
  EXPECT_EQ(Image::open(pillow_path("orientation6.png")), read_by_pillow("orientation6.png"));
  EXPECT_EQ(Image::open(pillow_path("orientation6.png"), {.exif = false}).width(), 16);
  if (uses(ImageFormat::webp, "libwebp")) {
    EXPECT_EQ(Image::open(pillow_path("orientation8.webp")), read_by_pillow("orientation8.webp"));
  }
}

/// A BMP of 3 x 1 pixels with 2 bits each and `colors` colours: 0, 1, 2.
std::string two_bit_bmp(char colors) {
  const auto zeros = [](std::size_t count) { return std::string(count, '\0'); };
  std::string palette;
  for (char i = 0; i < colors; ++i) palette += {static_cast<char>(10 * i), 'g', 'r', '\0'};
  const auto offset = static_cast<char>(54 + palette.size());
  return "BM" + zeros(8) + offset + zeros(3) + '\x28' + zeros(3) + '\3' + zeros(3) + '\1' +
         zeros(3) + '\1' + zeros(1) + '\2' + zeros(1) + zeros(16) + colors + zeros(7) + palette +
         '\x18' + zeros(3);  // bits 00 01 10 00
}

TEST(ImageDecode, ReadsPalettesOfAnySize) {
  const Image image = Image::decode(as_byte_span(two_bit_bmp(3)));
  const std::uint8_t expected[] = {'r', 'g', 0, 'r', 'g', 10, 'r', 'g', 20};
  EXPECT_TRUE(std::equal(image.pixels().begin(), image.pixels().end(), std::begin(expected),
                         std::end(expected)));
  const auto message =
      message_of<FormatError>([] { (void)Image::decode(as_byte_span(two_bit_bmp(2))); });
  EXPECT_NE(message.find("row 0, column 2 of the BMP has colour 2 of a palette of 2"),
            std::string::npos)
      << message;
}

TEST(ImageDecode, RefusesDamagedFiles) {
  auto progressive = slurp(pillow_path("progressive.jpg"));
  auto lossless = slurp(pillow_path("lossless.webp")), lossy = slurp(pillow_path("lossy.webp"));
  // Shorter, with sizes that fit: the pixels end early.
  const auto shorter = [](std::string webp, std::size_t size) {
    webp.resize(size);
    for (const auto& [at, value] : {std::pair<std::size_t, std::size_t>{4, size - 8},
                                    std::pair<std::size_t, std::size_t>{16, size - 20}})
      for (std::size_t i = 0; i < 4; ++i) webp[at + i] = static_cast<char>(value >> (8 * i) & 0xff);
    return webp;
  };
  std::vector<std::pair<std::string, const char*>> cases = {
      {progressive.substr(0, progressive.size() / 2), "truncated"},
      {slurp(pillow_path("420.jpg")).substr(0, 700), "truncated"},
      {slurp(pillow_path("animated.webp")), "animated WebP"},
      {lossy.substr(0, lossy.size() - 1), "is the file truncated?"},
  };
  if (uses(ImageFormat::webp, "libwebp")) {
    cases.emplace_back(shorter(lossless, lossless.size() / 4 * 2), "cannot decode the WebP");
    cases.emplace_back(shorter(lossy, lossy.size() / 4 * 2), "cannot decode the WebP");
  }
  for (const auto& [contents, expected] : cases) {
    const auto message = message_of<FormatError>(
        [&, &bytes = contents] { (void)Image::decode(as_byte_span(bytes), "bad.img"); });
    EXPECT_NE(message.find(expected), std::string::npos) << message;
    EXPECT_NE(message.find("bad.img"), std::string::npos) << message;
  }
}

TEST(ImageDecode, EveryTruncationIsAnErrorOrTheWholePicture) {
  for (const char* name : {"420.jpg", "progressive.jpg", "ycck.jpg", "lossy.webp", "palette.png",
                           "lossless_alpha.webp", "os2.bmp", "orientation6.png"}) {
    const auto contents = slurp(pillow_path(name));
    const Image whole = name[0] == 'l' && !uses(ImageFormat::webp, "libwebp")
                            ? Image()
                            : Image::open(pillow_path(name));
    for (std::size_t size = 0; size < contents.size(); ++size) {
      try {
        EXPECT_EQ(Image::decode(as_byte_span(std::string_view(contents).substr(0, size))), whole)
            << name << " cut to " << size;
      } catch (const FormatError&) {
      }
    }
  }
}

TEST(ImageDecode, LimitsTheScansOfAJpeg) {
  if (!uses(ImageFormat::jpeg, "libjpeg-turbo")) GTEST_SKIP() << "built without libjpeg-turbo";
  // The last scan of a progressive picture, repeated.
  const auto contents = slurp(pillow_path("progressive.jpg"));
  const std::size_t scan = contents.rfind("\xff\xda"), end = contents.size() - 2;
  auto many = contents.substr(0, end);
  for (int i = 0; i < 600; ++i) many += contents.substr(scan, end - scan);
  many += contents.substr(end);
  EXPECT_THROW((void)Image::decode(as_byte_span(many)), FormatError);
}

TEST(ImageDecode, NamesItsDecoders) {
  for (const ImageFormat format : {ImageFormat::png, ImageFormat::jpeg, ImageFormat::bmp})
    EXPECT_NE(image_decoder(format).find('.'), std::string::npos) << image_decoder(format);
  EXPECT_TRUE(uses(ImageFormat::png, "stb_image 2."));
  EXPECT_TRUE(uses(ImageFormat::bmp, "rae "));
}

}  // namespace
}  // namespace rae::test
