#include "train/stage_identity.hpp"

#include <gtest/gtest.h>

#include "support/picture_folder.hpp"

namespace rae::test {
namespace {

using detail::compare_stage;
using detail::stage_settings;

DataManifest manifest_of(std::initializer_list<const char*> names) {
  DataManifest out;
  std::uint32_t number = 1;
  for (const char* name : names) {
    ManifestClass c{name, 2, 0, {{"0.png", 10, number}, {"1.png", 11, number + 1}}};
    c.checksum = checksum_of(c.files);
    number += 2;
    out.classes.push_back(std::move(c));
  }
  return out;
}

/// The comparison of a stage of the same recipe on two data sets.
detail::StageComparison compare(TrainingStage stage, const DataManifest& saved,
                                const DataManifest& now) {
  const Recipe recipe = three_class_recipe();
  return compare_stage(stage, stage_settings(recipe, stage, saved, {}),
                       stage_settings(recipe, stage, now, {}));
}

TEST(StageIdentity, HasOnlyWhatTheStageDependsOn) {
  const Recipe recipe = three_class_recipe();
  const DataManifest data = manifest_of({"a", "b", "c"});
  const auto keys = [&](TrainingStage stage) {
    const ConfigNode settings = stage_settings(recipe, stage, data, {"e", "s", ""});
    std::string out;
    for (const auto& [key, value] : settings.at("model").members()) out += key + " ";
    out += "|";
    for (const auto& [key, value] : settings.members()) out += " " + key;
    return out;
  };
  EXPECT_EQ(keys(TrainingStage::encoder), "image_size pixels encoder | model encoder data inputs");
  EXPECT_EQ(keys(TrainingStage::decoder), "image_size pixels decoder | model decoder data inputs");
  EXPECT_EQ(keys(TrainingStage::statistics), "image_size pixels | model data inputs");
  EXPECT_EQ(keys(TrainingStage::dit), "image_size pixels dit time_shift | model dit data inputs");
}

TEST(StageIdentity, ClassNamesCountWhereTheyAreUsed) {
  const DataManifest saved = manifest_of({"a", "b", "c"}), now = manifest_of({"a", "b", "d"});
  for (const TrainingStage stage : {TrainingStage::encoder, TrainingStage::dit}) {
    const auto c = compare(stage, saved, now);
    EXPECT_EQ(c.data, "class 2 was 'c', is 'd'");
    EXPECT_FALSE(c.same_reading);
  }
  EXPECT_EQ(compare(TrainingStage::decoder, saved, now).data, "");
  const Recipe without =
      three_class_recipe({"model.dit.num_classes=1", "model.dit.class_dropout_prob=0"});
  EXPECT_EQ(
      compare_stage(TrainingStage::dit, stage_settings(without, TrainingStage::dit, saved, {}),
                    stage_settings(without, TrainingStage::dit, now, {}))
          .data,
      "");
}

TEST(StageIdentity, OtherPicturesAreNamed) {
  const DataManifest saved = manifest_of({"a", "b", "c"});
  DataManifest now = saved;
  now.classes[1].files.pop_back();
  now.classes[1].pictures = 1;
  now.classes[1].checksum = checksum_of(now.classes[1].files);
  const auto c = compare(TrainingStage::dit, saved, now);
  EXPECT_EQ(c.data, "1 picture removed (b/1.png)");
  EXPECT_TRUE(c.same_reading);
  // A record has only checksums.
  const Recipe recipe = three_class_recipe();
  const ConfigNode record =
      detail::settings_of_record(stage_settings(recipe, TrainingStage::dit, saved, {}));
  const auto same = compare_stage(TrainingStage::dit, record,
                                  stage_settings(recipe, TrainingStage::dit, saved, {}));
  EXPECT_EQ(same.data + same.settings + same.inputs, "");
  EXPECT_EQ(
      compare_stage(TrainingStage::dit, record, stage_settings(recipe, TrainingStage::dit, now, {}))
          .data,
      "the pictures have changed");
}

TEST(StageIdentity, InputsAreComparedApartFromSettings) {
  const Recipe recipe = three_class_recipe(), other = three_class_recipe({"dit.train.lr=0.5"});
  const DataManifest data = manifest_of({"a", "b", "c"});
  const auto c = compare_stage(TrainingStage::dit,
                               stage_settings(recipe, TrainingStage::dit, data, {"e", "s", ""}),
                               stage_settings(other, TrainingStage::dit, data, {"e", "t", ""}));
  EXPECT_EQ(c.inputs, "statistics");
  EXPECT_EQ(c.settings, "dit.train.lr is new");
}

// A configuration has at most 100,000 values, and a checkpoint must be readable.
TEST(StageIdentity, ManyClassesHaveOnlyChecksums) {
  DataManifest many;
  for (int i = 0; i < 30000; ++i) many.classes.push_back({std::to_string(i), 1, 7});
  const Recipe recipe = three_class_recipe();
  const ConfigNode settings = stage_settings(recipe, TrainingStage::dit, many, {});
  EXPECT_EQ(ConfigNode::parse_json(settings.to_json()), settings);
  DataManifest renamed = many;
  renamed.classes[3].name = "x";
  const auto c = compare_stage(TrainingStage::dit, settings,
                               stage_settings(recipe, TrainingStage::dit, renamed, {}));
  EXPECT_EQ(c.data, "the names of the classes have changed");
  EXPECT_FALSE(c.same_reading);
  EXPECT_EQ(compare_stage(TrainingStage::dit, settings, settings).data, "");
}

TEST(StageIdentity, AcceptedChangesStay) {
  const Recipe recipe = three_class_recipe();
  ConfigNode settings = stage_settings(recipe, TrainingStage::dit, manifest_of({"a"}), {});
  EXPECT_EQ(detail::accepted_changes(settings), "");
  detail::add_accepted_change(settings, "x");
  detail::add_accepted_change(settings, "y");
  EXPECT_EQ(detail::accepted_changes(settings), "x; y");
  EXPECT_EQ(detail::accepted_changes(detail::settings_of_record(settings)), "x; y");
  ConfigNode next = stage_settings(recipe, TrainingStage::dit, manifest_of({"a"}), {});
  detail::keep_accepted_changes(next, settings);
  EXPECT_EQ(next, settings);
}

}  // namespace
}  // namespace rae::test
