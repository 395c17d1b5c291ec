// `rae manual` and `rae completion`: other forms of the help, for which shells and troff are asked
// where they are installed.
#include <cstdlib>

#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

using Words = std::vector<std::string>;

/// The names of all commands, from the help of the program.
Words commands_of(const std::string& help) {
  Words out;
  std::istringstream lines(help.substr(help.find("Subcommands:")));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && line.rfind("  ", 0) == 0) {
    const std::size_t end = line.find(' ', 2);
    if (end != 2) out.push_back(line.substr(2, end - 2));
  }
  return out;
}

/// The long options in a help text.
Words options_of(const std::string& help) {
  Words out;
  std::istringstream lines(help);
  std::string line;
  while (std::getline(lines, line)) {
    const std::size_t at = line.find("--");
    if (line.rfind("  -", 0) != 0 || at > 6 || at == std::string::npos) continue;
    out.push_back(line.substr(at, line.find_first_of(" ,\n", at) - at));
  }
  return out;
}

bool is_installed(const std::string& program) {
  return std::system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0;
}

class Manual : public ToolTest {
 protected:
  /// The output of a command of the shell in the folder of the test.
  std::string shell(const std::string& command) {
    const int status =
        std::system(("cd '" + path("") + "' && { " + command + "; } >out.txt 2>&1").c_str());
    EXPECT_EQ(status, 0) << command << "\n" << slurp(path("out.txt"));
    return slurp(path("out.txt"));
  }
};

TEST_F(Manual, PagesAndScriptsHaveAllCommandsAndOptions) {
  ASSERT_EQ(rae({"manual", "pages"}).status, 0);
  const Words commands = commands_of(rae({"--help"}).out);
  ASSERT_GE(commands.size(), 15u);
  std::map<std::string, std::string> scripts;
  for (const std::string name : {"bash", "zsh", "fish"})
    scripts[name] = rae({"completion", name}).out;
  const std::string overview = slurp(path("pages/rae.1"));
  for (const std::string& command : commands) {
    EXPECT_TRUE(contains(overview, "\\fB" + command + "\\fR\n")) << command;
    const std::string page = slurp(path("pages/rae-" + command + ".1"));
    const Words options = options_of(rae({command, "--help"}).out);
    EXPECT_FALSE(options.empty()) << command;
    for (const std::string& option : options) {
      std::string escaped;
      for (const char c : option) escaped += c == '-' ? "\\-" : std::string(1, c);
      EXPECT_TRUE(contains(page, escaped)) << command << " " << option;
      EXPECT_TRUE(contains(scripts["bash"], option)) << option;
      if (command != "help") {
        EXPECT_TRUE(contains(scripts["zsh"], option)) << option;
      }
      EXPECT_TRUE(contains(scripts["fish"], " -l " + option.substr(2))) << option;
    }
    EXPECT_TRUE(contains(page, ".SH EXAMPLES\n.nf\n")) << command;
  }
  // The same text again.
  ASSERT_EQ(rae({"manual", "again"}).status, 0);
  EXPECT_EQ(slurp(path("again/rae-generate.1")), slurp(path("pages/rae-generate.1")));
}

TEST_F(Manual, BashCompletesCommandsAndOptions) {
  if (!is_installed("bash")) GTEST_SKIP() << "bash is not installed";
  write("rae.bash", rae({"completion", "bash"}).out);
  const auto completed = [&](const std::string& words, int word) {
    return shell("bash -c 'source ./rae.bash; COMP_WORDS=(" + words +
                 "); COMP_CWORD=" + std::to_string(word) + "; _rae; echo \"${COMPREPLY[*]}\"'");
  };
  EXPECT_EQ(completed("rae gen", 1), "generate\n");
  EXPECT_EQ(completed("rae generate --guid", 2), "\n");
  EXPECT_EQ(completed("rae generate --see", 2), "--seed\n");
  EXPECT_EQ(completed("rae help neigh", 2), "neighbours\n");
  EXPECT_EQ(completed("rae generate a.png", 2), "\n");  // then bash completes names of files
}

TEST_F(Manual, OtherProgramsAcceptPagesAndScripts) {
  bool asked = false;
  for (const std::string name : {"zsh", "fish"}) {
    if (!is_installed(name)) continue;
    asked = true;
    write("script", rae({"completion", name}).out);
    EXPECT_EQ(shell(name + " -n script"), "");
  }
  ASSERT_EQ(rae({"manual", "pages"}).status, 0);
  if (is_installed("groff")) {
    asked = true;
    EXPECT_EQ(shell("groff -man -Tutf8 -ww -z pages/*.1"), "");
  }
  if (is_installed("mandoc")) {
    asked = true;
    EXPECT_EQ(shell("mandoc -Tlint -Werror pages/*.1"), "");
  }
  if (!asked) GTEST_SKIP() << "neither zsh, fish, groff nor mandoc is installed";
}

TEST_F(Manual, RefusesOtherShellsAndFoldersInUse) {
  const auto other = rae({"completion", "csh"});
  EXPECT_EQ(other.status, 2);
  EXPECT_TRUE(contains(other.err, "expected bash, zsh or fish")) << other.err;
  write("used/mine.txt", "mine");
  EXPECT_NE(rae({"manual", "used"}).status, 0);
  EXPECT_EQ(rae({"manual"}).status, 2);
}

}  // namespace
}  // namespace rae::test
