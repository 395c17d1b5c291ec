// Folders that commands write: new or empty, complete or not at all, replaced only when asked.
#include <algorithm>

#include "rae/io/image.hpp"
#include "rae/io/safetensors.hpp"
#include "support/golden.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"
#include "tool/small_disk.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

/// A command that writes the folder "d".
struct FolderCommand {
  std::string name;
  Words command, smaller;      // `smaller` writes fewer files
  Words files, smaller_files;  // some of those that they write
  rlim_t bytes = 0;            // too few for one of the files
};

void PrintTo(const FolderCommand& row, std::ostream* out) { *out << row.name; }

class OutputFolders : public ToolTest, public testing::WithParamInterface<FolderCommand> {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    const SafetensorsEntry latents{"latent",
                                   Tensor<float>(Shape{3, 16, 2, 2}, 0.5f)};  // (B, C, h, w)
    write_safetensors(path("z.safetensors"), {&latents, 1});
    const SafetensorsEntry latent{"latent",
                                  Tensor<float>(Shape{1, 16, 2, 2}, 0.5f)};  // (B, C, h, w)
    write_safetensors(path("one.safetensors"), {&latent, 1});
    fs::create_directory_symlink(data_path("golden/e2e_dinov2_ag"), path("G"));
  }

  [[nodiscard]] Words inside() const {
    Words out;
    for (const auto& entry : fs::recursive_directory_iterator(path("d")))
      if (entry.is_regular_file()) out.push_back(fs::relative(entry.path(), path("d")).string());
    std::sort(out.begin(), out.end());
    return out;
  }
  static Words with(Words command, const std::string& option) {
    command.push_back(option);
    return command;
  }
};

TEST_P(OutputFolders, ASecondRunNeitherMixesNorDeletes) {
  const FolderCommand& row = GetParam();
  ASSERT_EQ(rae(row.command).status, 0);
  const Words first = inside();
  for (const std::string& file : row.files) EXPECT_TRUE(exists("d/" + file)) << file;
  const auto second = rae(row.smaller);
  EXPECT_EQ(second.status, 1);
  EXPECT_TRUE(
      contains(second.err, "is not empty; choose another, or replace its files with --overwrite"));
  EXPECT_EQ(inside(), first);

  const auto replaced = rae(with(row.smaller, "--overwrite"));
  EXPECT_EQ(replaced.status, 0) << replaced.err;
  EXPECT_EQ(inside(), row.smaller_files);

  write("d/mine.txt", "mine");
  const auto foreign = rae(with(row.command, "--overwrite"));
  EXPECT_EQ(foreign.status, 1);
  EXPECT_TRUE(contains(foreign.err, "also contains 'mine.txt'"));
  EXPECT_EQ(slurp(path("d/mine.txt")), "mine");
  fs::remove(path("d/mine.txt"));
  EXPECT_EQ(inside(), row.smaller_files);
}

TEST_P(OutputFolders, AnEmptyFolderIsUsedAsItIs) {
  fs::create_directories(path("real"));
  fs::permissions(path("real"), fs::perms(0700));
  fs::create_directory_symlink("real", path("d"));
  const auto result = rae(GetParam().command);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(fs::is_symlink(path("d")));
  EXPECT_EQ(fs::status(path("real")).permissions(), fs::perms(0700));
  for (const std::string& file : GetParam().files) EXPECT_TRUE(exists("real/" + file)) << file;
  for (const auto& entry : fs::directory_iterator(path("real")))
    EXPECT_NE(entry.path().filename().string().substr(0, 1), ".");
}

TEST_P(OutputFolders, AFullDiskLeavesNothingHalf) {
  const FolderCommand& row = GetParam();
  const auto on_full_disk = [&](const Words& command) {
    pid_t child = 0;
    {
      const SmallDisk disk(row.bytes, true);
      child = start(command);
    }
    const auto result = finish(child);
    EXPECT_EQ(result.status, 1);
    EXPECT_TRUE(contains(result.err, "File too large"));
    EXPECT_EQ(result.err.find(".tmp-"), std::string::npos) << result.err;
    EXPECT_EQ(result.out, "");
  };
  const Words before = files();
  on_full_disk(row.command);
  EXPECT_EQ(files(), before);

  fs::create_directory(path("d"));
  on_full_disk(row.command);
  EXPECT_TRUE(fs::is_empty(path("d")));

  ASSERT_EQ(rae(row.smaller).status, 0);
  const std::string kept = slurp(path("d/" + row.smaller_files.back()));
  on_full_disk(with(row.command, "--overwrite"));
  EXPECT_EQ(inside(), row.smaller_files);
  EXPECT_EQ(slurp(path("d/" + row.smaller_files.back())), kept);
}

INSTANTIATE_TEST_SUITE_P(
    Table, OutputFolders,
    testing::Values(FolderCommand{"Generate",
                                  {"generate", "-m", "m.safetensors", "--count", "3", "--grid",
                                   "-o", "d"},
                                  {"generate", "-m", "m.safetensors", "--count", "1", "-o", "d/"},
                                  {"000000-circle.png", "000002-star.png", "grid.png"},
                                  {"000000-circle.png"},
                                  100},
                    FolderCommand{"Decode",
                                  {"decode", "-m", "m.safetensors", "z.safetensors", "d"},
                                  {"decode", "-m", "m.safetensors", "one.safetensors", "d"},
                                  {"000000.png", "000002.png"},
                                  {"000000.png"},
                                  100},
                    FolderCommand{"ConvertToOfficial",
                                  {"convert", "G/config.yaml", "d", "--to", "official"},
                                  {"convert", "m.safetensors", "d", "--to", "official"},
                                  {"config.yaml", "encoder/model.safetensors", "decoder/model.pt",
                                   "guide/stage2_model.pt", "stats/stat.pt"},
                                  {"decoder/config.json", "decoder/model.pt", "dit/stage2_model.pt",
                                   "encoder/config.json", "encoder/model.safetensors",
                                   "encoder/preprocessor_config.json", "stats/stat.pt"},
                                  60000}),
    [](const auto& row) { return row.param.name; });

class OutputFolder : public OutputFolders {};

TEST_F(OutputFolder, OtherFilesThatTheCommandWritesIntoItStay) {
  fs::create_directory(path("d"));
  const auto result = rae(
      {"generate", "-m", "m.safetensors", "-n", "1", "-o", "d", "--latent-out", "d/l.safetensors"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(inside(), (Words{"000000-circle.png", "l.safetensors"}));
}

TEST_F(OutputFolder, SeveralFilesAreReplacedTogetherOrNotAtAll) {
  write("l.safetensors", "old latents");
  write("i.safetensors", "old pixels");
  fs::permissions(path("l.safetensors"), fs::perms(0600));
  const auto before = files();
  const auto failed = rae({"generate", "-m", "m.safetensors", "--latent-out", "l.safetensors",
                           "--images-out", "i.safetensors", "--out", "/dev/full"});
  EXPECT_EQ(failed.status, 1);
  EXPECT_TRUE(contains(failed.err, "No space left"));
  EXPECT_EQ(files(), before);
  EXPECT_EQ(slurp(path("l.safetensors")), "old latents");
  EXPECT_EQ(slurp(path("i.safetensors")), "old pixels");
  EXPECT_EQ(fs::status(path("l.safetensors")).permissions(), fs::perms(0600));
  const auto result = rae({"generate", "-m", "m.safetensors", "--latent-out", "l.safetensors",
                           "--images-out", "i.safetensors", "--out", "x.png"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_NE(slurp(path("l.safetensors")), "old latents");
  EXPECT_EQ(files().size(), before.size() + 1);
}

TEST_F(OutputFolder, TrainRefusesAFolderOfOtherFiles) {
  fs::create_directories(path("data/a"));
  Image(8, 8, 1, 20).save_png(path("data/a/1.png"));
  write("recipe.yaml", "{}");
  write("d/mine.txt", "mine");
  const auto result = rae({"train", "-r", "recipe.yaml", "-d", "data", "-o", "d"});
  EXPECT_NE(result.status, 0);
  EXPECT_EQ(inside(), Words{"mine.txt"});
}

}  // namespace
}  // namespace rae::test
