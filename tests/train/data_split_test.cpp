#include "train/data_split.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>

#include "rae/formats/bundle.hpp"
#include "rae/io/data_difference.hpp"
#include "rae/io/dataset.hpp"
#include "support/picture_folder.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;
using detail::held_out_pictures;

/// Labels with a number of pictures each.
class Counted : public ToyDataset {
 public:
  explicit Counted(const std::vector<index_t>& counts)
      : ToyDataset(0, 8, static_cast<index_t>(counts.size())) {
    for (std::size_t k = 0; k < counts.size(); ++k)
      labels_.insert(labels_.end(), static_cast<std::size_t>(counts[k]), static_cast<index_t>(k));
  }
  index_t size() const override { return static_cast<index_t>(labels_.size()); }

 protected:
  index_t load_label(index_t i) const override { return labels_[static_cast<std::size_t>(i)]; }

 private:
  std::vector<index_t> labels_;
};

/// How many pictures of each class are held out.
std::vector<index_t> held_out_by_class(const std::vector<index_t>& counts, double share,
                                       index_t most = detail::kMostHeldOut) {
  const Counted data(counts);
  std::vector<index_t> out(counts.size(), 0);
  const std::vector<index_t> chosen = held_out_pictures(data, data.manifest(), share, most);
  EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
  EXPECT_EQ(std::adjacent_find(chosen.begin(), chosen.end()), chosen.end());
  for (const index_t i : chosen) ++out[static_cast<std::size_t>(data.label(i))];
  return out;
}

using Counts = std::vector<index_t>;

TEST(HeldOutPictures, AreAShareOfEachClassAndAtLeastOne) {
  EXPECT_EQ(held_out_by_class({100, 40, 19, 2, 1, 0}, 0.05), (Counts{5, 2, 1, 1, 0, 0}));
  EXPECT_EQ(held_out_by_class({10, 10}, 0.5), (Counts{5, 5}));
  EXPECT_EQ(held_out_by_class({10, 10}, 0), (Counts{0, 0}));
}

TEST(HeldOutPictures, AreNotMoreThanTheLimit) {
  const Counts limited = held_out_by_class({400, 200, 100}, 0.5, 100);
  EXPECT_EQ(limited, (Counts{56, 28, 14}));
  const Counts many = held_out_by_class(Counts(30, 4), 0.25, 10);  // one of every third class
  EXPECT_EQ(std::count(many.begin(), many.end(), 1), 10);
  EXPECT_EQ(std::count(many.begin(), many.end(), 0), 20);
  EXPECT_EQ(many[2] + many[1] + many[0], 1);
}

class DataSplits : public testing::Test {
 protected:
  void SetUp() override { write_picture_folder(data_); }

  [[nodiscard]] detail::DataSplit split(const Recipe& recipe,
                                        const std::string& out = "new") const {
    RecipeRun run;
    run.data = data_.path();
    run.out = out_ / out;
    return detail::split_data(recipe, run, survey_dataset(run.data, Split::train, recipe.data));
  }
  void train(const Recipe& recipe, const std::string& out,
             const std::function<void(RecipeRun&)>& change = {}) {
    RecipeRun run;
    run.data = data_.path();
    run.out = out_ / out;
    run.samples = 0;
    events_.clear();
    run.on_event = [&](const std::string& event) { events_ += event + "\n"; };
    if (change) change(run);
    run_recipe(recipe, run);
  }
  [[nodiscard]] static std::vector<float> picture(const ImageDataset& data, index_t i) {
    std::vector<float> out(static_cast<std::size_t>(data.image_size()));  // (C, H, W)
    data.image(i, out);
    return out;
  }
  [[nodiscard]] std::string file(const std::string& name) const { return slurp(out_ / name); }

  TempFolder data_, out_;
  std::string events_;
};

TEST_F(DataSplits, WithoutATestPartSomePicturesAreHeldOut) {
  const detail::DataSplit found = split(three_class_recipe());
  ASSERT_TRUE(found.held_out);
  EXPECT_EQ(found.held_out->size(), 3);
  EXPECT_EQ(found.training->size(), 15);
  EXPECT_EQ(found.description,
            "3 pictures of 18, which the training does not see, because the data have no test "
            "part (data.held_out: 0 trains on all)");
  // No picture is in both parts, and the manifest is that of all.
  for (index_t i = 0; i < 3; ++i) {
    EXPECT_EQ(found.held_out->label(i), i);
    for (index_t j = 0; j < 15; ++j)
      EXPECT_NE(picture(*found.held_out, i), picture(*found.training, j)) << i << " " << j;
  }
  EXPECT_EQ(found.manifest.held_out, 3);
  EXPECT_EQ(found.manifest.pictures(), 18);
  EXPECT_TRUE(DataManifest::from_config(found.manifest.to_config()) == found.manifest);
}

TEST_F(DataSplits, AreKeptWhenAPictureIsAdded) {
  const detail::DataSplit before = split(three_class_recipe());
  write_picture(data_ / "small/zz.png", 90);
  const detail::DataSplit after = split(three_class_recipe());
  for (index_t i = 0; i < 2; ++i)
    EXPECT_EQ(picture(*after.held_out, i), picture(*before.held_out, i));
  EXPECT_EQ(after.training->size() + after.held_out->size(), 19);
}

TEST_F(DataSplits, ATestPartIsTakenAsItIs) {
  fs::create_directory(data_ / "train");
  for (const char* name : {"large", "medium", "small"}) {
    fs::rename(data_ / name, data_ / (std::string("train/") + name));
    write_picture(data_ / (std::string("test/") + name + "/t.png"), 3);
  }
  const detail::DataSplit found = split(three_class_recipe());
  ASSERT_TRUE(found.held_out);
  EXPECT_EQ(found.held_out->size(), 3);
  EXPECT_EQ(found.training->size(), 18);
  EXPECT_EQ(found.manifest.held_out, 0);
  EXPECT_FALSE(found.manifest.to_config().contains("held_out"));
}

TEST_F(DataSplits, CanBeTurnedOff) {
  const Recipe recipe = three_class_recipe({"data.held_out=0"});
  const detail::DataSplit found = split(recipe);
  EXPECT_FALSE(found.held_out);
  EXPECT_EQ(found.training->size(), 18);
  EXPECT_EQ(
      message_of<ConfigError>([] {
        (void)three_class_recipe({"data.held_out=0.6"});
      }).find("a number between 0 and 0.5"),
      message_of<ConfigError>([] { (void)three_class_recipe({"data.held_out=0.6"}); }).size() -
          std::string("a number between 0 and 0.5, got 0.6").size());
}

TEST_F(DataSplits, EveryStageHasAHeldOutLoss) {
  train(three_class_recipe(), "run");
  EXPECT_NE(events_.find("held-out pictures: 3 pictures of 18"), std::string::npos) << events_;
  for (const char* stage : {"encoder", "decoder", "dit"})
    EXPECT_NE(file(std::string("run/") + stage + "/log.jsonl").find("held_out_loss"),
              std::string::npos)
        << stage;
  EXPECT_NE(file("run/encoder/log.jsonl").find("knn_accuracy"), std::string::npos);
}

TEST_F(DataSplits, BelongToTheIdentityOfARun) {
  train(three_class_recipe(), "run");
  EXPECT_EQ(Bundle::load(out_ / "run/model.safetensors").notes.at("held_out"), "0.05");
  const std::string refused =
      message_of<ConfigError>([&] { train(three_class_recipe({"data.held_out=0"}), "run"); });
  EXPECT_NE(refused.find("3 pictures were held out, none is now"), std::string::npos) << refused;
  const std::string model = file("run/model.safetensors");
  train(three_class_recipe(), "run");
  EXPECT_EQ(file("run/model.safetensors"), model);
}

TEST_F(DataSplits, OfOtherSharesOrPicturesAreToldApart) {
  DataManifest some = split(three_class_recipe()).manifest, more = some;
  more.held_out = 6;
  EXPECT_EQ(describe_difference(some, more), "3 pictures were held out, now 6 are");
  EXPECT_EQ(differences(some, more)[0].kind, DataChange::options);
  more.classes[0].pictures += 1;  // the number follows from that of the pictures
  more.classes[0].checksum += 1;
  for (const DataDifference& each : differences(some, more))
    EXPECT_NE(each.kind, DataChange::options) << each.text;
}

// As before there was such a split: the run goes on with the same result.
TEST_F(DataSplits, ARunThatBeganOnAllPicturesContinuesOnThem) {
  const Recipe all = three_class_recipe({"data.held_out=0"});
  train(all, "whole");
  EXPECT_THROW(train(all, "run",
                     [](RecipeRun& run) {
                       run.on_progress = [](const TrainingProgress& p) {
                         return p.stage != "decoder" || p.step < 2;
                       };
                     }),
               Cancelled);
  train(three_class_recipe(), "run");
  EXPECT_NE(events_.find("the run began on all pictures"), std::string::npos) << events_;
  EXPECT_EQ(file("run/model.safetensors"), file("whole/model.safetensors"));
}

}  // namespace
}  // namespace rae::test
