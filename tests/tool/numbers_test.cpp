// Numbers on the command line: every option of every command takes decimal numbers in its range and
// names that range otherwise.
#include <algorithm>

#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

/// An option, the range in its message, and the value next to each end that is out of it.
struct NumberOption {
  std::vector<std::string> command;  // with everything else that it requires
  std::string option, range;
  std::vector<std::string> outside;
  bool whole = true;
};

void PrintTo(const NumberOption& row, std::ostream* out) {
  *out << row.command.front() << " " << row.option;
}

class Numbers : public ToolTest, public testing::WithParamInterface<NumberOption> {
 protected:
  void expect_refused(const std::string& value) const {
    std::vector<std::string> arguments = GetParam().command;
    arguments.insert(arguments.end(), {GetParam().option, value});
    const auto result = rae(arguments);
    EXPECT_EQ(result.status, 2) << value;
    EXPECT_EQ(result.out, "");
    const std::string kind =
        GetParam().whole ? ": expected a whole number from " : ": expected a decimal number from ";
    EXPECT_TRUE(contains(result.err, GetParam().option + kind + GetParam().range)) << value;
    EXPECT_LT(result.err.size(), 250u) << value;
    EXPECT_TRUE(files().empty());
  }
};

TEST_P(Numbers, OutOfRange) {
  for (const auto& value : GetParam().outside) expect_refused(value);
}

TEST_P(Numbers, NotDecimal) {
  std::vector<std::string> wrong{"",    " ",   " 5",  "5 ",   "+5", "010",  "0x10",
                                 "5,0", "nan", "inf", "-nan", "1e", "five", "--5"};
  wrong.push_back(std::string(309, '9'));
  if (GetParam().whole) wrong.insert(wrong.end(), {"5.0", "1e3", ".5", "-0", "5/1"});
  for (const auto& value : wrong) expect_refused(value);
}

const std::vector<std::string> kVelocity{"velocity", "--noise-in", "n.safetensors", "--labels",
                                         "1",        "--out",      "v.safetensors"};
const std::vector<std::string> kStats{"stats", "--data", ".", "--out", "s.safetensors"};
const std::vector<std::string> kEvaluate{"evaluate", "--data", ".", "--out", "e"};
const std::string kSeeds = "0 to 18446744073709551615", kFloats = "0 to 3.402823e+38";

const NumberOption kOptions[] = {
    {{"generate"}, "--count", "1 to 1000000", {"0", "-1", "1000001"}},
    {{"generate"}, "--steps", "1 to 100000", {"0", "-3", "100001"}},
    {{"generate"}, "--batch", "1 to 1000000", {"0", "1000001"}},
    {{"generate"}, "--seed", kSeeds, {"-1", "18446744073709551616", "99999999999999999999999"}},
    {{"generate"}, "--threads", "0 to 1024", {"-1", "1025"}},
    {{"generate"}, "--cfg", kFloats, {"-2", "-1e-9", "1e39", "1e999"}, false},
    {{"generate"}, "--autoguidance", kFloats, {"-1"}, false},
    {{"generate"}, "--ig", kFloats, {"-1", "1e39"}, false},
    {{"generate"}, "--ig-unconditional", kFloats, {"-1"}, false},
    {{"generate"}, "--reuse-error", kFloats, {"-0.1"}, false},
    {{"generate"}, "--strength", "0 to 1", {"-0.1", "1.1"}, false},
    {{"generate"}, "--variations", "1 to 1000000", {"0", "1000001"}},
    {{"generate", "--preview", "p.png"}, "--preview-interval", "1 to 100000", {"0", "100001"}},
    {{"generate"}, "--best-of", "1 to 1000", {"0", "1001"}},
    {{"interpolate", "1", "2"}, "--count", "2 to 1000", {"1", "1001"}},
    {{"interpolate", "1", "2"}, "--steps", "1 to 100000", {"0", "100001"}},
    {{"interpolate", "1", "2"}, "--threads", "0 to 1024", {"1025"}},
    {{"diagnose", "--encoder", "a", "-d", "b"}, "--size", "0 to 4096", {"-1", "4097"}},
    {{"diagnose", "--encoder", "a", "-d", "b"}, "--train-pictures", "2 to 1000000", {"1"}},
    {{"diagnose", "--encoder", "a", "-d", "b"}, "--test-pictures", "1 to 1000000", {"0"}},
    {{"diagnose", "--encoder", "a", "-d", "b"}, "--threads", "0 to 1024", {"1025"}},
    {{"neighbours", "a.png", "b"}, "--count", "1 to 1000", {"0", "1001"}},
    {{"neighbours", "a.png", "b"}, "--threads", "0 to 1024", {"1025"}},
    {kVelocity, "--t", "0 to 1", {"-0.1", "1.5"}, false},
    {kStats, "--batch", "1 to 1000000", {"0", "-1"}},
    {kEvaluate, "--samples", "0 to 1000000", {"-1", "1000001"}},
    {kEvaluate, "--guided-samples", "0 to 1000000", {"-1"}},
    {kEvaluate, "--steps", "0 to 100000", {"-1", "100001"}},
    {kEvaluate, "--seed", kSeeds, {"-1", "18446744073709551616"}},
    {kEvaluate, "--cfg", kFloats, {"-1"}, false},
    {kEvaluate, "--reuse-error", kFloats, {"-1"}, false},
    {{"evaluate", "a.npz", "b.npz"}, "--neighbours", "1 to 1000000", {"0", "-1"}},
    {{"convert", "a", "b.safetensors"}, "--image-size", "16 to 16384", {"0", "15", "16385"}},
    {{"convert", "a", "b.safetensors"}, "--calibration", "1 to 100000", {"0", "100001"}},
    {{"serve"}, "--port", "0 to 65535", {"-1", "65536"}},
    {{"serve"}, "--queue", "1 to 10000", {"0", "10001"}},
    {{"serve"}, "--most-count", "1 to 10000", {"0", "10001"}},
    {{"serve"}, "--most-steps", "1 to 100000", {"0", "100001"}},
    {{"serve"}, "--time-limit", "1 to 86400", {"0", "86401"}},
    {{"serve"}, "--threads", "0 to 1024", {"1025"}},
    {{"bench"}, "--rounds", "1 to 1000", {"0", "1001"}},
    {{"bench"}, "--batch", "1 to 65536", {"0", "65537"}},
    {{"encode", "a", "b.safetensors"}, "--threads", "0 to 1024", {"1025"}},
    {{"encode", "a", "b.safetensors"}, "--batch", "1 to 4096", {"0", "-1", "4097"}},
    {{"encode", "a", "b.safetensors"}, "--per-file", "1 to 1099511627776", {"0", "-1"}},
    {{"reconstruct", "a", "b.npz"}, "--batch", "1 to 4096", {"0", "4097"}},
    {{"train", "--recipe", "r", "--data", ".", "--out", "x"},
     "--samples",
     "0 to 10000",
     {"-1", "10001"}},
    {{"decode", "a", "b.png"}, "--threads", "0 to 1024", {"1025"}},
    {{"reconstruct", "a", "b.png"}, "--threads", "0 to 1024", {"1025"}},
    {{"train", "--recipe", "r", "--data", ".", "--out", "x"}, "--threads", "0 to 1024", {"1025"}},
    {{"train", "--recipe", "r", "--data", ".", "--out", "x"},
     "--rank-timeout",
     "0 to 604800",
     {"-1", "604801"}},
};

INSTANTIATE_TEST_SUITE_P(Table, Numbers, testing::ValuesIn(kOptions), [](const auto& row) {
  std::string name = row.param.command.front() + "_" + row.param.option.substr(2);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

class NumberLists : public ToolTest {};

TEST_F(NumberLists, EachPartIsANumberInItsRange) {
  for (const std::string value :
       {"0.5", "0.1,,1", "0.1,1,", ",1", "a,1", "0.1,nan", "0,1.5", "-0.1,1", "0.1, 1", "00.1,1"}) {
    const auto result = rae({"generate", "--cfg-interval", value});
    EXPECT_EQ(result.status, 2) << value;
    EXPECT_TRUE(contains(result.err, "--cfg-interval: expected ")) << value;
    const auto internal = rae({"generate", "--ig-interval", value});
    EXPECT_EQ(internal.status, 2) << value;
    EXPECT_TRUE(contains(internal.err, "--ig-interval: expected ")) << value;
  }
  for (const std::string value : {"", "1", "1/", "/2", "01/2", "1/02", "+1/2", "0/2", "3/2", "-1/2",
                                  "1/2/3", "1/100001", " 1/2", "1/99999999999999999999"}) {
    const auto result = rae({"generate", "--out", "a.npz", "--shard", value});
    EXPECT_EQ(result.status, 2) << value;
    EXPECT_TRUE(contains(result.err, "--shard: expected I/N with I from 1 to N")) << value;
  }
  EXPECT_TRUE(files().empty());
}

TEST_F(NumberLists, SizesAndSharesHaveTheirUnits) {
  const auto refused = [&](const std::string& option, const std::string& value) {
    const auto result =
        rae({"convert", "a", "b.safetensors", "--pack", "auto", option + "=" + value});
    EXPECT_EQ(result.status, 2) << value;
    EXPECT_TRUE(contains(result.err, option + ": expected a ")) << result.err;
  };
  for (const std::string value :
       {"0", "MB", "8 MB", "8mb", "-1MB", "1e30", "0.1", "8MiB", "nan", "08MB", "8MB "})
    refused("--budget", value);
  for (const std::string value : {"0", "0%", "%", "101%", "1.5", "-1%", "1 %", "1%%", "nan"})
    refused("--max-loss", value);
  EXPECT_TRUE(files().empty());
}

TEST_F(NumberLists, NumbersOfClassesHaveNoLeadingZero) {
  for (const std::string value : {"01", "0x1", "1.0", "-1", "+1", "10", "1e0", "1,02"}) {
    const auto result = rae({"generate", "--class=" + value});
    EXPECT_EQ(result.status, 1) << value;
    EXPECT_TRUE(contains(result.err, "there is no class '")) << value;
  }
  EXPECT_TRUE(files().empty());
}

TEST_F(NumberLists, TheEndsOfTheRangesAreAccepted) {
  for (const std::string seed : {"0", "18446744073709551615"}) {
    const auto result = rae({"generate", "--class", "1", "--steps", "1", "--seed", seed, "--cfg",
                             "1.5e0", "--cfg-interval", "0,1", "--out", seed + ".png"});
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_TRUE(contains(rae({"info", seed + ".png"}).out, "seed          " + seed + "\n"));
  }
}

}  // namespace
}  // namespace rae::test
