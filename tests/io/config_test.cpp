#include "rae/io/config.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/golden.hpp"
#include "support/temp_folder.hpp"

namespace rae::test {
namespace {

TEST(Config, ReadsYamlTypes) {
  const auto node = ConfigNode::parse_yaml(R"(
dit:
  width: [384, 0x10, 0o17, -3]
  lr: 1e-6
  dot: 0.
  big: 99999999999999999999
  bools: [true, False]
  names: {a: "1", b: plain text, c: 'true', d: "~"}
  empty:
  tilde: ~
  inf: -.inf
  tagged: !!str 12
  version: 1_000
)",
                                           "test.yaml");
  const auto& dit = node.at("dit");
  EXPECT_EQ(dit.get<std::vector<int>>("width"), (std::vector<int>{384, 16, 15, -3}));
  EXPECT_EQ(dit.get<double>("lr"), 1e-6);
  EXPECT_EQ(dit.at("lr").kind(), ConfigNode::Kind::number);
  EXPECT_EQ(dit.get<float>("dot"), 0.0f);
  EXPECT_EQ(dit.get<double>("big"), 1e20);
  EXPECT_EQ(dit.get<std::vector<bool>>("bools"), (std::vector<bool>{true, false}));
  EXPECT_EQ(dit.at("names").get<std::string>("a"), "1");
  EXPECT_EQ(dit.at("names").get<std::string>("b"), "plain text");
  EXPECT_EQ(dit.at("names").get<std::string>("c"), "true");
  EXPECT_EQ(dit.at("names").get<std::string>("d"), "~");
  EXPECT_TRUE(dit.at("empty").is_null());
  EXPECT_TRUE(dit.at("tilde").is_null());
  EXPECT_EQ(dit.get<double>("inf"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(dit.get<std::string>("tagged"), "12");
  EXPECT_TRUE(dit.at("version").is_string());
  EXPECT_EQ(dit.get_or("empty", 3), 3);
  EXPECT_EQ(dit.get_or("none", "text"), "text");
  EXPECT_EQ(dit.get_or("lr", 2.0), 1e-6);
}

TEST(Config, ReadsAGoldenConfiguration) {
  const auto node = ConfigNode::load(data_path("golden/ddt_official_flags/config.json"));
  EXPECT_TRUE(node.is_map());
  EXPECT_FALSE(node.members().empty());
  EXPECT_EQ(ConfigNode::parse_json(node.to_json()), node);
  EXPECT_EQ(ConfigNode::parse_yaml(node.to_json(2)), node);
}

TEST(Config, ErrorsNameThePlace) {
  const auto node = ConfigNode::parse_yaml(
      "dit:\n  train: {lr: abc, steps: 1.5, list: [1, x], count: -1, big: 3000000000}\n",
      "fashion-mnist.yaml");
  const auto& train = node.at("dit").at("train");
  EXPECT_EQ(message_of<ConfigError>([&] { (void)train.get<double>("lr"); }),
            "fashion-mnist.yaml: dit.train.lr: expected a number, got 'abc'");
  EXPECT_EQ(message_of<ConfigError>([&] { (void)train.get<int>("steps"); }),
            "fashion-mnist.yaml: dit.train.steps: expected an integer, got 1.5");
  EXPECT_EQ(message_of<ConfigError>([&] { (void)train.get<std::vector<int>>("list"); }),
            "fashion-mnist.yaml: dit.train.list[1]: expected an integer, got 'x'");
  EXPECT_EQ(
      message_of<ConfigError>([&] { (void)train.get<unsigned>("count"); }),
      "fashion-mnist.yaml: dit.train.count: expected an integer from 0 to 4294967295, got -1");
  EXPECT_THROW((void)train.get<int>("big"), ConfigError);
  EXPECT_EQ(train.get<std::int64_t>("big"), 3000000000);
  EXPECT_EQ(message_of<ConfigError>([&] { (void)node.at("dti"); }),
            "fashion-mnist.yaml: the key 'dti' is missing; did you mean 'dit'?");
  EXPECT_EQ(message_of<ConfigError>([&] { (void)train.at("lr").at("x"); }),
            "fashion-mnist.yaml: dit.train.lr: expected a map, got 'abc'");
  EXPECT_EQ(message_of<ConfigError>([&] { (void)train.get<bool>("list"); }),
            "fashion-mnist.yaml: dit.train.list: expected true or false, got a list of 2");
  EXPECT_EQ(message_of<ConfigError>([&] { (void)node.as_string(); }),
            "fashion-mnist.yaml: expected a string, got a map");
}

TEST(Config, ReportsUnknownKeys) {
  const auto node = ConfigNode::parse_yaml("model: {depht: 3}", "a.yaml");
  EXPECT_NO_THROW(require_keys_known(node, {"model"}));
  EXPECT_EQ(message_of<ConfigError>([&] {
              require_keys_known(node.at("model"), {"width", "depth"});
            }),
            "a.yaml: model: unknown key 'depht'; did you mean 'depth'?");
  EXPECT_EQ(message_of<ConfigError>([&] {
              require_keys_known(node, {"first", "second"});
            }),
            "a.yaml: unknown key 'model'; known keys: first, second");
}

TEST(Config, BuildsAndOverrides) {
  auto node = ConfigNode::map(
      {{"seed", 7}, {"dit", ConfigNode::map({{"lr", 1e-4}, {"heads", ConfigNode::list({4, 4})}})}});
  node.apply_override("dit.lr=2e-3");
  node.apply_override("dit.new.deep=[1, {a: b}]");
  node.apply_override("name=");
  node.set_path("seed", 8);
  EXPECT_EQ(
      node.to_json(),
      R"({"seed":8,"dit":{"lr":0.002,"heads":[4,4],"new":{"deep":[1,{"a":"b"}]}},"name":null})");
  EXPECT_EQ(
      message_of<ConfigError>([&] { (void)node.at("dit").at("heads").elements()[1].as_bool(); }),
      "configuration: dit.heads[1]: expected true or false, got 4");
  EXPECT_THROW(node.apply_override("novalue"), ConfigError);
  EXPECT_THROW(node.apply_override("=1"), ConfigError);
  EXPECT_THROW(node.apply_override("a..b=1"), ConfigError);
  EXPECT_THROW(node.apply_override("seed.x=1"), ConfigError);
  EXPECT_THROW(node.apply_override("x=[1"), ConfigError);
  EXPECT_THROW((void)ConfigNode::map({{"a", 1}, {"a", 2}}), ConfigError);
  EXPECT_THROW(ConfigNode(3).set("a", 1), ConfigError);
}

TEST(Config, JsonKeepsEveryBit) {
  for (const double value : {0.1, 1.0 / 3.0, 1e300, -5e-324, 1.0, 3.4659, 123456789012345678.0}) {
    const auto back = ConfigNode::parse_json(ConfigNode::list({value}).to_json());
    EXPECT_EQ(back.elements()[0].kind(), ConfigNode::Kind::number);
    EXPECT_EQ(back.elements()[0].as_number(), value);
  }
  EXPECT_EQ(ConfigNode("a\"\n\xc3\xa9").to_json(), "\"a\\\"\\n\xc3\xa9\"");
  EXPECT_EQ(ConfigNode::map().to_json(2), "{}");
  EXPECT_EQ(ConfigNode::map({{"a", ConfigNode::list({1})}}).to_json(2),
            "{\n  \"a\": [\n    1\n  ]\n}");
  EXPECT_THROW((void)ConfigNode(std::nan("")).to_json(), ConfigError);
  EXPECT_THROW((void)ConfigNode("\xff").to_json(), ConfigError);
}

TEST(Config, LoadsByFileName) {
  const TempFolder folder;
  EXPECT_EQ(ConfigNode::load(folder.write("a.yaml", "x: 1")).get<int>("x"), 1);
  EXPECT_EQ(ConfigNode::load(folder.write("a.json", "{\"x\": 1}")).get<int>("x"), 1);
  EXPECT_TRUE(ConfigNode::load(folder.write("empty.yaml", "# nothing\n")).is_null());
  EXPECT_NE(message_of<ConfigError>([&] {
              (void)ConfigNode::load(folder.write("bad.json", "x: 1"));
            }).find("bad.json"),
            std::string::npos);
  EXPECT_NE(message_of<FileError>([&] {
              (void)ConfigNode::load(folder / "none.yaml");
            }).find("none.yaml"),
            std::string::npos);
  EXPECT_THROW((void)ConfigNode::load("/dev/zero"), FileError);
}

TEST(Config, RefusesBadYaml) {
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char c = 'b'; c < 'k'; ++c) {
    bomb += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 10; ++i) bomb += std::string(i ? ", *" : "*") + static_cast<char>(c - 1);
    bomb += "]\n";
  }
  std::string wide = "a: &a " + std::string(1'000'000, 'x') + "\nb: [";
  for (int i = 0; i < 1000; ++i) wide += "*a, ";
  wide += "]\n";
  const std::pair<std::string, const char*> cases[] = {
      {"a: [1, 2", "line"},
      {"a: b: c", "line"},
      {"\ta: 1", "line"},
      {"a: 1\na: 2", "appears twice"},
      {"a: {b: 1, b: 1}", "appears twice"},
      {"? [1]\n: 2", "as a key"},
      {"? {a: 1}\n: 2", "as a key"},
      {"~: 2", "a key without a name"},
      {"a: &x [*x]", "inside its own anchor"},
      {"a: *none", "line"},
      {"b: &b {x: 1}\na: {<<: *b}", "merge keys"},
      {"a: !!python/object x", "unknown tag"},
      {"a: !custom [1]", "unknown tag"},
      {"a: 1\n---\nb: 2", "more than one document"},
      {bomb, "aliases included"},
      {wide, "aliases included"},
      {std::string(10000, '['), ""},
      {std::string(65, '[') + std::string(65, ']'), "nesting"},
      {std::string(100000, '['), ""},
      {std::string(100000, '-'), ""},
      {std::string(5'000'000, ' '), "more than the limit"},
  };
  for (const auto& [text, expected] : cases) {
    const auto& input = text;
    if (input == std::string(100000, '-')) {
      EXPECT_NO_FATAL_FAILURE((void)ConfigNode::parse_yaml(input, "bad.yaml"));
      continue;
    }
    const auto message =
        message_of<ConfigError>([&] { (void)ConfigNode::parse_yaml(input, "bad.yaml"); });
    EXPECT_NE(message.find(expected), std::string::npos) << text.substr(0, 60) << ": " << message;
    EXPECT_EQ(message.rfind("bad.yaml: ", 0), 0u) << message;
  }
}

TEST(Config, RefusesBadJson) {
  std::string many = "[0";
  for (int i = 0; i < 100'000; ++i) many += ",0";
  const std::pair<std::string, const char*> cases[] = {
      {"", "not valid JSON"},
      {"{", "not valid JSON"},
      {"{\"a\":1,}", "not valid JSON"},
      {"[1] 2", "not valid JSON"},
      {"{'a':1}", "not valid JSON"},
      {"\"\xff\"", "not valid JSON"},
      {"1e999", "not valid JSON"},
      {"NaN", "not valid JSON"},
      {"{\"a\":{\"b\":1,\"b\":2}}", "a: the key 'b' appears twice"},
      {std::string(65, '[') + std::string(65, ']'), "nesting"},
      {std::string(1'000'000, '['), "nesting"},
      {many + "]", "more than 100000 values"},
  };
  for (const auto& [text, expected] : cases) {
    const auto& input = text;
    const auto message =
        message_of<ConfigError>([&] { (void)ConfigNode::parse_json(input, "bad.json"); });
    EXPECT_NE(message.find(expected), std::string::npos) << text.substr(0, 60) << ": " << message;
    EXPECT_EQ(message.rfind("bad.json: ", 0), 0u) << message;
  }
  EXPECT_NO_THROW((void)ConfigNode::parse_json(std::string(64, '[') + std::string(64, ']')));
}

}  // namespace
}  // namespace rae::test
