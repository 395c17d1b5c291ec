// The commands of "Your own pictures" in docs/05_training.md work as they are written, with tiny
// networks, few steps and few pictures.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "rae/io/image.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

/// The words of each command that begins with "rae" in a section of a page, without the prompt and
/// with continued lines joined.
std::vector<std::vector<std::string>> commands_of(const std::string& page,
                                                  const std::string& section) {
  std::ifstream in(std::string(RAE_SOURCE_DIR) + "/docs/" + page);
  std::vector<std::vector<std::string>> out;
  bool inside = false, continued = false;
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("## ", 0) == 0) inside = line == "## " + section;
    if (!inside) continue;
    const bool begins = line.rfind("    rae ", 0) == 0;
    if (begins) out.emplace_back();
    if (!begins && !continued) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;)
      if (word != "\\") out.back().push_back(word);
    continued = line.back() == '\\';
  }
  return out;
}

class OwnPictures : public ToolTest {
 protected:
  /// Stops a command when it has checked its inputs and made its folder: training the classifier of
  /// an evaluation takes minutes.
  void expect_begins(const std::vector<std::string>& words, const std::string& folder) const {
    const pid_t child = start(words);
    int status = 0;
    while (!exists(folder) && ::waitpid(child, &status, WNOHANG) == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_TRUE(exists(folder)) << "ended with " << WEXITSTATUS(status);
    ::kill(child, SIGINT);
    const ToolResult result = finish(child);
    EXPECT_TRUE(contains(result.err, "interrupted"));
  }

  void SetUp() override {
    for (const std::string part : {"train", "test"})
      for (const std::string shape : {"circle", "square", "triangle"}) {
        std::filesystem::create_directories(path("shapes/" + part + "/" + shape));
        for (int i = 0; i < 4; ++i) {
          Image picture(64, 64, 3, static_cast<std::uint8_t>(40 * i));
          std::fill_n(picture.pixels().begin(), 6000 + 100 * static_cast<int>(shape.size()),
                      static_cast<std::uint8_t>(250 - 20 * i));
          picture.save_png(path("shapes/" + part + "/" + shape + "/" + std::to_string(i) + ".png"));
        }
      }
  }
};

TEST_F(OwnPictures, CommandsOfTheChapter) {
  const auto commands = commands_of("05_training.md", "Your own pictures");
  std::vector<std::string> names;
  for (std::vector<std::string> words : commands) {
    std::string line;
    for (const std::string& word : words) line += word + " ";
    SCOPED_TRACE(line);
    words.erase(words.begin());
    names.push_back(words.front());
    // The smallest training and evaluation, instead of some that need minutes.
    const auto change = [&](const std::string& option, const std::string& value) {
      const auto at = std::find(words.begin(), words.end(), option);
      if (at != words.end()) *std::next(at) = value;
      return at != words.end();
    };
    if (change("--minutes", "0.1")) words.insert(words.end(), {"--speed", "0.01"});
    (void)change("--count", "2");
    if (words.front() == "evaluate") {
      expect_begins(words, "run/evaluation");
      continue;
    }
    const ToolResult result = rae(words);
    EXPECT_EQ(result.status, 0) << result.out << result.err;
  }
  for (const char* name : {"init", "train", "generate", "evaluate"})
    EXPECT_EQ(std::count(names.begin(), names.end(), name) > 0, true) << name;
  EXPECT_TRUE(exists("run/model.safetensors"));
  EXPECT_TRUE(exists("run/report.html"));
  EXPECT_TRUE(exists("circles.png"));
}

}  // namespace
}  // namespace rae::test
