// Configurations of RAEv2 are recognised by each of their keys; those of the first version are not.
#include "formats/official/version_2.hpp"

#include <gtest/gtest.h>

#include "rae/formats/official/config.hpp"
#include "support/official_files.hpp"

namespace rae::test {
namespace {

void expect_version_2(const std::string& yaml, const std::vector<std::string>& parts) {
  const std::string message = message_of<ConfigError>(
      [&] { (void)parse_official_config(ConfigNode::parse_yaml(yaml, "v2.yaml")); });
  for (const std::string& part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' in: " << message;
  EXPECT_NE(message.find("v2.yaml: is a configuration of RAEv2"), std::string::npos) << message;
  EXPECT_NE(message.find("not supported yet"), std::string::npos) << message;
}

TEST(OfficialVersion2, EachKeyIsNamed) {
  expect_version_2("stage_1: {params: {encoder_name: dinov3mls-vit-l16}}",
                   {"(stage_1.params.encoder_name)", "DINOv3"});
  expect_version_2("stage_1: {params: {resolution: 256}}", {"stage_1.params.resolution"});
  expect_version_2("stage_2: {target: stage2.models.DDT.DiTwDDTHeadIG}",
                   {"stage_2.target", "internal guidance"});
  expect_version_2("stage_2: {params: {base_model_depth: 8}}", {"stage_2.params.base_model_depth"});
  expect_version_2("internal_guidance: {base_model_depth: 8}", {"internal_guidance"});
  expect_version_2("guidance: {ig: {scale: 1.78}, cfg: {scale: 1}}",
                   {"(guidance.ig, guidance.cfg)", "two kinds of guidance"});
  expect_version_2("conditioning: {type: label}", {"conditioning by tokens"});
  expect_version_2("repa: {use_repa: true}", {"REPA"});
  expect_version_2("transport: {t_eps: 0.05}", {"transport.t_eps"});
  expect_version_2(
      "{stage_1: {target: stage1.RAE, params: {encoder_name: a-b-c, resolution: 256}}, stage_2: "
      "{target: x.DiTwDDTHeadIG, params: {base_model_depth: 8}}, conditioning: {type: label}}",
      {"stage_1.params.encoder_name, stage_1.params.resolution, stage_2.params.base_model_depth, "
       "conditioning, stage_2.target",
       "encoders by name", "conditioning by tokens"});
}

TEST(OfficialVersion2, TheFirstVersionIsNot) {
  EXPECT_NO_THROW(official::require_version_1(ConfigNode::load(golden_model_path("config.yaml"))));
  for (const char* yaml : {"{}", "3", "[1]", "stage_1: 3", "guidance: {scale: 1}",
                           "stage_2: {target: stage2.models.DDT.DiTwDDTHead}"})
    EXPECT_NO_THROW(official::require_version_1(ConfigNode::parse_yaml(yaml, "v1.yaml"))) << yaml;
}

}  // namespace
}  // namespace rae::test
