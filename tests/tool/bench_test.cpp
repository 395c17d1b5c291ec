// `rae bench`: its output, and the errors that it reports before measuring.
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "support/golden.hpp"
#include "tool/run_tool.hpp"

namespace rae::test {
namespace {

class Bench : public ToolTest {
 protected:
  void refuses(std::vector<std::string> arguments, int status,
               const std::vector<std::string>& parts) const {
    arguments.insert(arguments.begin(), "bench");
    const auto result = rae(arguments);
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_EQ(result.out, "");
    for (const auto& part : parts) EXPECT_TRUE(contains(result.err, part));
    EXPECT_EQ(files(), std::vector<std::string>());
  }
};

TEST_F(Bench, MeasuresNetworksInAllTypes) {
  const auto result = rae({"bench", "--models", "builtin-dit,builtin-decoder", "--rounds", "2",
                           "--batch", "3", "--json", "a.json"});
  ASSERT_EQ(result.status, 0) << result.err;
  for (const char* part : {"medians of 2 rounds, batch 3", "peak, GFLOP/s", "builtin-dit",
                           "builtin-decoder", "of peak", "a.json"})
    EXPECT_TRUE(contains(result.out, part));
  const auto json = nlohmann::json::parse(slurp(path("a.json")));
  EXPECT_EQ(json["batch"], 3);
  EXPECT_GT(json["read_bytes_per_second"].get<double>(), 1e7);
  const auto& networks = json["networks"];
  ASSERT_EQ(networks.size(), 6u);
  const char* types[] = {"f32", "bf16", "int8"};
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const auto& line = networks[i];
    EXPECT_EQ(line["name"], i < 3 ? "builtin-dit" : "builtin-decoder");
    EXPECT_EQ(line["dtype"], types[i % 3]);
    EXPECT_EQ(line["parameters"], networks[i / 3 * 3]["parameters"]);
    EXPECT_EQ(line["seconds_of_rounds"].size(), 2u);
    EXPECT_GT(line["seconds"].get<double>(), 0.0);
    EXPECT_GT(line["fraction_of_peak"].get<double>(), 0.0);
    EXPECT_GT(json["peak_per_second"][types[i % 3]].get<double>(), 1e7);
  }
  EXPECT_LT(networks[1]["weight_bytes"].get<double>(), networks[0]["weight_bytes"].get<double>());
  EXPECT_LT(networks[2]["weight_bytes"].get<double>(), networks[1]["weight_bytes"].get<double>());
}

// Multiply-adds counted by hand: 16 tokens; 6 blocks of width 192 (hidden 512), whose modulation is
// computed before the forward pass, and 2 of width 224 (hidden 597), which compute it for each
// token.
TEST_F(Bench, CountsTheProductsOfAForwardPass) {
  const auto result = rae({"bench", "--models", "builtin-dit", "--dtype", "bf16", "--rounds", "1",
                           "--threads", "1", "--json", "a.json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = nlohmann::json::parse(slurp(path("a.json")));
  constexpr double kTokens = 16, kNarrow = 192, kWide = 224, kChannels = 96;
  const double narrow = 4 * kNarrow * kNarrow + 3 * kNarrow * 512,
               wide = (4 + 6) * kWide * kWide + 3 * kWide * 597;
  const double others =
      kChannels * (kNarrow + kWide) + kNarrow * kWide + 2 * kWide * kWide + kWide * kChannels;
  const double attention = 2 * kTokens * kTokens * (6 * kNarrow + 2 * kWide);
  EXPECT_EQ(json["networks"][0]["products_per_picture"],
            kTokens * (6 * narrow + 2 * wide + others) + attention);
  EXPECT_EQ(json["threads"], 1);
}

TEST_F(Bench, DividesTheTimeAmongKernels) {
  const auto result = rae({"bench", "--models", "builtin-dit,builtin-decoder", "--dtype",
                           "f32,int8", "--rounds", "1", "--profile", "--json", "a.json"});
  ASSERT_EQ(result.status, 0) << result.err;
  for (const char* part : {"products", "attention", "norms", "waiting", "rest", "of limit"})
    EXPECT_TRUE(contains(result.out, part)) << part;
  const auto json = nlohmann::json::parse(slurp(path("a.json")));
  ASSERT_EQ(json["networks"].size(), 4u);
  for (const auto& network : json["networks"]) {
    SCOPED_TRACE(network["name"].get<std::string>());
    const auto& profile = network["profile"];
    double sum = 0;
    std::map<std::string, nlohmann::json> parts;
    for (const auto& part : profile["parts"]) {
      EXPECT_GE(part["seconds"].get<double>(), 0.0) << part;
      sum += part["seconds"].get<double>();
      parts[part["name"].get<std::string>()] = part;
    }
    EXPECT_NEAR(sum, profile["seconds"].get<double>(), 1e-9 + 1e-6 * sum);
    const auto of_limit = [&](const char* name) {
      return parts.at(name)["fraction_of_limit"].get<double>();
    };
    EXPECT_GT(of_limit("products"), 0.0);
    EXPECT_GT(of_limit("attention"), 0.0);
    // The DiT has 8 blocks, the decoder 4, each with one attention.
    EXPECT_EQ(parts.at("attention")["calls"], network["name"] == "builtin-dit" ? 8 : 4);
    EXPECT_FALSE(parts.at("rest").contains("fraction_of_limit"));
  }
}

TEST_F(Bench, MeasuresStepsOfTraining) {
  const auto result = rae({"bench", "--models", "builtin-dit,builtin-decoder", "--training",
                           "--rounds", "1", "--batch", "2", "--profile", "--json", "a.json"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "batch 2, steps of training"));
  const auto json = nlohmann::json::parse(slurp(path("a.json")));
  ASSERT_EQ(json["networks"].size(), 4u);  // f32 and bf16
  for (const auto& network : json["networks"]) {
    double sum = 0;
    std::map<std::string, nlohmann::json> parts;
    for (const auto& part : network["profile"]["parts"]) {
      sum += part["seconds"].get<double>();
      parts[part["name"].get<std::string>()] = part;
    }
    EXPECT_NEAR(sum, network["profile"]["seconds"].get<double>(), 1e-9 + 1e-6 * sum);
    // Forward and backward of each block.
    EXPECT_EQ(parts.at("attention")["calls"], network["name"] == "builtin-dit" ? 16 : 8);
    EXPECT_GT(parts.at("updates")["fraction_of_limit"].get<double>(), 0.0);
  }
  std::filesystem::remove(path("a.json"));
  refuses({"--training", "--dtype", "int8"}, 2, {"--training", "f32 or bf16"});
}

TEST_F(Bench, RejectsUnknownNamesAndNumbersOutOfRange) {
  refuses({"--models", "dit-dh-x"}, 2,
          {"--models: unknown network 'dit-dh-x'; did you mean 'dit-dh-xl'?", "decoder-xl, "});
  refuses({"--models", ","}, 2, {"nothing to measure"});
  refuses({"--models", "decoder-conv", "--dtype", "bf16"}, 2, {"nothing to measure", "f32"});
  refuses({"--dtype", "f32,fp8"}, 2,
          {"--dtype: expected f32, bf16, int8, int8w or int4, got 'fp8'"});
  refuses({"--rounds", "0"}, 2, {"--rounds"});
  refuses({"--rounds", "100000"}, 2, {"--rounds", "1000"});
  refuses({"--batch", "0"}, 2, {"--batch"});
}

TEST_F(Bench, ReportsFailuresBeforeMeasuring) {
  refuses({"--models", "builtin-dit", "--json", "no/such/folder/a.json"}, 1, {"no/such/folder"});
  // More memory than any machine has.
  refuses(
      {"--batch", "65536"}, 1,
      {"12 networks with 65,536 pictures each take", "of memory are free", "--models", "--batch"});
}

TEST_F(Bench, HelpListsTheNetworks) {
  const auto result = rae({"bench", "--help"});
  EXPECT_EQ(result.status, 0);
  for (const char* part :
       {"dit-dh-xl", "decoder-xl", "dinov2-b", "quiet machine", "--rounds", "(default: 5)"})
    EXPECT_TRUE(contains(result.out, part));
}

}  // namespace
}  // namespace rae::test
