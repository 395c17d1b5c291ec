// Runs the `rae` program in a temporary folder and collects status, stdout and stderr.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "support/temp_folder.hpp"

namespace rae::test {

/// The result of a run of the program.
struct ToolResult {
  int status = -1;  // exit status, or 1000 + signal number
  std::string out, err;
};

/// A test whose programs run in an empty temporary folder.
class ToolTest : public testing::Test {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return folder_ / name; }
  [[nodiscard]] bool exists(const std::string& name) const {
    return std::filesystem::exists(path(name));
  }
  void write(const std::string& name, const std::string& text) const {
    (void)folder_.write(name, text);
  }

  /// Names of all files and folders in the folder, sorted.
  [[nodiscard]] std::vector<std::string> files() const {
    auto names = folder_.entries();
    std::sort(names.begin(), names.end());
    return names;
  }

  /// Starts a program, by default `rae`, and returns its process. Its output goes to files outside
  /// of the folder, but stderr goes to `terminal` if it is given.
  [[nodiscard]] pid_t start(std::vector<std::string> arguments, const std::string& terminal = {},
                            const char* program = RAE_TOOL) const {
    arguments.insert(arguments.begin(), program);
    std::vector<char*> argv;
    for (auto& each : arguments) argv.push_back(each.data());
    argv.push_back(nullptr);
    const std::string folder = folder_.path(), out = streams_ / "out",
                      err = terminal.empty() ? streams_ / "err" : terminal;
    const pid_t child = ::fork();
    if (child == 0) {
      const auto redirect = [](const std::string& file, int to) {
        const int from = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY, 0666);
        if (from < 0 || ::dup2(from, to) < 0) ::_exit(125);
      };
      redirect(out, STDOUT_FILENO);
      redirect(err, STDERR_FILENO);
      if (::chdir(folder.c_str()) != 0) ::_exit(126);
      ::execv(program, argv.data());
      ::_exit(127);
    }
    return child;
  }

  /// Waits for a program that `start` has started.
  [[nodiscard]] ToolResult finish(pid_t child) const {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    ToolResult result;
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    result.out = slurp(streams_ / "out");
    if (std::filesystem::exists(streams_ / "err")) result.err = slurp(streams_ / "err");
    return result;
  }

  /// The file to which the program writes stderr, unless that is a terminal.
  [[nodiscard]] std::string stderr_file() const { return streams_ / "err"; }

  /// The file to which the program writes stdout.
  [[nodiscard]] std::string stdout_file() const { return streams_ / "out"; }

  [[nodiscard]] ToolResult rae(std::vector<std::string> arguments) const {
    return finish(start(std::move(arguments)));
  }

 private:
  TempFolder folder_, streams_;
};

inline testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "expected '" << part << "' in:\n" << text;
}

}  // namespace rae::test
