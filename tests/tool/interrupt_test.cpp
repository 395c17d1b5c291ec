// Progress on a terminal, and Ctrl-C: the program stops cleanly and leaves no partial file.
#include <poll.h>

#include <csignal>
#include <cstdlib>

#include "support/tiny_bundle.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

/// A pseudo-terminal, to read the output that a program writes to `name()`.
class Terminal {
 public:
  Terminal() : descriptor_(::posix_openpt(O_RDWR | O_NOCTTY)) {
    EXPECT_GE(descriptor_, 0);
    EXPECT_EQ(::grantpt(descriptor_), 0);
    EXPECT_EQ(::unlockpt(descriptor_), 0);
    name_ = ::ptsname(descriptor_);
    holder_ = ::open(
        name_.c_str(),
        O_RDWR | O_NOCTTY);  // without it, reading fails until the program opens the terminal
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() {
    ::close(holder_);
    ::close(descriptor_);
  }

  [[nodiscard]] const std::string& name() const { return name_; }

  /// Reads until `wanted` appears or no output arrives for a minute; returns all output so far.
  const std::string& read_until(const std::string& wanted) {
    while (seen_.find(wanted) == std::string::npos) {
      pollfd waiting{descriptor_, POLLIN, 0};
      char buffer[512];
      if (::poll(&waiting, 1, 60000) != 1) break;
      const auto count = ::read(descriptor_, buffer, sizeof buffer);
      if (count <= 0) break;
      seen_.append(buffer, static_cast<std::size_t>(count));
    }
    return seen_;
  }

 private:
  int descriptor_ = -1, holder_ = -1;
  std::string name_, seen_;
};

class Interrupt : public ToolTest, public testing::WithParamInterface<int> {
 protected:
  void SetUp() override { tiny_bundle().save(path("m.safetensors")); }
};

TEST_P(Interrupt, GenerationStopsAndLeavesNoFile) {
  Terminal terminal;
  const pid_t child = start({"generate", "--model", "m.safetensors", "--steps", "100000", "--count",
                             "1000", "--latent-out", "l.safetensors"},
                            terminal.name());
  EXPECT_TRUE(contains(terminal.read_until("ETA "), "sampling ["));
  EXPECT_EQ(::kill(child, GetParam()), 0);
  const auto result = finish(child);
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(contains(terminal.read_until("rae: error: interrupted"), "rae: error: interrupted"));
  EXPECT_EQ(files(), std::vector<std::string>{"m.safetensors"});
}

INSTANTIATE_TEST_SUITE_P(Signals, Interrupt, testing::Values(SIGINT, SIGTERM), [](const auto& row) {
  return row.param == SIGINT ? "Interrupt" : "Terminate";
});

class Progress : public Interrupt {};

TEST_F(Progress, IsErasedAtTheEnd) {
  Terminal terminal;
  const auto result = finish(start({"generate", "--model", "m.safetensors"}, terminal.name()));
  EXPECT_EQ(result.status, 0);
  const std::string& seen = terminal.read_until("\r\x1b[K");
  EXPECT_TRUE(contains(seen, "100%"));
  EXPECT_EQ(seen.substr(seen.size() - 4), "\r\x1b[K");
}

}  // namespace
}  // namespace rae::test
