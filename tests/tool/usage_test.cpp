// The command line: help, version, wrong usage.
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class Usage : public ToolTest {};

TEST_F(Usage, HelpOfEveryCommandShowsExamples) {
  for (const std::string command :
       {"generate", "reconstruct", "encode", "decode", "velocity", "init", "train", "stats",
        "evaluate", "info", "serve", "bench"}) {
    const auto result = rae({command, "--help"});
    EXPECT_EQ(result.status, 0) << command;
    EXPECT_EQ(result.err, "") << command;
    EXPECT_TRUE(contains(result.out, "Examples:\n  rae " + command)) << command;
    EXPECT_TRUE(contains(rae({"--help"}).out, "\n  " + command));
  }
}

TEST_F(Usage, HelpIsACommand) {
  for (const std::string command :
       {"generate", "reconstruct", "encode", "decode", "velocity", "train", "stats", "evaluate",
        "convert", "info", "serve", "bench"}) {
    const auto result = rae({"help", command});
    EXPECT_EQ(result.status, 0) << command;
    EXPECT_EQ(result.err, "") << command;
    EXPECT_EQ(result.out, rae({command, "--help"}).out) << command;
  }
  EXPECT_EQ(rae({"help"}).out, rae({"--help"}).out);
  EXPECT_EQ(rae({"help"}).status, 0);
}

TEST_F(Usage, UnknownCommandsGetTheNearestName) {
  for (const auto& [wrong, right] : {std::pair<std::string, std::string>{"generat", "generate"},
                                     {"encod", "encode"},
                                     {"evalute", "evaluate"},
                                     {"Info", "info"},
                                     {"hlep", "help"}})
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{wrong}, {wrong, "x.png"}, {"help", wrong}}) {
      const auto result = rae(arguments);
      EXPECT_EQ(result.status, 2);
      EXPECT_TRUE(
          contains(result.err, "unknown command '" + wrong + "'; did you mean '" + right + "'?"));
    }
}

TEST_F(Usage, VersionIsThatOfTheLibrary) {
  const auto result = rae({"--version"});
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.out.rfind("rae ", 0), 0u) << result.out;
}

struct WrongUsage {
  std::string name;
  std::vector<std::string> arguments;
  std::string message;
};

void PrintTo(const WrongUsage& row, std::ostream* out) { *out << row.name; }

class UsageTable : public ToolTest, public testing::WithParamInterface<WrongUsage> {};

TEST_P(UsageTable, FailsWithStatusTwoAndAReason) {
  const auto result = rae(GetParam().arguments);
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(contains(result.err, GetParam().message));
  EXPECT_TRUE(contains(result.err, " --help"));
  EXPECT_TRUE(files().empty());
}

INSTANTIATE_TEST_SUITE_P(
    Table, UsageTable,
    testing::Values(
        WrongUsage{"Nothing", {}, "Usage: rae"},  //
        WrongUsage{"UnknownCommand",
                   {"generat"},
                   "unknown command 'generat'; did you mean 'generate'?"},  //
        WrongUsage{
            "UnknownOption", {"generate", "--sed", "1"}, "'--sed'; did you mean '--seed'?"},    //
        WrongUsage{"NotANumber", {"generate", "--steps", "many"}, "--steps"},                   //
        WrongUsage{"NegativeSeed", {"generate", "--seed", "-1"}, "--seed"},                     //
        WrongUsage{"NoValue", {"generate", "--count"}, "--count"},                              //
        WrongUsage{"UnknownSampler", {"generate", "--sampler", "eule"}, "--sampler"},           //
        WrongUsage{"HalfAnInterval", {"generate", "--cfg-interval", "0.5"}, "--cfg-interval"},  //
        WrongUsage{"UnknownFormat", {"generate", "--out", "a.jpg"}, "'a.jpg'"},                 //
        WrongUsage{"MissingArgument", {"encode", "a.png"}, "--out"},                            //
        WrongUsage{"TooManyArguments", {"decode", "a", "b.png", "c"}, "'c'"},                   //
        WrongUsage{"MissingOption", {"train", "--data", "."}, "--out"},
        WrongUsage{"UnknownStage",
                   {"train", "--recipe", "r", "--data", ".", "--out", "x", "--stage", "decodr"},
                   "decodr"},  //
        WrongUsage{"InfoOfNothing", {"info"}, "FILE"}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace rae::test
