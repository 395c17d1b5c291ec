#include "rae/io/data_manifest.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "rae/io/data_difference.hpp"
#include "rae/io/dataset.hpp"
#include "rae/io/image.hpp"
#include "support/idx_files.hpp"
#include "support/temp_folder.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

/// Two classes of three and two pictures.
void write_pictures(const TempFolder& folder) {
  int value = 0;
  for (const char* name :
       {"large/0.png", "large/1.png", "large/2.png", "small/0.png", "small/1.png"}) {
    fs::create_directories(fs::path(folder / name).parent_path());
    Image(8, 8, 1, static_cast<std::uint8_t>(value += 10)).save_png(folder / name);
  }
}

DataManifest manifest_of(const TempFolder& folder, DatasetOptions options = {.size = 8},
                         ChecksumExtent extent = ChecksumExtent::sampled) {
  return open_image_folder(folder.path(), options)->manifest(extent);
}

TEST(DataManifest, IsAValueThatJsonKeeps) {
  const TempFolder folder;
  write_pictures(folder);
  fs::copy_file(folder / "small/0.png", folder / "small/a\\b\n\xff.png");
  const DataManifest manifest =
      manifest_of(folder, {.size = 8, .flip = true, .seed = ~std::uint64_t{0}});
  ASSERT_EQ(manifest.classes.size(), 2u);
  EXPECT_EQ(manifest.pictures(), 6);
  EXPECT_EQ(manifest.classes[1].name, "small");
  EXPECT_EQ(manifest.classes[1].files[2].name, "a\\b\n\xff.png");
  EXPECT_EQ(manifest.classes[1].files[2].checksum, manifest.classes[1].files[0].checksum);
  EXPECT_EQ(manifest.options.channels, 3);
  EXPECT_EQ(manifest.options.width, 8);
  const std::string json = manifest.to_config().to_json();
  const DataManifest again = DataManifest::from_config(ConfigNode::parse_json(json));
  EXPECT_EQ(again, manifest);
  EXPECT_EQ(again.checksum(), manifest.checksum());
  EXPECT_EQ(describe_difference(manifest, again), "");
  EXPECT_EQ(manifest_of(folder, {.size = 8, .flip = true, .seed = ~std::uint64_t{0}}), manifest);
}

TEST(DataManifest, NamesChangesByKind) {
  const TempFolder folder;
  write_pictures(folder);
  const DataManifest saved = manifest_of(folder);

  fs::rename(folder / "small", folder / "Aaa_small");
  auto found = differences(saved, manifest_of(folder));
  ASSERT_EQ(found.size(), 2u);  // no picture counts as removed or added
  EXPECT_EQ(found[0].kind, DataChange::classes);
  EXPECT_EQ(found[0].text, "class 0 was 'large', is 'Aaa_small'");
  EXPECT_EQ(found[1].text, "class 1 was 'small', is 'large'");
  fs::rename(folder / "Aaa_small", folder / "small");

  fs::rename(folder / "small", folder / "tiny");
  EXPECT_EQ(describe_difference(saved, manifest_of(folder)), "class 1 was 'small', is 'tiny'");
  EXPECT_EQ(
      describe_difference(saved.without_class_names(), manifest_of(folder).without_class_names()),
      "");
  fs::rename(folder / "tiny", folder / "small");
  EXPECT_EQ(manifest_of(folder), saved);

  fs::remove(folder / "small/0.png");
  fs::copy_file(folder / "large/0.png", folder / "large/7.png");
  fs::copy_file(folder / "large/0.png", folder / "large/8.png");
  Image(8, 8, 1, 99).save_png(folder / "large/1.png");
  found = differences(saved, manifest_of(folder));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].kind, DataChange::pictures_removed);
  EXPECT_EQ(found[0].text, "1 picture removed (small/0.png)");
  EXPECT_EQ(found[1].kind, DataChange::pictures_added);
  EXPECT_EQ(found[1].text, "2 pictures added (large/7.png, large/8.png)");
  EXPECT_EQ(found[2].kind, DataChange::pictures_changed);
  EXPECT_EQ(found[2].text, "1 picture changed (large/1.png)");

  const TempFolder other;
  write_pictures(other);
  fs::create_directories(other / "medium");
  Image(8, 8, 1, 5).save_png(other / "medium/0.png");
  EXPECT_EQ(describe_difference(saved, manifest_of(other)),
            "class 1 was 'small', is 'medium'; class 2 is new: 'small'; 1 picture added "
            "(medium/0.png)");
  EXPECT_EQ(describe_difference(manifest_of(other), saved),
            "class 1 was 'medium', is 'small'; class 2 was 'small', is missing; 1 picture removed "
            "(medium/0.png)");
}

TEST(DataManifest, NamesChangedOptions) {
  const TempFolder folder;
  write_pictures(folder);
  const DataManifest saved = manifest_of(folder);
  EXPECT_EQ(describe_difference(saved, manifest_of(folder, {.size = 8, .flip = true})),
            "flip was false, is true");
  // A seed of which nothing is drawn is no difference.
  EXPECT_EQ(describe_difference(saved, manifest_of(folder, {.size = 8, .seed = 4})), "");
  const auto found = differences(manifest_of(folder, {.size = 8, .random_crop = true, .seed = 3}),
                                 manifest_of(folder, {.size = 9, .random_crop = true, .seed = 4}));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].kind, DataChange::options);
  EXPECT_EQ(found[0].text, "the height of the pictures was 8, is 9");
  EXPECT_EQ(found[2].text, "the seed of the data was 3, is 4");
}

TEST(DataManifest, SamplesLargeFilesUnlessAllOfThemIsAsked) {
  const TempFolder folder;
  std::string content(100'000, 'a');
  folder.write("x", content);
  const auto checksum = [&](ChecksumExtent extent) {
    return manifest_file(folder / "x", "x", extent).checksum;
  };
  const auto sampled = checksum(ChecksumExtent::sampled), full = checksum(ChecksumExtent::full);
  EXPECT_EQ(manifest_file(folder / "x", "x").bytes, 100'000u);
  content[30'000] = 'b';  // between the samples
  folder.write("x", content);
  EXPECT_EQ(checksum(ChecksumExtent::sampled), sampled);
  EXPECT_NE(checksum(ChecksumExtent::full), full);
  for (const std::size_t at : {0u, 4095u, 50'000u, 95'904u, 99'999u}) {
    std::string other = content;
    other[at] = 'b';
    folder.write("x", other);
    EXPECT_NE(checksum(ChecksumExtent::sampled), sampled) << at;
  }
  EXPECT_THROW((void)manifest_file(folder / "none", "none"), FileError);

  const TempFolder pictures;
  write_pictures(pictures);
  EXPECT_NE(describe_difference(manifest_of(pictures),
                                manifest_of(pictures, {.size = 8}, ChecksumExtent::full))
                .find("the checksums were sampled, are full"),
            std::string::npos);
}

TEST(DataManifest, LeavesLongListsOutOfJson) {
  DataManifest manifest;
  manifest.classes.push_back({"a"});
  for (int i = 0; i < 40'000; ++i)
    manifest.classes[0].files.push_back({"picture-" + std::to_string(i) + ".png", 1000, 7});
  manifest.classes[0].pictures = 40'000;
  manifest.classes[0].checksum = checksum_of(manifest.classes[0].files);
  const std::string json = manifest.to_config().to_json();
  EXPECT_LT(json.size(), 1000u);
  const DataManifest saved = DataManifest::from_config(ConfigNode::parse_json(json));
  EXPECT_EQ(saved.checksum(), manifest.checksum());
  EXPECT_EQ(describe_difference(saved, manifest), "");
  DataManifest now = manifest;
  now.classes[0].files[3].bytes = 1;
  now.classes[0].checksum = checksum_of(now.classes[0].files);
  EXPECT_EQ(describe_difference(saved, now), "the pictures of class 'a' changed");
  now.classes[0].files.pop_back();
  --now.classes[0].pictures;
  now.classes[0].checksum = checksum_of(now.classes[0].files);
  EXPECT_EQ(describe_difference(saved, now), "class 'a' had 40000 pictures, has 39999");
  EXPECT_EQ(differences(saved, now).front().kind, DataChange::pictures_removed);
}

TEST(DataManifest, CoversIdxFilesSlicesAndOtherDataSets) {
  const TempFolder folder;
  folder.write("train-images-idx3-ubyte", idx_images(3, 4, 4));
  folder.write("train-labels-idx1-ubyte", idx_labels({9, 0, 9}));
  const auto data = open_fashion_mnist(folder.path(), Split::train);
  const DataManifest saved = data->manifest();
  EXPECT_EQ(saved.pictures(), 3);
  EXPECT_EQ(saved.classes.size(), 10u);
  EXPECT_EQ(saved.classes[9].pictures, 2);
  EXPECT_EQ(DataManifest::from_config(saved.to_config()), saved);
  folder.write("train-labels-idx1-ubyte", idx_labels({9, 9, 0}));
  EXPECT_EQ(describe_difference(saved, open_fashion_mnist(folder.path(), Split::train)->manifest()),
            "the pictures of class 'T-shirt/top' changed; the pictures of class 'Ankle boot' "
            "changed");
  const DataManifest part = slice(data, 1, 2)->manifest();
  EXPECT_EQ(part.pictures(), 2);
  EXPECT_EQ(part.classes[0], saved.classes[0]);
  EXPECT_THROW((void)data->manifest(2, 2, ChecksumExtent::sampled), ArgumentError);

  const ToyDataset toy(8, 8, 4), more(12, 8, 4);
  EXPECT_EQ(toy.manifest().pictures(), 8);
  EXPECT_EQ(toy.manifest(), ToyDataset(8, 8, 4).manifest());
  EXPECT_EQ(differences(toy.manifest(), more.manifest()).size(), 4u);
}

TEST(DataManifest, RefusesConfigurationsThatAreNone) {
  const TempFolder folder;
  write_pictures(folder);
  const ConfigNode good = manifest_of(folder).to_config();
  const auto refused = [&](const char* path, ConfigNode value) {
    ConfigNode node = good;
    node.set_path(path, std::move(value));
    EXPECT_THROW((void)DataManifest::from_config(node), ConfigError) << path;
  };
  refused("extent", "some");
  refused("options.seed", "-1");
  refused("options.seed", "18446744073709551616");
  refused("options.flip", 1);
  refused("unknown", 1);
  for (const char* files : {"x", "0000000 1 a\n", "00000000 1\n", "00000000 1 \\xg0\n",
                            "00000000 1 a\n00000000 1 b\n"}) {
    ConfigNode c = good.at("classes").elements()[0];
    c.set("files", files);
    refused("classes", ConfigNode::list({c}));
  }
}

}  // namespace
}  // namespace rae::test
