// A disk that is full before a command has written its files: the old ones stay as they were, and
// nothing half is left. Folders are in output_folder_test.cpp, archives in bulk_sampling_test.cpp.
#include <algorithm>

#include "rae/train/checkpoint.hpp"
#include "support/picture_folder.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"
#include "tool/small_disk.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class FullDisk : public ToolTest {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    for (const std::string name : {"a", "b", "c"})
      for (int i = 0; i < 4; ++i)
        write_picture(path("data/" + name + "/" + std::to_string(i) + ".png"), 10 * i + name[0]);
  }

  /// Runs a program whose files cannot grow beyond `bytes`.
  [[nodiscard]] ToolResult on_small_disk(const Words& command, rlim_t bytes) const {
    pid_t child = 0;
    {
      const SmallDisk disk(bytes, false);
      child = start(command);
    }
    return finish(child);
  }

  /// All files below the folder with their contents.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> contents(
      const std::string& folder = "") const {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& entry : fs::recursive_directory_iterator(path(folder)))
      if (entry.is_regular_file())
        out.emplace_back(fs::relative(entry.path(), path(folder)).string(),
                         slurp(entry.path().string()));
    std::sort(out.begin(), out.end());
    return out;
  }
};

struct FileCommand {
  const char* name;
  Words command;
  const char* out;
};

class FullDiskOfFiles : public FullDisk, public testing::WithParamInterface<FileCommand> {};

TEST_P(FullDiskOfFiles, KeepsTheOldFileAndLeavesNothingHalf) {
  const FileCommand& row = GetParam();
  const auto before = contents();
  const auto failed = on_small_disk(row.command, 60);
  EXPECT_EQ(failed.status, 1) << failed.err;
  EXPECT_TRUE(contains(failed.err, "File too large"));
  EXPECT_TRUE(contents() == before) << row.name;

  write(row.out, "an older file");
  const auto with_old = contents();
  EXPECT_EQ(on_small_disk(row.command, 60).status, 1);
  EXPECT_TRUE(contents() == with_old) << row.name;

  fs::remove(path(row.out));
  const auto result = rae(row.command);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(exists(row.out));
}

INSTANTIATE_TEST_SUITE_P(
    Table, FullDiskOfFiles,
    testing::Values(
        FileCommand{"Generate",
                    {"generate", "-m", "m.safetensors", "--count", "4", "-o", "o.png"},
                    "o.png"},
        FileCommand{"Encode",
                    {"encode", "-m", "m.safetensors", "data/a/0.png", "o.safetensors"},
                    "o.safetensors"},
        FileCommand{"Reconstruct",
                    {"reconstruct", "-m", "m.safetensors", "data/a/0.png", "o.png"},
                    "o.png"},
        FileCommand{"Stats",
                    {"stats", "-m", "m.safetensors", "-d", "data", "-o", "o.safetensors"},
                    "o.safetensors"},
        FileCommand{"Convert", {"convert", "m.safetensors", "o.safetensors"}, "o.safetensors"},
        FileCommand{"Evaluate",
                    {"evaluate", "data/a", "data/b", "--paired", "--metrics", "psnr,ssim", "--out",
                     "o.json"},
                    "o.json"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST_F(FullDisk, LatentsOfAFolderContinueAfterTheCompleteFiles) {
  const Words command{"encode", "-m", "m.safetensors", "data", "z.safetensors", "--per-file", "5"};
  ASSERT_EQ(rae(command).status, 0);
  const auto whole = contents();
  for (const char* file :
       {"z-00002-of-00003.safetensors", "z-00003-of-00003.safetensors", "z.safetensors.index.json"})
    fs::remove(path(file));
  const auto before = contents();
  EXPECT_EQ(on_small_disk(command, 60).status, 1);
  EXPECT_TRUE(contents() == before);
  EXPECT_EQ(rae(command).status, 0);
  EXPECT_TRUE(contents() == whole);
}

// The checkpoint of a training stays that of an earlier step, from which it continues.
TEST_F(FullDisk, CheckpointsStayWhole) {
  std::string recipe = kTinyRecipe;
  write("r.yaml", recipe);
  const auto train = [](const std::string& out, const std::string& steps) {
    return Words{"train",
                 "-r",
                 "r.yaml",
                 "-d",
                 "data",
                 "-o",
                 out,
                 "--stage",
                 "encoder",
                 "--set",
                 "model.dit.num_classes=3",
                 "--set",
                 "encoder.train.checkpoint_every=2",
                 "--set",
                 "encoder.train.decay_end_step=8",
                 "--set",
                 "encoder.train.steps=" + steps};
  };
  ASSERT_EQ(rae(train("whole", "8")).status, 0);
  ASSERT_EQ(rae(train("run", "4")).status, 0);
  const std::string checkpoint = slurp(path("run/encoder/checkpoint.safetensors")),
                    model = slurp(path("run/model.safetensors"));
  const auto failed = on_small_disk(train("run", "8"), checkpoint.size() / 2);
  EXPECT_EQ(failed.status, 1);
  EXPECT_TRUE(contains(failed.err, "File too large"));
  EXPECT_EQ(slurp(path("run/encoder/checkpoint.safetensors")), checkpoint);
  EXPECT_EQ(slurp(path("run/model.safetensors")), model);
  for (const auto& [name, text] : contents("run"))
    EXPECT_EQ(name.find(".tmp-"), std::string::npos) << name;
  EXPECT_EQ(rae(train("run", "8")).status, 0);
  EXPECT_EQ(slurp(path("run/model.safetensors")), slurp(path("whole/model.safetensors")));
}

// A real full disk, where this process may mount one.
TEST_F(FullDisk, OfATemporaryFileSystem) {
  fs::create_directory(path("disk"));
  const std::string mount = "mount -t tmpfs -o size=64k tmpfs '" + path("disk") + "' 2> /dev/null";
  if (std::system(mount.c_str()) != 0) GTEST_SKIP() << "no permission to mount a file system";
  const Words command{"convert", "m.safetensors", "disk/o", "--to", "official"};
  const auto failed = rae(command);
  const bool empty = fs::is_empty(path("disk"));
  write("disk/z.safetensors", "an older file");
  write("disk/filler", std::string(60000, 'x'));
  const auto encoded = rae({"convert", "m.safetensors", "disk/z.safetensors", "--dtype", "f32"});
  const std::string kept = slurp(path("disk/z.safetensors"));
  const auto entries = std::distance(fs::directory_iterator(path("disk")), {});
  (void)!std::system(("umount '" + path("disk") + "'").c_str());
  EXPECT_EQ(failed.status, 1);
  EXPECT_TRUE(contains(failed.err, "No space left on device"));
  EXPECT_TRUE(empty);
  EXPECT_EQ(encoded.status, 1);
  EXPECT_EQ(kept, "an older file");
  EXPECT_EQ(entries, 2);
}

}  // namespace
}  // namespace rae::test
