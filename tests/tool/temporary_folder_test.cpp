// Temporary files and folders of commands that were killed are removed by the next run of any
// command that writes to the same place; those of living processes stay.
#include <csignal>
#include <thread>

#include "support/picture_folder.hpp"
#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

/// The number of a process that no longer exists.
pid_t dead_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return child;
}

/// Names of files and folders with the mark of temporary ones.
class Orphans : public ToolTest {
 protected:
  void SetUp() override {
    tiny_bundle().save(path("m.safetensors"));
    for (const std::string name : {"a", "b", "c"})
      for (int i = 0; i < 3; ++i)
        write_picture(path("data/" + name + "/" + std::to_string(i) + ".png"), 10 * i + name[0]);
    write("r.yaml", kTinyRecipe);
  }

  [[nodiscard]] Words temporaries() const {
    Words out;
    // Other processes may remove files meanwhile, so the paths are not looked up again.
    for (const auto& entry : fs::recursive_directory_iterator(path("")))
      if (entry.path().filename().string().find(".tmp-") != std::string::npos)
        out.push_back(entry.path().lexically_relative(path("")).string());
    std::sort(out.begin(), out.end());
    return out;
  }
};

struct Row {
  const char* name;
  Words command;
  Words orphans;  // names of what a killed run leaves, before the mark; folders end in ':'
};

class OrphansOf : public Orphans, public testing::WithParamInterface<Row> {};

TEST_P(OrphansOf, DeadProcessesAreRemovedAndOthersStay) {
  const std::string dead = ".tmp-" + std::to_string(dead_process()) + "-0",
                    living = ".tmp-" + std::to_string(::getpid()) + "-0";
  Words stay;
  for (const std::string& orphan : GetParam().orphans)
    for (const std::string& mark : {dead, living}) {
      const bool folder = orphan.back() == ':';
      const std::string name = (folder ? orphan.substr(0, orphan.size() - 1) : orphan) + mark;
      write(folder ? name + "/part.png" : name, "half");
      if (mark == living && name.rfind("d/", 0) != 0) stay.push_back(name);
      if (mark == living && name.rfind("d/", 0) == 0) fs::remove_all(path(name));
    }
  std::sort(stay.begin(), stay.end());
  const auto result = rae(GetParam().command);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(temporaries(), stay);
}

// In a folder that is an output, files of a living process are refused.
INSTANTIATE_TEST_SUITE_P(
    Table, OrphansOf,
    testing::Values(
        Row{"Generate", {"generate", "-m", "m.safetensors", "-n", "2", "-o", "o.png"}, {"o.png"}},
        Row{"GenerateArchive",
            {"generate", "-m", "m.safetensors", "-n", "2", "-o", "o.npz"},
            {"o.npz", "o.npz.partial.json"}},
        Row{"GenerateFolder",
            {"generate", "-m", "m.safetensors", "-n", "2", "-o", "d"},
            {"d:", "d/:", "d/grid.png"}},
        Row{"ConvertToOfficial",
            {"convert", "m.safetensors", "d", "--to", "official"},
            {"d:", "d/:"}},
        Row{"Convert", {"convert", "m.safetensors", "o.safetensors"}, {"o.safetensors"}},
        Row{"Encode",
            {"encode", "-m", "m.safetensors", "data/a/0.png", "o.safetensors"},
            {"o.safetensors"}},
        Row{"EncodeFolder",
            {"encode", "-m", "m.safetensors", "data", "o.safetensors", "--per-file", "5"},
            {"o.safetensors", "o-00001-of-00002.safetensors", "o.safetensors.index.json"}},
        Row{"Decode",
            {"generate", "-m", "m.safetensors", "-n", "2", "-o", "o.png", "--latent-out",
             "l.safetensors"},
            {"l.safetensors"}},
        Row{"Reconstruct",
            {"reconstruct", "-m", "m.safetensors", "data", "o.npz"},
            {"o.npz.partial.json"}},
        Row{"Stats",
            {"stats", "-m", "m.safetensors", "-d", "data", "-o", "o.safetensors"},
            {"o.safetensors"}},
        Row{"Evaluate",
            {"evaluate", "-m", "m.safetensors", "-d", "data", "-o", "d", "--samples", "0",
             "--guided-samples", "0"},
            {"d/evaluation.json", "d/samples.png"}},
        Row{"EvaluateSets",
            {"evaluate", "data/a", "data/b", "--paired", "--metrics", "psnr", "-o", "o.json"},
            {"o.json"}},
        Row{"Train",
            {"train", "-r", "r.yaml", "-d", "data", "-o", "d", "--stage", "encoder", "--set",
             "model.dit.num_classes=3"},
            {"d/model.safetensors", "d/report.html"}},
        Row{"Diagnose",
            {"diagnose", "--encoder", "m.safetensors", "-d", "data", "-o", "o.html"},
            {"o.html"}},
        Row{"Init",
            {"init", "--data", "data", "--size", "32", "--minutes", "1", "--speed", "1e9", "-o",
             "o.yaml"},
            {"o.yaml"}}),
    [](const auto& row) { return std::string(row.param.name); });

TEST_F(Orphans, OfAFolderThatWasKilledWhileItWasWritten) {
  const Words command{"generate", "-m", "m.safetensors", "-n", "100000", "--steps", "1", "-o", "d"};
  const pid_t child = start(command);
  // It first makes and removes a trial file, to see that it may write.
  const auto has_begun = [&] {
    const Words names = temporaries();
    return std::any_of(names.begin(), names.end(),
                       [](const std::string& name) { return name.rfind("d.tmp-", 0) == 0; });
  };
  while (!has_begun()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  // Its files are locked while it lives, so another run does not take them away. It is stopped,
  // because it could be finished otherwise.
  ::kill(child, SIGSTOP);
  EXPECT_EQ(rae({"generate", "-m", "m.safetensors", "-n", "2", "-o", "o.png"}).status, 0);
  EXPECT_FALSE(temporaries().empty());
  ::kill(child, SIGKILL);
  EXPECT_EQ(finish(child).status, 1000 + SIGKILL);
  EXPECT_FALSE(temporaries().empty());
  EXPECT_FALSE(exists("d"));
  EXPECT_EQ(rae({"generate", "-m", "m.safetensors", "-n", "2", "-o", "d"}).status, 0);
  EXPECT_EQ(temporaries(), Words());
}

TEST_F(Orphans, OfTheCopyForStdout) {
  const TempFolder temporary;
  ::setenv("TMPDIR", temporary.path().c_str(), 1);
  const std::string left = temporary / ("rae-stdout.tmp-" + std::to_string(dead_process()) + "-0");
  fs::create_directory(left);
  EXPECT_EQ(rae({"encode", "-m", "m.safetensors", "data/a/0.png", "-"}).status, 0);
  ::unsetenv("TMPDIR");
  EXPECT_TRUE(temporary.entries().empty());
}

}  // namespace
}  // namespace rae::test
