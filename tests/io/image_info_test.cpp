#include "rae/io/image_info.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "io/exif.hpp"
#include "rae/core/random.hpp"
#include "rae/io/file.hpp"
#include "rae/io/image.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

using std::string_literals::operator""s;

ImageInfo info_of(const std::string& name) {
  return read_image_info(data_path("golden/pictures/" + name));
}

TEST(ImageInfo, ReadsEveryFormat) {
  const auto info = [](ImageFormat format, int channels, bool alpha) {
    return ImageInfo{
        .format = format, .width = 27, .height = 21, .channels = channels, .alpha = alpha};
  };
  EXPECT_EQ(info_of("rgba.png"), info(ImageFormat::png, 3, true));
  EXPECT_EQ(info_of("rgb16.png"), info(ImageFormat::png, 3, false));
  EXPECT_EQ(info_of("palette.png"), info(ImageFormat::png, 3, true));  // a transparent colour
  EXPECT_EQ(info_of("la16.png"), info(ImageFormat::png, 1, true));
  EXPECT_EQ(info_of("gray.jpg"), info(ImageFormat::jpeg, 1, false));
  EXPECT_EQ(info_of("progressive.jpg"), info(ImageFormat::jpeg, 3, false));
  EXPECT_EQ(info_of("ycck.jpg"), info(ImageFormat::jpeg, 3, false));
  EXPECT_EQ(info_of("lossy.webp"), info(ImageFormat::webp, 3, false));
  EXPECT_EQ(info_of("lossy_alpha.webp"), info(ImageFormat::webp, 3, true));
  EXPECT_EQ(info_of("lossless.webp"), info(ImageFormat::webp, 3, false));
  EXPECT_EQ(info_of("lossless_alpha.webp"), info(ImageFormat::webp, 3, true));
  EXPECT_EQ(info_of("os2.bmp"), info(ImageFormat::bmp, 3, false));
  EXPECT_EQ(info_of("top_down.bmp"), info(ImageFormat::bmp, 3, false));
  EXPECT_EQ(info_of("alpha32.bmp"), info(ImageFormat::bmp, 3, true));
}

TEST(ImageInfo, SizeIsThatOfTheUprightPicture) {
  for (const auto& [name, orientation] : {std::pair{"orientation1.jpg", 1},
                                          {"orientation2.jpg", 2},
                                          {"orientation3.jpg", 3},
                                          {"orientation4.jpg", 4},
                                          {"orientation5.jpg", 5},
                                          {"orientation6.jpg", 6},
                                          {"orientation7.jpg", 7},
                                          {"orientation8.jpg", 8},
                                          {"orientation6.png", 6},
                                          {"orientation8.webp", 8}}) {
    const ImageInfo info = info_of(name);
    EXPECT_EQ(info.orientation, orientation) << name;
    EXPECT_EQ(info.width, orientation < 5 ? 16 : 12) << name;
    EXPECT_EQ(info.height, orientation < 5 ? 12 : 16) << name;
  }
}

/// EXIF data with one tag, in both byte orders.
std::string exif_of(bool little, unsigned tag, unsigned type, unsigned count, unsigned value) {
  std::string out = little ? "II" : "MM";
  const auto put = [&](unsigned number, int bytes) {
    for (int i = 0; i < bytes; ++i)
      out += static_cast<char>(number >> 8 * (little ? i : bytes - 1 - i));
  };
  put(42, 2);
  put(8, 4);
  put(1, 2);
  put(tag, 2);
  put(type, 2);
  put(count, 4);
  // A short value is stored in the first bytes of the four.
  const int size = type == 1 ? 1 : type == 3 ? 2 : 4;
  put(value, size);
  put(0, 4 - size);
  put(0, 4);
  return out;
}

int orientation_of(const std::string& exif) { return detail::exif_orientation(as_byte_span(exif)); }

TEST(Exif, ReadsTheOrientation) {
  for (const bool little : {true, false}) {
    for (unsigned value = 1; value <= 8; ++value) {
      const int expected = static_cast<int>(value);
      EXPECT_EQ(orientation_of(exif_of(little, 0x0112, 3, 1, value)), expected);
      EXPECT_EQ(orientation_of("Exif\0\0"s + exif_of(little, 0x0112, 3, 1, value)), expected);
    }
    EXPECT_EQ(orientation_of(exif_of(little, 0x0112, 1, 1, 6)), 6);  // BYTE
    EXPECT_EQ(orientation_of(exif_of(little, 0x0112, 4, 1, 6)), 6);  // LONG
  }
}

TEST(Exif, BrokenDataMeanUpright) {
  for (const bool little : {true, false}) {
    const auto good = exif_of(little, 0x0112, 3, 1, 6);
    EXPECT_EQ(orientation_of(exif_of(little, 0x0112, 3, 1, 0)), 1);
    EXPECT_EQ(orientation_of(exif_of(little, 0x0112, 3, 1, 9)), 1);
    EXPECT_EQ(orientation_of(exif_of(little, 0x0112, 3, 1, 65535)), 1);
    EXPECT_EQ(orientation_of(exif_of(little, 0x0112, 4, 1, 0xffffffff)), 1);
    EXPECT_EQ(orientation_of(exif_of(little, 0x0112, 3, 0, 6)), 1);           // no value
    EXPECT_EQ(orientation_of(exif_of(little, 0x0112, 3, 2, 6)), 1);           // two values
    EXPECT_EQ(orientation_of(exif_of(little, 0x0112, 3, 0xffffffff, 6)), 1);  // values elsewhere
    EXPECT_EQ(orientation_of(exif_of(little, 0x0112, 2, 1, '6')), 1);         // text
    EXPECT_EQ(orientation_of(exif_of(little, 0x0113, 3, 1, 6)), 1);           // another tag
    for (std::size_t size = 0; size < 22; ++size)
      EXPECT_EQ(orientation_of(good.substr(0, size)), 1) << size;
    // The directory: in the header, at the end, beyond the end, at the largest offset.
    for (const std::string& offset : {"\0\0\0\0"s, "\0\0\0\x04"s, "\0\0\0\x1a"s, "\0\0\0\x19"s,
                                      "\0\0\1\0"s, "\xff\xff\xff\xff"s, "\x7f\xff\xff\xff"s}) {
      auto bad = good;
      bad.replace(4, 4, little ? std::string(offset.rbegin(), offset.rend()) : offset);
      EXPECT_EQ(orientation_of(bad), 1);
    }
    // More tags than the data have: the first is still read.
    auto many = good;
    many.replace(8, 2, "\xff\xff");
    EXPECT_EQ(orientation_of(many), 6);
    many[little ? 10 : 11] = 0x13;
    EXPECT_EQ(orientation_of(many), 1);
    auto order = good;
    order[1] = 'X';
    EXPECT_EQ(orientation_of(order), 1);
    order = good;
    order[little ? 2 : 3] = 43;
    EXPECT_EQ(orientation_of(order), 1);
  }
  EXPECT_EQ(orientation_of("Exif\0\0"s), 1);
  EXPECT_EQ(orientation_of(""), 1);
}

TEST(Exif, AcceptsAnyBytes) {
  const Philox random(7);
  std::uint64_t draw = 0;
  for (int round = 0; round < 20000; ++round) {
    auto bytes = exif_of(round % 2 == 0, 0x0112, 3, 1, 6);
    for (int i = 0; i < 1 + round % 5; ++i) {
      const std::size_t at = random.below(draw++, bytes.size());
      bytes[at] = static_cast<char>(random.bits(draw++) & 0xffu);
    }
    const int orientation = orientation_of(bytes);
    EXPECT_TRUE(orientation >= 1 && orientation <= 8);
  }
}

/// A JPEG with EXIF data in place of its own.
std::string with_exif(std::string jpeg, const std::string& exif) {
  const std::size_t size = exif.size() + 8;
  return jpeg.insert(2, "\xff\xe1"s + static_cast<char>(size >> 8) +
                            static_cast<char>(size & 0xff) + "Exif\0\0"s + exif);
}

TEST(ImageInfo, FirstExifDataOfAJpegCount) {
  const auto jpeg = slurp(data_path("golden/pictures/420.jpg"));
  const auto info = [](const std::string& bytes) { return parse_image_info(as_byte_span(bytes)); };
  const auto turned = with_exif(jpeg, exif_of(true, 0x0112, 3, 1, 5));
  EXPECT_EQ(info(turned).orientation, 5);
  EXPECT_EQ(info(with_exif(turned, exif_of(false, 0x0112, 3, 1, 3))).orientation, 3);
  EXPECT_EQ(info(with_exif(turned, "broken")).orientation, 1);
  // Photos have other application data first: comments, profiles, XMP.
  auto late = turned;
  late.insert(2, "\xff\xe1\0\x06http\xff\xe2\xff\xfd"s + std::string(0xfffb, '\xff'));
  EXPECT_EQ(info(late).orientation, 5);
  EXPECT_EQ(Image::decode(as_byte_span(late)).width(), 21);
}

TEST(ImageInfo, NamesFilesThatAreNoPictures) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "is empty"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n", "git-lfs pointer"},
      {"\xef\xbb\xbf\n <!DOCTYPE html><html>", "an HTML page"},
      {"<HTML lang='en'>", "an HTML page"},
      {"GIF89a....", "a GIF file"},
      {"II*\0...."s, "a TIFF file"},
      {"\0\0\0\x18"s + "ftypheic....", "a HEIC file"},
      {"\0\0\0\x18"s + "ftypavif....", "an AVIF file"},
      {"\0\0\0\x18"s + "ftypmp42....", "a video"},
      {"hello", "neither PNG nor JPEG nor WebP nor BMP"},
      {"RIFF\x10\0\0\0WAVE"s, "neither PNG"},
  };
  const TempFolder folder;
  for (const auto& [contents, expected] : cases) {
    const auto path = folder.write("some.jpg", contents);
    for (const auto& message : {message_of<FormatError>([&] { (void)read_image_info(path); }),
                                message_of<FormatError>([&] { (void)Image::open(path); })}) {
      EXPECT_NE(message.find(expected), std::string::npos) << message;
      EXPECT_NE(message.find("some.jpg"), std::string::npos) << message;
    }
  }
  EXPECT_THROW((void)read_image_info(folder / "none.png"), FileError);
  EXPECT_THROW((void)read_image_info(folder.path()), FileError);
}

TEST(ImageInfo, RefusesBrokenHeaders) {
  const auto file = [](const char* name) { return slurp(data_path("golden/pictures/"s + name)); };
  const auto changed = [&](const char* name, std::size_t at, const std::string& bytes) {
    return file(name).replace(at, bytes.size(), bytes);
  };
  const std::size_t frame = file("420.jpg").find("\xff\xc0");
  const std::pair<std::string, const char*> cases[] = {
      {changed("rgba.png", 20, "\1"), "checksum"},
      {changed("rgba.png", 12, "IDAT"), "header chunk"},
      {file("rgba.png").substr(0, 20), "is the file truncated?"},
      {file("rgba.png").substr(0, 60), "is the file truncated?"},
      {file("420.jpg").substr(0, frame + 4), "is the file truncated?"},
      {file("420.jpg").substr(0, 2) + "\xff\xda\0\2"s, "no frame header"},
      {changed("420.jpg", frame + 1, "\xc3"), "lossless"},
      {changed("420.jpg", frame + 4, "\x0c"), "12 bits per sample"},
      {changed("420.jpg", frame + 5, "\0\0"s), "is empty"},
      {changed("420.jpg", frame + 5, "\xff\xff"s), "too large"},
      {changed("420.jpg", frame + 9, "\2"), "2 components"},
      {changed("420.jpg", 4, "\0\1"s), "damaged"},
      {changed("lossless.webp", 20, "\0"s), "damaged header in the WebP"},
      {changed("lossy.webp", 23, "\0"s), "damaged header in the WebP"},
      {changed("lossy.webp", 12, "ALPH"), "damaged header in the WebP"},
      {changed("lossy.webp", 16, "\xff\xff\xff\xff"), "exceeds the file"},
      {changed("lossy.webp", 4, "\xff\xff\xff\xff"), "is the file truncated?"},
      {changed("lossy.webp", 4, "\0\0\0\0"s), "damaged header in the WebP"},
      {file("animated.webp"), "animated"},
      {changed("bits24.bmp", 14, "\x29"), "a BMP header of 41 bytes"},
      {changed("bits24.bmp", 26, "\2"), "damaged header"},
      {changed("bits24.bmp", 28, "\3"), "3 bits per pixel"},
      {changed("bits8.bmp", 30, "\1"), "run-length"},
      {changed("bits4.bmp", 30, "\2"), "run-length"},
      {changed("bits24.bmp", 30, "\4"), "compression 4"},
      {changed("bits24.bmp", 10, "\0\0"s), "overlap"},
      {changed("bits24.bmp", 18, "\xff\xff\xff\xff"), "is empty"},
      {changed("bits24.bmp", 22, "\0\0\0\x80"s), "too large"},
      {changed("masks16.bmp", 54, "\0\0"s), "mask"},
      {changed("masks16.bmp", 54, "\5"), "mask"},
      {file("bits24.bmp").substr(0, 30), "is the file truncated?"},
      {file("bits24.bmp").substr(0, 1000), "is the file truncated?"},
  };
  for (const auto& [contents, expected] : cases) {
    const auto message = message_of<FormatError>(
        [&, &bytes = contents] { (void)parse_image_info(as_byte_span(bytes), "bad.img"); });
    EXPECT_NE(message.find(expected), std::string::npos) << expected << " in: " << message;
    EXPECT_EQ(message.rfind("bad.img: ", 0), 0u) << message;
  }
}

TEST(ImageInfo, AgreesWithThePixels) {
  for (const char* name : {"420.jpg", "gray.jpg", "orientation5.jpg", "rgba.png", "la.png",
                           "orientation6.png", "os2.bmp", "top_down.bmp"}) {
    const ImageInfo info = info_of(name);
    const Image image = Image::open(data_path("golden/pictures/"s + name));
    EXPECT_EQ(image.width(), info.width) << name;
    EXPECT_EQ(image.height(), info.height) << name;
    EXPECT_EQ(image.channels(), info.channels) << name;
  }
}

}  // namespace
}  // namespace rae::test
