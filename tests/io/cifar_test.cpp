#include "rae/io/cifar.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "rae/io/data_difference.hpp"
#include "rae/io/data_survey.hpp"
#include "rae/io/dataset.hpp"
#include "rae/io/file.hpp"
#include "support/cifar_files.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

std::vector<float> picture(const ImageDataset& data, index_t i, std::uint64_t epoch = 0) {
  std::vector<float> out(static_cast<std::size_t>(data.image_size()));
  data.image(i, out, epoch);
  return out;
}

TEST(Cifar, ReadsCifar10) {
  for (const std::string place : {"", "cifar-10-batches-bin/"}) {
    const TempFolder folder;
    write_cifar10(folder, place);
    const auto train = open_dataset(folder.path(), Split::train),
               test = open_dataset(folder.path(), Split::test);
    EXPECT_EQ(train->size(), 10);
    EXPECT_EQ(test->size(), 3);
    EXPECT_EQ(train->channels(), 3);
    EXPECT_EQ(train->height(), 32);
    EXPECT_EQ(train->width(), 32);
    ASSERT_EQ(train->class_names().size(), 10u);
    EXPECT_EQ(train->class_names()[9], "truck");
    const index_t labels[] = {0, 9, 1, 8, 2, 7, 3, 6, 4, 5};
    for (index_t i = 0; i < 10; ++i) EXPECT_EQ(train->label(i), labels[i]) << i;
    EXPECT_EQ(test->label(2), 4);
    // Picture 7 is the second of its file: its samples count up from 1, in planes of 1,024.
    const std::vector<float> pixels = picture(*train, 7);
    for (const std::size_t at : {0u, 5u, 1023u, 1024u, 3071u})
      EXPECT_EQ(pixels[at], static_cast<float>((at + 1) % 256) / 255.0f) << at;
  }
}

TEST(Cifar, ReadsCifar100) {
  for (const std::string place : {"", "cifar-100-binary/"}) {
    const TempFolder folder;
    (void)folder.write(place + "train.bin", cifar100_records({{19, 0}, {0, 99}}));
    (void)folder.write(place + "test.bin", cifar100_records({{1, 2}}));
    (void)folder.write(place + "fine_label_names.txt", cifar_names("fine ", 100));
    (void)folder.write(place + "coarse_label_names.txt", cifar_names("coarse ", 20));
    const auto data = open_dataset(folder.path(), Split::train);
    EXPECT_EQ(data->size(), 2);
    EXPECT_EQ(data->label(1), 99);
    EXPECT_EQ(data->class_names()[99], "fine 99");
    EXPECT_EQ(picture(*data, 1)[0], 1 / 255.0f);
    EXPECT_EQ(open_dataset(folder.path(), Split::test)->label(0), 2);
    const auto coarse = open_cifar(folder.path(), Split::train, {}, CifarLabels::coarse);
    EXPECT_EQ(coarse->label(0), 19);
    ASSERT_EQ(coarse->class_names().size(), 20u);
    EXPECT_EQ(coarse->class_names()[19], "coarse 19");
  }
}

TEST(Cifar, VariesByEpochOnlyWhereTheOptionsSaySo) {
  const TempFolder folder;
  write_cifar10(folder);
  const auto varies = [&](const DatasetOptions& options) {
    const auto all = open_dataset(folder.path(), Split::train, options);
    const bool whole = all->varies_by_epoch();
    EXPECT_EQ(subset(all, {3, 1})->varies_by_epoch(), whole);
    EXPECT_EQ(slice(all, 2, 3)->varies_by_epoch(), whole);
    return whole;
  };
  EXPECT_FALSE(varies({}));
  EXPECT_TRUE(varies({.flip = true}));
  EXPECT_TRUE(varies({.random_crop = true}));
}

TEST(Cifar, ConvertsPicturesAsThoseOfFolders) {
  const TempFolder folder;
  write_cifar10(folder);
  const auto plain = open_cifar(folder.path(), Split::train),
             large = open_cifar(folder.path(), Split::train, {.size = 48, .width = 64}),
             gray = open_cifar(folder.path(), Split::train, {.channels = 1}),
             flipped = open_cifar(folder.path(), Split::train, {.flip = true}),
             cropped = open_cifar(folder.path(), Split::train, {.random_crop = true});
  EXPECT_EQ(large->image_size(), 3 * 48 * 64);
  EXPECT_EQ(picture(*large, 0).size(), 3u * 48 * 64);
  EXPECT_EQ(gray->image_size(), 1024);
  const std::vector<float> whole = picture(*plain, 0);
  // Luma of the three planes, which are equal.
  EXPECT_NEAR(picture(*gray, 0)[9], whole[9], 1.5 / 255);
  bool changed = false, kept = false;
  for (std::uint64_t epoch = 0; epoch < 16; ++epoch) {
    const std::vector<float> other = picture(*flipped, 0, epoch);
    (other == whole ? kept : changed) = true;
    EXPECT_TRUE(other == whole || other[0] == whole[31]);
    EXPECT_EQ(picture(*plain, 0, epoch), whole);
  }
  EXPECT_TRUE(changed && kept);
  EXPECT_NE(picture(*cropped, 0, 1), picture(*cropped, 0, 2));
  std::vector<float> part(static_cast<std::size_t>(plain->image_size()));
  plain->part(0, part, 0, [](index_t width, index_t height) {
    EXPECT_EQ(width, 32);
    EXPECT_EQ(height, 32);
    return PixelBox{0, 0, 32, 32};
  });
  EXPECT_EQ(part, whole);
  EXPECT_THROW((void)open_cifar(folder.path(), Split::train, {.channels = 2}), ArgumentError);
  EXPECT_THROW((void)open_cifar(folder.path(), Split::train, {}, CifarLabels::coarse),
               ArgumentError);
}

TEST(Cifar, HasASurveyAndAManifest) {
  const TempFolder folder;
  write_cifar10(folder);
  const auto found = survey_dataset(folder.path(), Split::train, {.channels = 1});
  EXPECT_EQ(found.survey.summary(),
            "train: 10 pictures in 10 classes (airplane 1, automobile 1, bird 1, cat 1, deer 1, "
            "dog 1, frog 1, horse 1, ...), 3 test");
  ASSERT_EQ(found.survey.notes.size(), 1u);
  EXPECT_EQ(found.survey.notes[0], "all 10 pictures with colour become gray");
  EXPECT_EQ(survey_dataset(folder.path(), Split::test, {}).survey.pictures(), 3);

  const DataManifest saved = open_cifar(folder.path(), Split::train)->manifest();
  EXPECT_EQ(saved.pictures(), 10);
  EXPECT_EQ(saved.options.size, 32);
  EXPECT_EQ(DataManifest::from_config(saved.to_config()), saved);
  std::string changed = cifar10_records({1, 8});
  changed.back() = static_cast<char>(changed.back() + 1);  // a sample of the second picture
  (void)folder.write("data_batch_2.bin", changed);
  EXPECT_EQ(describe_difference(saved, open_cifar(folder.path(), Split::train)->manifest()),
            "the pictures of class 'ship' changed");
}

TEST(Cifar, NamesWhatIsMissing) {
  for (const char* name : {"data_batch_3.bin", "batches.meta.txt"}) {
    const TempFolder folder;
    write_cifar10(folder);
    fs::remove(folder / name);
    const std::string message =
        message_of<FileError>([&] { (void)open_dataset(folder.path(), Split::train); });
    EXPECT_NE(message.find(concat("has files of CIFAR-10, but no ", name)), std::string::npos)
        << message;
  }
  const TempFolder folder;
  write_cifar10(folder);
  fs::remove(folder / "test_batch.bin");
  EXPECT_EQ(survey_dataset(folder.path(), Split::train, {}).survey.test, 0);
  EXPECT_THROW((void)open_dataset(folder.path(), Split::test), FileError);
  EXPECT_THROW((void)survey_dataset(folder.path(), Split::test, {}), FileError);
  const TempFolder empty;
  EXPECT_THROW((void)open_cifar(empty.path(), Split::train), FileError);
}

TEST(Cifar, RefusesDamagedFiles) {
  const std::string good = cifar10_records({0, 9});
  const auto records = [](const std::string& bytes, Cifar kind) {
    return [bytes, kind] { (void)CifarRecords(as_byte_span(bytes), kind, "FILE"); };
  };
  const auto names = [](const std::string& text) {
    return [text] { (void)parse_cifar_names(as_byte_span(text), 3, "FILE"); };
  };
  EXPECT_EQ(CifarRecords(as_byte_span(good), Cifar::cifar10, "FILE").size(), 2);
  EXPECT_EQ(parse_cifar_names(as_byte_span(std::string("a b\r\nc\nd")), 3)[0], "a b");
  const std::pair<std::function<void()>, const char*> cases[] = {
      {records("", Cifar::cifar10), "empty"},
      {records(good.substr(0, good.size() - 1), Cifar::cifar10), "is it truncated?"},
      {records(good + "x", Cifar::cifar10), "1 after the last whole record"},
      {records(good, Cifar::cifar100), "CIFAR-100: expected records of 3074 bytes"},
      {records(cifar10_records({0, 10}), Cifar::cifar10),
       "picture 1 has the label 10, expected one below 10"},
      {records(cifar100_records({{0, 100}}), Cifar::cifar100), "fine label 100"},
      {records(cifar100_records({{20, 0}}), Cifar::cifar100), "coarse label 20"},
      {records("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
               Cifar::cifar10),
       "git-lfs"},
      {names("a\nb\n"), "expected 3 names, one in each line, got 2"},
      {names("a\nb\nc\nd\n"), "expected 3 names, one in each line, got 4"},
      {names("a\n\nc\n"), "line 2 has no name"},
      {names(std::string(100000, 'a')), "100000 bytes"}};
  for (const auto& [read, expected] : cases) {
    const std::string message = message_of<FormatError>(read);
    EXPECT_NE(message.find(expected), std::string::npos) << message;
    EXPECT_NE(message.find("FILE"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace rae::test
