// Folders of pictures as people have them: hidden files, splits, and everything that is left aside.
#include "rae/io/image_folder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "io/folder_listing.hpp"
#include "io/picture_cache.hpp"
#include "rae/io/data_survey.hpp"
#include "rae/io/dataset.hpp"
#include "rae/io/image.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

void write_picture(const TempFolder& folder, const std::string& name, std::uint8_t value = 100) {
  fs::create_directories(fs::path(folder / name).parent_path());
  Image(8, 8, 1, value).save_png(folder / name);
}

std::vector<std::string> classes_of(const std::string& folder, Split split = Split::train) {
  return open_dataset(folder, split, {.size = 8})->class_names();
}

using Names = std::vector<std::string>;

TEST(ImageFolder, IgnoresWhatIsHidden) {
  const TempFolder folder;
  write_picture(folder, "large/000.png");
  write_picture(folder, "small/000.png");
  for (const char* name :
       {".ipynb_checkpoints/000-checkpoint.png", "__MACOSX/large/000.png", "__MACOSX/000.png",
        "small/._000.png", "small/.ipynb_checkpoints/000.png", "@eaDir/1.png", "small/@eaDir/2.png",
        ".hidden.png"})
    write_picture(folder, name);
  folder.write(".DS_Store", "x");
  folder.write("small/Thumbs.db", "x");
  folder.write("small/desktop.ini", "x");
  const auto data = open_dataset(folder.path(), Split::train, {.size = 8});
  EXPECT_EQ(data->class_names(), (Names{"large", "small"}));
  EXPECT_EQ(data->size(), 2);
  EXPECT_TRUE(detail::list_picture_folder(folder.path()).notes.empty());
}

TEST(ImageFolder, FindsThePartsByTheirUsualNames) {
  for (const std::string test : {"test", "val", "validation", "valid"}) {
    const TempFolder folder;
    write_picture(folder, "train/a/1.png");
    write_picture(folder, "train/b/1.png");
    write_picture(folder, test + "/b/7.png", 30);
    EXPECT_EQ(classes_of(folder.path()), (Names{"a", "b"})) << test;
    const auto part = open_dataset(folder.path(), Split::test, {.size = 8});
    ASSERT_EQ(part->size(), 1) << test;
    EXPECT_EQ(part->class_names(), (Names{"a", "b"}));
    EXPECT_EQ(part->label(0), 1);  // that of b in the training part, although a is missing
  }
}

TEST(ImageFolder, ALoneTrainFolderIsBothParts) {
  const TempFolder folder;
  write_picture(folder, "train/a/1.png");
  write_picture(folder, "train/b/1.png");
  folder.write("README.txt", "x");
  write_picture(folder, ".cache/1.png");
  EXPECT_EQ(classes_of(folder.path()), (Names{"a", "b"}));
  EXPECT_EQ(classes_of(folder.path(), Split::test), (Names{"a", "b"}));
  // Beside other classes it is a class itself: pictures of trains.
  write_picture(folder, "train/1.png");
  write_picture(folder, "car/1.png");
  EXPECT_EQ(classes_of(folder.path()), (Names{"car", "train"}));
}

TEST(ImageFolder, NamesWhatIsNotUsed) {
  const TempFolder folder;
  write_picture(folder, "a/1.png");
  write_picture(folder, "a/more/2.png");
  write_picture(folder, "a/more/deeper/3.png");
  write_picture(folder, "loose.png");
  fs::create_directories(folder / "empty");
  folder.write("a/anim.GIF", "x");
  folder.write("a/notes.txt", "x");
  fs::create_symlink("nowhere.png", folder / "a/link.png");
  fs::create_symlink("loop", folder / "a/loop");
  const auto listing = detail::list_picture_folder(folder.path());
  ASSERT_EQ(listing.classes.size(), 1u);
  EXPECT_EQ(listing.classes[0].files.size(), 1u);
  EXPECT_EQ(listing.unsupported, (std::map<std::string, index_t>{{".gif", 1}}));
  std::string all;
  for (const std::string& note : listing.notes) all += note + "\n";
  for (const std::string& wanted :
       {folder / "a/link.png" + " leads nowhere", folder / "a/loop" + " leads nowhere",
        "the folder " + folder / "empty" + " has no pictures, so it is no class",
        "1 picture beside the class folders, such as " + folder / "loose.png" + ", not used",
        "2 pictures in folders inside class folders, such as " + folder / "a/more" + ", not used"})
    EXPECT_NE(all.find(wanted), std::string::npos) << wanted << "\n" << all;
  EXPECT_EQ(listing.notes.size(), 5u) << all;
}

TEST(ImageFolder, FollowsLinksButNotForever) {
  const TempFolder folder, other;
  write_picture(folder, "a/1.png");
  write_picture(other, "1.png");
  write_picture(other, "2.png");
  fs::create_directory_symlink(other.path(), folder / "b");
  fs::create_symlink(other / "1.png", folder / "a/2.png");
  fs::create_directory_symlink("..", folder / "a/up");
  const auto listing = detail::list_picture_folder(folder.path());
  ASSERT_EQ(listing.classes.size(), 2u);
  EXPECT_EQ(listing.classes[0].files.size(), 2u);
  EXPECT_EQ(listing.classes[1].files.size(), 2u);
}

TEST(ImageFolder, RefusesAFolderWithoutPicturesByWhatItContains) {
  const TempFolder folder;
  write_picture(folder, "animals/cats/1.png");
  folder.write("animals/x.tiff", "x");
  const std::string message = message_of<FileError>([&] { (void)classes_of(folder.path()); });
  EXPECT_NE(message.find("found only 1 .tiff"), std::string::npos) << message;
  EXPECT_NE(message.find("1 picture in deeper folders, such as " + folder / "animals/cats" +
                         " (expected FOLDER/CLASS/PICTURE)"),
            std::string::npos)
      << message;
}

TEST(ImageFolder, RefusesTestClassesThatTheTrainingPartLacks) {
  const TempFolder folder;
  write_picture(folder, "train/cat/1.png");
  write_picture(folder, "train/dog/1.png");
  write_picture(folder, "val/cats/1.png");
  const std::string message =
      message_of<FileError>([&] { (void)classes_of(folder.path(), Split::test); });
  EXPECT_NE(message.find("the class 'cats' is none of the 2 classes of the training part"),
            std::string::npos)
      << message;
  // Without class folders, the only class has the name of its folder.
  const TempFolder flat;
  write_picture(flat, "train/1.png");
  write_picture(flat, "test/1.png");
  EXPECT_EQ(classes_of(flat.path(), Split::test), Names{"train"});
}

TEST(ImageFolder, NamesASingleClassAfterItsFolder) {
  const TempFolder folder;
  write_picture(folder, "photos/1.png");
  EXPECT_EQ(classes_of(folder / "photos"), Names{"photos"});
  EXPECT_EQ(classes_of(folder / "photos/"), Names{"photos"});
}

TEST(ImageFolder, LeavesOutPictures) {
  const TempFolder folder;
  write_picture(folder, "a/1.png");
  write_picture(folder, "b/1.png", 10);
  write_picture(folder, "b/2.png", 20);
  const auto data = open_dataset(folder.path(), Split::train, {.size = 8},
                                 {folder / "a/1.png", folder / "b/1.png"});
  EXPECT_EQ(data->size(), 1);
  EXPECT_EQ(data->class_names(), Names{"b"});
  EXPECT_THROW((void)open_dataset(folder / "a", Split::train, {.size = 8}, {folder / "a/1.png"}),
               FileError);
}

TEST(ImageFolder, TurnsPicturesAsExifSaysUnlessAskedNotTo) {
  const TempFolder folder;
  fs::create_directories(folder / "a");
  fs::copy_file(data_path("golden/pictures/orientation3.jpg"), folder / "a/1.jpg");
  for (const bool ignore : {false, true}) {
    const DatasetOptions options{.size = 8, .ignore_exif = ignore};
    std::vector<float> pixels(192);  // (3, 8, 8)
    open_image_folder(folder.path(), options)->image(0, pixels);
    const Tensor<float> wanted = Image::open(folder / "a/1.jpg", {.exif = !ignore})
                                     .to_rgb()
                                     .center_crop(8)
                                     .to_tensor();  // (1, 3, 8, 8)
    EXPECT_TRUE(std::equal(pixels.begin(), pixels.end(), wanted.span().begin())) << ignore;
    const auto notes = survey_dataset(folder.path(), Split::train, options).survey.notes;
    EXPECT_EQ(std::count(notes.begin(), notes.end(),
                         "1 picture is not turned as its EXIF orientation says"),
              ignore ? 1 : 0);
  }
}

TEST(ImageFolder, APictureThatBreaksLaterIsNamedWithAHint) {
  const TempFolder folder;
  write_picture(folder, "a/1.png");
  const auto data = open_image_folder(folder.path(), {.size = 8});
  std::string bytes = slurp(folder / "a/1.png");
  bytes[bytes.size() - 20] ^= 1;  // in the compressed pixels
  folder.write("a/1.png", bytes);
  std::vector<float> pixels(192);  // (3, 8, 8)
  const std::string message = message_of<FormatError>([&] { data->image(0, pixels); });
  EXPECT_NE(message.find("a/1.png"), std::string::npos) << message;
  EXPECT_NE(message.find("rae train --check-data"), std::string::npos) << message;
}

/// Pictures read as a whole (`part` false) or as their upper left quarter.
std::vector<float> read_picture(const ImageDataset& data, index_t i, bool part) {
  std::vector<float> out(static_cast<std::size_t>(data.image_size()));
  if (part)
    data.part(i, out, 0, [](index_t w, index_t h) { return PixelBox{0, 0, w / 2, h / 2}; });
  else
    data.image(i, out);
  return out;
}

TEST(ImageFolder, KeepsPicturesFromTheirSecondReadingOn) {
  for (const bool part : {false, true}) {
    SCOPED_TRACE(part);
    const TempFolder folder;
    write_picture(folder, "a/1.png", 50);
    write_picture(folder, "a/2.png", 60);
    const auto data = open_image_folder(folder.path(), {.size = 8});
    const auto first = read_picture(*data, 0, part);
    EXPECT_EQ(read_picture(*data, 0, part), first);
    (void)read_picture(*data, 1, part);
    fs::remove_all(folder / "a");
    EXPECT_EQ(read_picture(*data, 0, part), first);
    EXPECT_THROW((void)read_picture(*data, 1, part), Error);  // it was read only once
  }
}

TEST(ImageFolder, DoesNotKeepPicturesAboveTheirShareOfTheMemory) {
  detail::PictureCache cache(10, 1000);
  int decoded = 0;
  const auto read = [&](std::size_t i, index_t side) {
    return cache.get(i, [&] { return ++decoded, Image(side, side, 1, 7); })->width();
  };
  for (int n = 0; n < 4; ++n) EXPECT_EQ(read(0, 10), 10);  // 100 bytes, a tenth of the budget
  EXPECT_EQ(decoded, 2);
  for (int n = 0; n < 4; ++n) EXPECT_EQ(read(1, 11), 11);
  EXPECT_EQ(decoded, 6);
}

}  // namespace
}  // namespace rae::test
