#include "rae/io/idx.hpp"

#include <gtest/gtest.h>

#include "io/deflate.hpp"
#include "rae/io/file.hpp"
#include "support/idx_files.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

TEST(Idx, ReadsPlainAndGzip) {
  const TempFolder folder;
  const auto images = idx_images(3, 2, 4), labels = idx_labels({2, 0, 1});
  for (const bool compressed : {false, true}) {
    const auto read = read_idx_images(folder.write("images", compressed ? gzip(images) : images));
    EXPECT_EQ(read.shape(), (Shape{3, 2, 4}));
    for (index_t i = 0; i < 24; ++i) EXPECT_EQ(read[i], i);
    const auto classes =
        read_idx_labels(folder.write("labels", compressed ? gzip(labels) : labels));
    EXPECT_EQ(classes.shape(), Shape{3});
    EXPECT_EQ(classes[0], 2);
  }
  EXPECT_EQ(parse_idx_images(as_byte_span(idx_images(0, 2, 4))).shape(), (Shape{0, 2, 4}));
  // Several gzip members in sequence are one file.
  EXPECT_EQ(
      parse_idx_images(as_byte_span(gzip(images.substr(0, 20)) + gzip(images.substr(20)))).numel(),
      24);
}

TEST(Idx, RefusesBadFiles) {
  const auto images = idx_images(3, 2, 4), labels = idx_labels({2, 0, 1});
  const auto zipped = gzip(images);
  auto damaged = zipped;
  damaged[damaged.size() - 6] = static_cast<char>(damaged[damaged.size() - 6] ^ 1);  // the checksum
  auto huge = images;
  huge.replace(4, 4, "\xff\xff\xff\xff");
  auto wide = images;
  wide.replace(12, 4, std::string("\0\1\0\0", 4));
  auto floats = images;
  floats[2] = 0x0d;
  const std::pair<std::string, const char*> cases[] = {
      {"", "is empty"},
      {images.substr(0, 15), "inside its header"},
      {images.substr(0, images.size() - 1), "truncated"},
      {images + "x", "more data than the 24 bytes"},
      {labels + std::string(10, '\0'), "this is a file of labels"},
      {floats, "magic number"},
      {"\x89PNG\r\n\x1a\n........", "magic number"},
      {huge, "more than 2147483648 bytes"},
      {wide, "1 to 16384 rows and columns"},
      {idx_images(1, 0, 4), "1 to 16384 rows and columns"},
      {zipped.substr(0, 1), "inside its header"},
      {zipped.substr(0, zipped.size() / 2), "truncated"},
      {zipped.substr(0, zipped.size() - 1), "truncated"},
      {damaged, "damaged"},
      {zipped + "trailing", "8 bytes after the end"},
      {gzip(images + std::string(100'000'000, '\0')), "more data than the 24 bytes"},
      {gzip(images.substr(0, 39)), "truncated"},
  };
  const TempFolder folder;
  for (const auto& [contents, expected] : cases) {
    const auto path = folder.write("bad-idx3", contents);
    const auto message = message_of<FormatError>([&] { (void)read_idx_images(path); });
    EXPECT_NE(message.find(expected), std::string::npos) << expected << ": " << message;
    EXPECT_NE(message.find("bad-idx3"), std::string::npos) << message;
  }
  EXPECT_NE(message_of<FormatError>([&] {
              (void)parse_idx_labels(as_byte_span(images));
            }).find("this is a file of images"),
            std::string::npos);
  EXPECT_NE(message_of<FileError>([&] { (void)read_idx_labels(folder / "none"); }).find("none"),
            std::string::npos);
}

}  // namespace
}  // namespace rae::test
