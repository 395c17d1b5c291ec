#include "rae/io/data_survey.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "rae/io/image.hpp"
#include "support/idx_files.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

void write_picture(const TempFolder& folder, const std::string& name, int channels = 1) {
  fs::create_directories(fs::path(folder / name).parent_path());
  Image(8, 8, channels, 100).save_png(folder / name);
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

TEST(DataSurvey, CountsAndNamesWhatIsSkipped) {
  const TempFolder folder;
  for (const char* name : {"train/a/1.png", "train/a/2.png", "train/b/1.png", "test/a/1.png"})
    write_picture(folder, name);
  folder.write("train/b/anim.gif", "x");
  folder.write("train/b/broken.jpg", "no jpeg");
  folder.write("train/b/empty.png", "");
  const auto found = survey_dataset(folder.path(), Split::train, {.size = 8});
  EXPECT_EQ(found.survey.summary(),
            "train: 3 pictures in 2 classes (a 2, b 1), 1 test; 3 skipped (1 .gif without support, "
            "2 broken: " +
                folder / "train/b/broken.jpg" + ", ...)");
  EXPECT_EQ(found.data->size(), 3);
  ASSERT_EQ(found.survey.broken.size(), 2u);
  EXPECT_EQ(found.survey.broken[1].reason, "the file is empty");
  const std::string message = message_of<FormatError>([&] { found.survey.require_unbroken(); });
  EXPECT_NE(message.find("2 pictures in '" + folder.path() +
                         "' cannot be read ("
                         "--skip-broken goes on without them):\n  " +
                         folder / "train/b/broken.jpg: "),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("b/empty.png: the file is empty"), std::string::npos);
  EXPECT_EQ(survey_dataset(folder.path(), Split::test, {.size = 8}).survey.summary(),
            "test: 1 picture in 2 classes (a 1, b 0)");
}

TEST(DataSurvey, NamesAtMostTwentyBrokenPictures) {
  const TempFolder folder;
  for (int i = 10; i < 35; ++i) folder.write("a/" + std::to_string(i) + ".png", "x");
  const auto found = survey_dataset(folder.path(), Split::train, {.size = 8});
  EXPECT_FALSE(found.data);
  const std::string message = message_of<FormatError>([&] { found.survey.require_unbroken(); });
  EXPECT_NE(message.find("25 pictures in"), std::string::npos);
  EXPECT_NE(message.find("29.png"), std::string::npos);
  EXPECT_EQ(message.find("30.png"), std::string::npos);
  EXPECT_NE(message.find("and 5 more"), std::string::npos);
}

TEST(DataSurvey, FindsDamagedPixelsByDecoding) {
  const TempFolder folder;
  write_picture(folder, "a/1.png");
  write_picture(folder, "b/1.png");
  std::string bytes = slurp(folder / "a/1.png");
  bytes[bytes.size() - 20] ^= 1;  // in the compressed pixels
  folder.write("a/1.png", bytes);
  EXPECT_TRUE(survey_dataset(folder.path(), Split::train, {.size = 8}).survey.broken.empty());
  const auto found = survey_dataset(folder.path(), Split::train, {.size = 8}, SurveyDepth::pixels);
  ASSERT_EQ(found.survey.broken.size(), 1u);
  EXPECT_EQ(found.survey.broken[0].path, folder / "a/1.png");
  EXPECT_EQ(found.data->class_names(), std::vector<std::string>{"b"});
  EXPECT_NE(joined(found.survey.notes)
                .find("the class 'a' has no picture that can be read, so it is no class"),
            std::string::npos);
}

TEST(DataSurvey, NotesWhatIsLost) {
  const TempFolder folder;
  write_picture(folder, "a/1.png", 3);
  write_picture(folder, "a/2.png", 3);
  write_picture(folder, "a/3.png", 1);
  Image(1, 3000, 1).save_png(folder / "a/strip.png");
  const auto gray = survey_dataset(folder.path(), Split::train, {.size = 8, .channels = 1});
  EXPECT_NE(joined(gray.survey.notes).find("2 pictures with colour become gray"),
            std::string::npos);
  const auto large = survey_dataset(folder.path(), Split::train, {.size = 256});
  EXPECT_NE(joined(large.survey.notes).find("all 3 pictures are enlarged to 256 x 256 pixels"),
            std::string::npos)
      << joined(large.survey.notes);
  ASSERT_EQ(large.survey.broken.size(), 1u);
  EXPECT_EQ(large.survey.broken[0].reason, "a picture of 1 x 3000 is too narrow for 256 x 256");
}

TEST(DataSurvey, LooksAtIdxFiles) {
  const TempFolder folder;
  folder.write("train-images-idx3-ubyte", idx_images(3, 4, 4));
  folder.write("train-labels-idx1-ubyte", idx_labels({9, 0, 9}));
  folder.write("t10k-images-idx3-ubyte", idx_images(2, 4, 4));
  folder.write("t10k-labels-idx1-ubyte", idx_labels({1, 2}));
  const auto found = survey_dataset(folder.path(), Split::train, {});
  EXPECT_EQ(
      found.survey.summary(),
      "train: 3 pictures in 10 classes (0 1, 1 0, 2 0, 3 0, 4 0, 5 0, 6 0, 7 0, ...), 2 test");
  EXPECT_EQ(found.data->size(), 3);
}

TEST(DataSurvey, CanBeStopped) {
  const TempFolder folder;
  write_picture(folder, "a/1.png");
  EXPECT_THROW((void)survey_dataset(folder.path(), Split::train, {.size = 8}, SurveyDepth::headers,
                                    [](index_t, index_t) { return false; }),
               Cancelled);
}

}  // namespace
}  // namespace rae::test
