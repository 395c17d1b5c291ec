// What a checkpoint belongs to: runs of a recipe in a folder in which another one has trained.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>

#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/io/safetensors_writer.hpp"
#include "rae/train/checkpoint.hpp"
#include "support/picture_folder.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

bool has_text(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class RunFolders : public testing::Test {
 protected:
  void SetUp() override { write_picture_folder(data_); }

  /// Runs a recipe in the folder `name` and returns the events, one in a line.
  std::string train(const Recipe& recipe, const std::string& name,
                    const std::function<void(RecipeRun&)>& change = {}) const {
    RecipeRun run;
    run.data = data_.path();
    run.out = out_ / name;
    run.samples = 3;
    std::string events;
    run.on_event = [&](const std::string& event) { events += event + "\n"; };
    if (change) change(run);
    run_recipe(recipe, run);
    return events;
  }
  /// The message with which a run is refused.
  std::string refusal(const Recipe& recipe, const std::string& name,
                      const std::function<void(RecipeRun&)>& change = {}) const {
    return message_of<ConfigError>([&] { (void)train(recipe, name, change); });
  }
  /// Runs until this step of a stage is reported, and stops there.
  void train_until(const Recipe& recipe, const std::string& name, const std::string& stage,
                   index_t step) const {
    EXPECT_THROW((void)train(recipe, name,
                             [&](RecipeRun& run) {
                               run.on_progress = [&](const TrainingProgress& p) {
                                 return p.stage != stage || p.step < step;
                               };
                             }),
                 Cancelled);
  }
  [[nodiscard]] std::string model(const std::string& name) const {
    return slurp(out_ / (name + "/model.safetensors"));
  }
  [[nodiscard]] bool exists(const std::string& name) const { return fs::exists(out_ / name); }

  TempFolder data_, out_;
};

TEST_F(RunFolders, ANewEncoderMakesTheLaterStagesStale) {
  train(three_class_recipe(), "a");
  fs::remove_all(out_ / "a/encoder");
  const Recipe changed = three_class_recipe({"encoder.train.lr=5e-3"});
  const std::string events = train(changed, "a");
  EXPECT_TRUE(has_text(events,
                       "decoder: trained again, because its checkpoint belongs to another "
                       "encoder (kept as checkpoint-stale-1.safetensors)"))
      << events;
  EXPECT_TRUE(
      has_text(events, "dit: trained again, because its checkpoint belongs to another encoder"))
      << events;
  for (const char* file : {"a/decoder/checkpoint-stale-1.safetensors", "a/dit/log-stale-1.jsonl",
                           "a/dit/checkpoint-stale-1.safetensors", "a/samples-stale-1"})
    EXPECT_TRUE(exists(file)) << file;
  train(changed, "b");
  EXPECT_EQ(model("a"), model("b"));
  // The next one gets the next number, and a longer training of the encoder is a new encoder.
  const Recipe longer = three_class_recipe({"encoder.train.lr=5e-3", "encoder.train.steps=6"});
  train(longer, "a");
  EXPECT_TRUE(exists("a/dit/checkpoint-stale-2.safetensors"));
  EXPECT_EQ(train(longer, "a").find("wrote"), std::string::npos);
}

TEST_F(RunFolders, AnEncoderThatIsTrainedAgainAsBeforeChangesNothing) {
  train(three_class_recipe(), "a");
  const std::string before = model("a");
  fs::remove_all(out_ / "a/encoder");
  const std::string events = train(three_class_recipe(), "a");
  EXPECT_FALSE(has_text(events, "checkpoint-stale")) << events;
  EXPECT_EQ(model("a"), before);
}

TEST_F(RunFolders, AChangeCountsOnlyForTheStagesThatDependOnIt) {
  train(three_class_recipe(), "a");
  const auto encoder = slurp(out_ / "a/encoder/checkpoint.safetensors");
  // The network of stage 2 is another one: its folder has to go, the others stay.
  const Recipe wider =
      three_class_recipe({"model.dit.hidden_size=[12, 12]", "model.dit.num_heads=[3, 3]"});
  EXPECT_TRUE(has_text(refusal(wider, "a"),
                       "dit/checkpoint.safetensors: is a checkpoint of a run "
                       "with other settings (model.dit.hidden_size"));
  fs::remove_all(out_ / "a/dit");
  index_t trained = 0;
  train(wider, "a", [&](RecipeRun& run) {
    run.on_progress = [&](const TrainingProgress& p) { return trained += p.stage != "dit", true; };
  });
  EXPECT_EQ(trained, 0);
  EXPECT_EQ(slurp(out_ / "a/encoder/checkpoint.safetensors"), encoder);
  train(wider, "b");
  EXPECT_EQ(model("a"), model("b"));
}

TEST_F(RunFolders, NamesNotesAndSamplingChangeNoWeights) {
  train(three_class_recipe(), "a");
  const Recipe renamed =
      three_class_recipe({"model.name=other", "notes={data: mine}", "model.sampling.steps=5",
                          "dit.train.checkpoint_every=3", "decoder.train.log_every=2"});
  const std::string events = train(renamed, "a", [](RecipeRun& run) {
    run.on_progress = [](const TrainingProgress& p) {
      ADD_FAILURE() << p.stage << " is trained again";
      return true;
    };
  });
  EXPECT_FALSE(has_text(events, "stale")) << events;
  const Bundle bundle = Bundle::load(out_ / "a/model.safetensors");
  EXPECT_EQ(bundle.config.name, "other");
  EXPECT_EQ(bundle.config.sampling.steps, 5);
  EXPECT_EQ(bundle.notes.at("data"), "mine");
  EXPECT_FALSE(bundle.notes.contains("licence"));
  train(renamed, "b");
  EXPECT_EQ(model("a"), model("b"));
}

TEST_F(RunFolders, RenamedAndReorderedClassesAreRefusedByName) {
  train(three_class_recipe(), "a");
  const std::string before = model("a");
  const auto accepting = [](RecipeRun& run) { run.accept_data_change = true; };
  for (const char* name : {"Aaa_small", "smaller"}) {
    fs::rename(data_ / "small", data_ / name);
    const std::string message = refusal(three_class_recipe(), "a");
    EXPECT_TRUE(has_text(message, name == std::string("smaller")
                                      ? "class 2 was 'small', is 'smaller'"
                                      : "class 0 was 'large', is 'Aaa_small'"))
        << message;
    EXPECT_EQ(refusal(three_class_recipe(), "a", accepting), message);
    fs::rename(data_ / name, data_ / "small");
  }
  EXPECT_EQ(model("a"), before);
  EXPECT_EQ(train(three_class_recipe(), "a").find("wrote"), std::string::npos);
}

TEST_F(RunFolders, OtherPicturesAreRefusedUnlessTheyAreAccepted) {
  train_until(three_class_recipe(), "a", "decoder", 2);
  fs::remove(data_ / "small/3.png");
  const std::string message = refusal(three_class_recipe(), "a");
  EXPECT_TRUE(has_text(message, "1 picture removed (small/3.png)")) << message;
  EXPECT_TRUE(has_text(message, "--accept-data-change")) << message;
  const auto accepting = [](RecipeRun& run) { run.accept_data_change = true; };
  const std::string events = train(three_class_recipe(), "a", accepting);
  EXPECT_TRUE(has_text(events, "decoder: continues with other pictures: 1 picture removed"))
      << events;
  EXPECT_TRUE(has_text(slurp(out_ / "a/decoder/log.jsonl"), "\"event\":\"continues with other"));
  const auto note = [&] {
    const Bundle bundle = Bundle::load(out_ / "a/model.safetensors");
    const auto found = bundle.notes.find("data_changes");
    return found == bundle.notes.end() ? "" : found->second;
  };
  EXPECT_EQ(note(), "encoder: 1 picture removed (small/3.png); decoder: 1 picture removed (3.png)");
  // Accepted once, it is the data of the run.
  const std::string before = model("a");
  EXPECT_EQ(train(three_class_recipe(), "a").find("wrote"), std::string::npos);
  EXPECT_EQ(model("a"), before);
  // So is a picture that was added, and one that was changed.
  write_picture(data_ / "small/9.png", 99);
  write_picture(data_ / "large/0.png", 98);
  EXPECT_TRUE(has_text(refusal(three_class_recipe(), "a"), "1 picture added (small/9.png)"));
  EXPECT_FALSE(has_text(train(three_class_recipe(), "a", accepting), "stale"));
  EXPECT_TRUE(has_text(note(), "dit: 1 picture added (small/9.png); 1 picture changed"));
  EXPECT_EQ(train(three_class_recipe(), "a").find("wrote"), std::string::npos);
  // Another way of reading them is a setting, not a change of the data.
  const Recipe flipped = three_class_recipe({"data={flip: true}"});
  EXPECT_TRUE(has_text(refusal(flipped, "a", accepting), "flip was false, is true"));
}

TEST_F(RunFolders, SingleStagesUseOnlyCompleteResultsOfTheRecipe) {
  const auto only = [](TrainingStage stage) {
    return [stage](RecipeRun& run) { run.stages = {stage}; };
  };
  train_until(three_class_recipe(), "a", "encoder", 2);
  EXPECT_TRUE(has_text(refusal(three_class_recipe(), "a", only(TrainingStage::decoder)),
                       "run the stage encoder first"));
  train(three_class_recipe(), "a", only(TrainingStage::encoder));
  const Recipe other = three_class_recipe({"encoder.train.lr=5e-3"});
  EXPECT_TRUE(has_text(refusal(other, "a", only(TrainingStage::decoder)),
                       "has one of other settings or data, or one that is not complete; run the "
                       "stage encoder first"));
  for (const TrainingStage stage : {TrainingStage::decoder, TrainingStage::statistics})
    train(three_class_recipe(), "a", only(stage));
  fs::remove_all(out_ / "a/encoder");
  train(other, "a", only(TrainingStage::encoder));
  EXPECT_TRUE(has_text(refusal(other, "a", only(TrainingStage::dit)), "run the stage decoder"));
  for (const TrainingStage stage :
       {TrainingStage::decoder, TrainingStage::statistics, TrainingStage::dit})
    train(other, "a", only(stage));
  train(other, "b");
  EXPECT_EQ(model("a"), model("b"));
}

TEST_F(RunFolders, StatisticsAreNotComputedAgain) {
  train(three_class_recipe(), "a");
  index_t asked = 0;  // between the batches of the statistics
  std::string stage;
  train(three_class_recipe(), "a", [&](RecipeRun& run) {
    run.on_event = [&](const std::string& event) {
      if (event.rfind("stage ", 0) == 0) stage = event.substr(6);
    };
    run.should_stop = [&] { return asked += stage == "statistics", false; };
  });
  EXPECT_EQ(asked, 0);
  // Another rule of the statistics is another setting of the DiT.
  const Recipe official = three_class_recipe({"statistics={rule: official, batch_size: 4}"});
  EXPECT_TRUE(has_text(refusal(official, "a"), "statistics is new"));
  fs::remove_all(out_ / "a/dit");
  train(official, "a");
  train(official, "b");
  EXPECT_EQ(model("a"), model("b"));
}

TEST_F(RunFolders, TheBundleIsUsableWhileEachStageTrains) {
  const Recipe recipe =
      three_class_recipe({"encoder.train.checkpoint_every=1", "decoder.train.checkpoint_every=1"});
  const std::string path = out_ / "a/model.safetensors";
  std::map<std::string, index_t> usable;
  train(recipe, "a", [&](RecipeRun& run) {
    run.on_progress = [&](const TrainingProgress& p) {
      if (p.step < 3) return true;  // the checkpoint of this step is written after this call
      const Image picture(8, 8, 1, 100);
      if (p.stage == "encoder") {
        EXPECT_EQ(Autoencoder::load(path).encode(Tensor<float>::zeros(Shape{1, 1, 8, 8})).shape(),
                  (Shape{1, 8, 2, 2}));
      } else if (p.stage == "decoder") {
        EXPECT_EQ(Autoencoder::load(path).reconstruct(picture).width(), 8);
      } else {
        EXPECT_EQ(Generator::load(path).sample({.labels = {1, 2}}).size(), 2u);
      }
      return ++usable[p.stage], true;
    };
  });
  EXPECT_EQ(usable, (std::map<std::string, index_t>{{"decoder", 2}, {"dit", 4}, {"encoder", 2}}));
}

TEST_F(RunFolders, PicturesThatAKillPreventedAreDrawnLater) {
  train(three_class_recipe(), "a");
  const std::string path = out_ / "a/samples/step-0000004.png", bytes = slurp(path);
  train_until(three_class_recipe(), "b", "dit", 5);
  fs::remove(out_ / "b/samples/step-0000005.png");
  train(three_class_recipe(), "b");
  EXPECT_TRUE(exists("b/samples/step-0000005.png"));
  EXPECT_EQ(slurp(out_ / "b/samples/step-0000004.png"), bytes);
  EXPECT_EQ(model("a"), model("b"));
  // A picture that is older than the checkpoint belongs to another training.
  const std::string last = out_ / "a/samples/step-0000006.png", drawn = slurp(last);
  fs::copy_file(path, last, fs::copy_options::overwrite_existing);
  fs::last_write_time(last, fs::last_write_time(path) - std::chrono::hours(1));
  train(three_class_recipe(), "a");
  EXPECT_EQ(slurp(last), drawn);
}

TEST_F(RunFolders, ARunThatIsInterruptedDrawsAndMeasuresNothingMore) {
  std::atomic<bool> interrupted = false;
  const auto run_until_interrupted = [&] {
    train(three_class_recipe(), "a", [&](RecipeRun& run) {
      run.should_stop = [&] { return interrupted.load(); };
      // After the pictures of step 4, so that it stops after step 5.
      run.on_event = [&](const std::string& event) {
        if (has_text(event, "samples/step-0000004.png")) interrupted = true;
      };
    });
  };
  EXPECT_THROW(run_until_interrupted(), Cancelled);
  EXPECT_TRUE(exists("a/samples/step-0000004.png"));
  EXPECT_FALSE(exists("a/samples/step-0000005.png"));
  const std::string log = slurp(out_ / "a/dit/log.jsonl"), measured = R"("step":5,"held_out_loss")";
  EXPECT_TRUE(has_text(log, R"("step":4,"held_out_loss")")) << log;
  EXPECT_FALSE(has_text(log, measured)) << log;
  // The run that continues draws them, and its result is that of a run that was not stopped.
  train(three_class_recipe(), "a");
  EXPECT_TRUE(exists("a/samples/step-0000005.png"));
  train(three_class_recipe(), "b");
  EXPECT_EQ(model("a"), model("b"));
}

TEST_F(RunFolders, BundlesOfStage2AreKeptInTheHistory) {
  const Recipe recipe = three_class_recipe({"dit.keep_every=4"});
  const std::string events = train(recipe, "a");
  EXPECT_TRUE(has_text(events, "wrote " + out_ / "a/history/step-0000004.safetensors")) << events;
  const auto kept = [&](const std::string& run, const std::string& step) {
    return slurp(out_ / (run + "/history/step-000000" + step + ".safetensors"));
  };
  EXPECT_EQ(kept("a", "6"), model("a"));  // the last one, too
  EXPECT_NE(kept("a", "4"), model("a"));
  EXPECT_FALSE(exists("a/history/step-0000002.safetensors"));
  EXPECT_EQ(Bundle::load(out_ / "a/history/step-0000004.safetensors").config.class_names.size(),
            3u);
  // The same bundles after an interruption, and when a kill has prevented one.
  train_until(recipe, "b", "dit", 5);
  EXPECT_FALSE(exists("b/history/step-0000005.safetensors"));
  train(recipe, "b");
  EXPECT_EQ(kept("b", "4"), kept("a", "4"));
  fs::remove(out_ / "b/history/step-0000006.safetensors");
  train(recipe, "b");
  EXPECT_EQ(kept("b", "6"), kept("a", "6"));
  // The choice belongs to no result, and another training begins another history.
  EXPECT_FALSE(has_text(train(three_class_recipe({"dit.keep_every=2"}), "a"), "wrote"));
  EXPECT_FALSE(has_text(train(three_class_recipe(), "a"), "wrote"));
  fs::remove_all(out_ / "a/encoder");
  train(three_class_recipe({"dit.keep_every=6", "encoder.train.lr=5e-3"}), "a");
  EXPECT_TRUE(exists("a/history-stale-1/step-0000004.safetensors"));
  EXPECT_FALSE(exists("a/history/step-0000004.safetensors"));
  EXPECT_EQ(kept("a", "6"), model("a"));
  train(three_class_recipe(), "none");
  EXPECT_FALSE(exists("none/history"));
}

TEST_F(RunFolders, OneRunAtATimeTrainsInAFolder) {
  bool refused = false;
  train(three_class_recipe(), "a", [&](RecipeRun& run) {
    run.on_progress = [&](const TrainingProgress& p) {
      if (p.stage == "decoder" && !refused) {
        const std::string message =
            message_of<FileError>([&] { (void)train(three_class_recipe(), "a"); });
        refused = has_text(message, "is training in this folder");
      }
      return true;
    };
  });
  EXPECT_TRUE(refused);
  EXPECT_FALSE(exists("a/lock"));
  train(three_class_recipe(), "b");
  EXPECT_EQ(model("a"), model("b"));
}

TEST_F(RunFolders, GridsOfManyClassesHaveTwentyRows) {
  fs::remove_all(data_.path());
  for (int k = 0; k < 25; ++k) write_picture(data_ / concat("class ", k / 10, k % 10, "/0.png"), k);
  const std::string events = train(three_class_recipe({"model.dit.num_classes=25"}), "a",
                                   [](RecipeRun& run) { run.samples = 50; });
  EXPECT_TRUE(has_text(events, "step-0000006.png (20 of 25 classes)")) << events;
  const Image grid = Image::open(out_ / "a/samples/step-0000006.png");
  EXPECT_EQ(grid.height(), 20 * 8 + 19 * 2);
  EXPECT_EQ(grid.width(), 2 * 8 + 2);
}

/// Gives a checkpoint the settings that an earlier version would have stored.
void make_earlier(const std::string& path, const Recipe& recipe, const std::string& stage,
                  index_t pictures) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::vector<SafetensorsEntry> entries;
  for (const std::string& name : file.names()) entries.push_back({name, file.read<float>(name)});
  ConfigNode settings = ConfigNode::map();
  settings.set("model", recipe.source.at("model"));
  settings.set("data", pictures);
  settings.set(stage, recipe.source.at(stage));
  auto metadata = file.metadata();
  metadata["settings"] = settings.to_json();
  write_safetensors(path, entries, metadata);
}

TEST_F(RunFolders, CheckpointsOfEarlierVersionsContinue) {
  const Recipe all = three_class_recipe({"data.held_out=0"});  // as these versions did
  const auto make = [&](const std::string& name) {
    train_until(all, name, "dit", 3);
    fs::remove(out_ / (name + "/stages.json"));
    for (const char* stage : {"encoder", "decoder", "dit"})
      make_earlier(out_ / (name + "/" + stage + "/checkpoint.safetensors"), all, stage, 18);
  };
  train(all, "whole");
  make("a");
  const std::string events = train(three_class_recipe(), "a");
  EXPECT_TRUE(has_text(events, "dit: an earlier version wrote its checkpoint")) << events;
  EXPECT_EQ(model("a"), model("whole"));
  EXPECT_FALSE(has_text(train(three_class_recipe(), "a"), "earlier version"));

  make("b");  // other settings and another number of pictures are refused as before
  EXPECT_TRUE(
      has_text(refusal(three_class_recipe({"decoder.train.lr=1e-2"}), "b"), "decoder.train.lr"));
  fs::remove(data_ / "small/3.png");
  EXPECT_TRUE(has_text(refusal(three_class_recipe(), "b"), "there were 18 pictures, there are 17"));
  write_picture_folder(data_);

  fs::remove_all(out_ / "b/encoder");  // and a new encoder makes them stale
  const Recipe changed = three_class_recipe({"encoder.train.lr=5e-3"});
  EXPECT_TRUE(has_text(train(changed, "b"), "decoder: trained again"));
  train(three_class_recipe({"encoder.train.lr=5e-3", "data.held_out=0"}), "c");
  EXPECT_EQ(model("b"), model("c"));
}

}  // namespace
}  // namespace rae::test
