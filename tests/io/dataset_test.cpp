#include "rae/io/dataset.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>
#include <set>

#include "rae/io/image.hpp"
#include "support/idx_files.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

std::vector<float> load(const ImageDataset& dataset, index_t i, std::uint64_t epoch = 0) {
  std::vector<float> out(static_cast<std::size_t>(dataset.image_size()), -1.0f);
  dataset.image(i, out, epoch);
  return out;
}

/// Writes the four files of Fashion-MNIST: three training pictures (not compressed) and two test
/// pictures (gzip).
void write_fashion_mnist(const TempFolder& folder) {
  folder.write("train-images-idx3-ubyte", idx_images(3, 4, 4));
  folder.write("train-labels-idx1-ubyte", idx_labels({9, 0, 5}));
  folder.write("t10k-images-idx3-ubyte.gz", gzip(idx_images(2, 4, 4)));
  folder.write("t10k-labels-idx1-ubyte.gz", gzip(idx_labels({1, 2})));
}

TEST(Dataset, OpensFashionMnist) {
  const TempFolder folder;
  write_fashion_mnist(folder);
  const auto train = open_fashion_mnist(folder.path(), Split::train);
  EXPECT_EQ(train->size(), 3);
  EXPECT_EQ(train->channels(), 1);
  EXPECT_EQ(train->height(), 4);
  EXPECT_EQ(train->class_names().size(), 10u);
  EXPECT_EQ(train->class_names()[static_cast<std::size_t>(train->label(0))], "Ankle boot");
  EXPECT_EQ(load(*train, 2)[3], 35.0f / 255.0f);
  const auto test = open_dataset(folder.path(), Split::test);
  EXPECT_EQ(test->size(), 2);
  EXPECT_EQ(test->label(1), 2);
}

TEST(Dataset, NamesTheClassesOfFashionMnistOnly) {
  const TempFolder folder;
  write_fashion_mnist(folder);
  const std::vector<std::string> numbers = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  EXPECT_EQ(open_idx_folder(folder.path(), Split::train)->class_names(), numbers);
  EXPECT_EQ(open_idx_folder(folder.path(), Split::test)->class_names(), numbers);
  // The labels of the real test part, in their order.
  folder.write("t10k-images-idx3-ubyte.gz", gzip(idx_images(16, 4, 4)));
  folder.write("t10k-labels-idx1-ubyte.gz",
               gzip(idx_labels({9, 2, 1, 1, 6, 1, 4, 6, 5, 7, 4, 5, 7, 3, 4, 1})));
  for (const Split split : {Split::train, Split::test})
    EXPECT_EQ(open_dataset(folder.path(), split)->class_names()[8], "Bag");
}

TEST(Dataset, PadsAndRepeatsChannels) {
  const TempFolder folder;
  write_fashion_mnist(folder);
  const auto padded = open_fashion_mnist(folder.path(), Split::train, {.size = 6, .channels = 3});
  const auto pixels = load(*padded, 0);
  ASSERT_EQ(pixels.size(), 108u);
  EXPECT_EQ(pixels[0], 0.0f);
  EXPECT_EQ(pixels[7 + 1], 1.0f / 255.0f);  // row 1, column 2: sample (0, 1)
  for (std::size_t i = 0; i < 36; ++i) EXPECT_EQ(pixels[72 + i], pixels[i]);
  EXPECT_EQ(std::accumulate(pixels.begin(), pixels.begin() + 36, 0.0f),
            std::accumulate(pixels.begin() + 36, pixels.begin() + 72, 0.0f));
}

TEST(Dataset, DrawsDependOnlyOnSeedEpochAndIndex) {
  const TempFolder folder;
  write_fashion_mnist(folder);
  const DatasetOptions options{.size = 12, .random_crop = true, .flip = true, .seed = 3};
  const auto dataset = open_fashion_mnist(folder.path(), Split::train, options);
  const auto again = open_fashion_mnist(folder.path(), Split::train, options);
  std::set<std::vector<float>> seen;
  for (std::uint64_t epoch = 0; epoch < 20; ++epoch) {
    (void)load(*again, 2, epoch);  // calls in another order
    EXPECT_EQ(load(*dataset, 1, epoch), load(*again, 1, epoch));
    seen.insert(load(*dataset, 1, epoch));
  }
  EXPECT_GT(seen.size(), 10u);
  const auto other = open_fashion_mnist(folder.path(), Split::train,
                                        {.size = 12, .random_crop = true, .flip = true, .seed = 4});
  EXPECT_NE(load(*other, 1), load(*dataset, 1));
  // A slice of a data set has the same draws as the whole.
  const auto part = slice(dataset, 1, 2);
  EXPECT_EQ(load(*part, 0, 5), load(*dataset, 1, 5));
  EXPECT_EQ(part->label(1), 5);
  const auto [first, rest] = split_at(dataset, 1);
  EXPECT_EQ(first->size(), 1);
  EXPECT_EQ(rest->size(), 2);
  EXPECT_EQ(rest->class_names().size(), 10u);
}

TEST(Dataset, FlipsHalfOfThePictures) {
  const TempFolder folder;
  write_fashion_mnist(folder);
  const auto plain = open_fashion_mnist(folder.path(), Split::train);
  const auto flipped = open_fashion_mnist(folder.path(), Split::train, {.flip = true});
  int flips = 0;
  for (std::uint64_t epoch = 0; epoch < 200; ++epoch) {
    const auto pixels = load(*flipped, 0, epoch);
    if (pixels == load(*plain, 0)) continue;
    ++flips;
    EXPECT_EQ(pixels[0], 3.0f / 255.0f);
    EXPECT_EQ(pixels[3], 0.0f);
  }
  EXPECT_GT(flips, 60);
  EXPECT_LT(flips, 140);
}

TEST(Dataset, OpensImageFolders) {
  const TempFolder folder;
  Image red(20, 30, 3), gray(40, 20, 1, 128);
  for (std::size_t i = 0; i < red.pixels().size(); i += 3) red.pixels()[i] = 255;
  std::filesystem::create_directories(folder / "b");
  std::filesystem::create_directories(folder / "a");
  std::filesystem::create_directories(folder / "empty");
  red.save_png(folder / "b/2.PNG");
  gray.save_png(folder / "b/1.png");
  red.save_png(folder / "a/1.png");
  folder.write("a/notes.txt", "no picture");
  folder.write("b/broken.jpg", "no jpeg");
  const auto dataset = open_dataset(folder.path(), Split::train, {.size = 16});
  ASSERT_EQ(dataset->size(), 4);
  EXPECT_EQ(dataset->class_names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(dataset->label(0), 0);
  EXPECT_EQ(dataset->label(1), 1);
  EXPECT_EQ(dataset->channels(), 3);
  const auto pixels = load(*dataset, 0);
  EXPECT_EQ(pixels[0], 1.0f);
  EXPECT_EQ(pixels[256], 0.0f);
  EXPECT_EQ(load(*dataset, 1)[767], 128.0f / 255.0f);
  EXPECT_NE(message_of<FormatError>([&] { (void)load(*dataset, 3); }).find("broken.jpg"),
            std::string::npos);

  const auto cropped = open_image_folder(
      folder / "a", {.size = 8, .channels = 1, .random_crop = true, .flip = true});
  EXPECT_EQ(cropped->class_names(), std::vector<std::string>{"a"});
  EXPECT_EQ(load(*cropped, 0).size(), 64u);
}

TEST(Dataset, PicturesMayBeRectangles) {
  const TempFolder folder;
  std::filesystem::create_directories(folder / "a");
  Image(30, 20, 1, 100).save_png(folder / "a/wide.png");
  Image(20, 50, 1, 200).save_png(folder / "a/tall.png");
  for (const bool random : {false, true}) {
    const auto dataset =
        open_image_folder(folder.path(), {.size = 8, .width = 12, .random_crop = random});
    EXPECT_EQ(dataset->height(), 8);
    EXPECT_EQ(dataset->width(), 12);
    // There is no border: the picture covers the whole rectangle.
    for (const float value : load(*dataset, 0)) EXPECT_NEAR(value, 200 / 255.0, 1e-3);
    for (const float value : load(*dataset, 1)) EXPECT_NEAR(value, 100 / 255.0, 1e-3);
  }
  const TempFolder idx;
  write_fashion_mnist(idx);
  const auto padded = open_fashion_mnist(idx.path(), Split::train, {.size = 12, .width = 20});
  EXPECT_EQ(load(*padded, 0).size(), 240u);
  EXPECT_THROW((void)open_fashion_mnist(idx.path(), Split::train, {.size = 12, .width = 2}),
               ArgumentError);
  EXPECT_THROW((void)open_fashion_mnist(idx.path(), Split::train, {.width = 20}), ArgumentError);
}

TEST(Dataset, UsesSplitFolders) {
  const TempFolder folder;
  for (const char* name : {"train", "val"}) {
    std::filesystem::create_directories(folder / name + std::string("/x"));
    Image(8, 8, 1, 200).save_png(folder / name + std::string("/x/1.png"));
  }
  Image(8, 8, 1, 100).save_png(folder / "train/x/2.png");
  EXPECT_EQ(open_dataset(folder.path(), Split::train, {.size = 8})->size(), 2);
  EXPECT_EQ(open_dataset(folder.path(), Split::test, {.size = 8})->size(), 1);
}

TEST(Dataset, RefusesInvalidArgumentsAndFiles) {
  const TempFolder folder;
  write_fashion_mnist(folder);
  const auto dataset = open_fashion_mnist(folder.path(), Split::train);
  std::vector<float> room(16);
  EXPECT_THROW(dataset->image(-1, room), ArgumentError);
  EXPECT_THROW(dataset->image(3, room), ArgumentError);
  room.resize(15);
  EXPECT_THROW(dataset->image(0, room), ArgumentError);
  EXPECT_THROW((void)dataset->label(3), ArgumentError);
  EXPECT_THROW((void)slice(dataset, 2, 2), ArgumentError);
  EXPECT_THROW((void)slice(dataset, -1, 1), ArgumentError);
  EXPECT_THROW((void)split_at(dataset, 4), ArgumentError);
  EXPECT_THROW((void)slice(nullptr, 0, 0), ArgumentError);
  EXPECT_THROW((void)open_fashion_mnist(folder.path(), Split::train, {.size = 3}), ArgumentError);
  EXPECT_THROW((void)open_fashion_mnist(folder.path(), Split::train, {.channels = 2}),
               ArgumentError);
  EXPECT_THROW((void)open_image_folder(folder.path(), {}), ArgumentError);
  EXPECT_NE(message_of<FileError>([&] {
              (void)open_image_folder(folder.path(), {.size = 8});
            }).find("no PNG, JPEG"),
            std::string::npos);
  EXPECT_NE(message_of<FileError>([&] {
              (void)open_dataset(folder / "none", Split::train);
            }).find("none' is not a folder"),
            std::string::npos);
  EXPECT_THROW((void)open_image_folder(folder / "none", {.size = 8}), FileError);

  folder.write("train-labels-idx1-ubyte", idx_labels({1, 2}));
  EXPECT_NE(message_of<FormatError>([&] {
              (void)open_fashion_mnist(folder.path(), Split::train);
            }).find("3 pictures"),
            std::string::npos);
  folder.write("train-labels-idx1-ubyte", idx_labels({1, 2, 10}));
  EXPECT_NE(message_of<FormatError>([&] {
              (void)open_fashion_mnist(folder.path(), Split::train);
            }).find("the label 10"),
            std::string::npos);
  EXPECT_EQ(open_idx(folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte")
                ->class_names()
                .size(),
            11u);
  std::filesystem::remove(folder / "train-labels-idx1-ubyte");
  EXPECT_NE(message_of<FileError>([&] {
              (void)open_fashion_mnist(folder.path(), Split::train);
            }).find("train-labels-idx1-ubyte"),
            std::string::npos);

  // A picture so narrow that scaling it would need more pixels than the limit allows.
  Image(1, 3000, 1).save_png(folder / "strip.png");
  const auto strip = open_image_folder(folder.path(), {.size = 256});
  EXPECT_NE(message_of<FormatError>([&] {
              (void)load(*strip, 0);
            }).find("strip.png: a picture of 1 x 3000 is too narrow"),
            std::string::npos);
}

}  // namespace
}  // namespace rae::test
