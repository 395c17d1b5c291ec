#include "rae/train/evaluation_history.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "support/temp_folder.hpp"
#include "support/thread_ranks.hpp"
#include "support/tiny_bundle.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

const auto [kSeen, kUnseen] = split_at(std::make_shared<ToyDataset>(90, 8, 3), 60);

EvaluationOptions quick_history(const std::string& folder) {
  EvaluationOptions o;
  o.folder = folder;
  o.samples = 24;
  o.guided_samples = 12;
  o.steps = 2;
  o.classifier.first_channels = 4;
  o.classifier.features = 8;
  o.classifier.augmentation = {};
  o.classifier.training.steps = 5;
  o.classifier.training.batch_size = 8;
  o.classifier.training.warmup_steps = 1;
  return o;
}

/// Bundles of different weights in run/history.
class EvaluationHistory : public testing::Test {
 protected:
  EvaluationHistory() {
    fs::create_directories(run_ / "history");
    for (const int step : {1000, 20, 300}) keep(step);
  }

  void keep(int step) {
    Bundle bundle = tiny_bundle();
    for (auto& [name, tensor] : bundle.tensors)
      if (name.starts_with("dit.final_layer"))
        for (float& value : tensor.span()) value += static_cast<float>(step) * 1e-4f;
    bundle.save(run_ / ("history/step-" + std::to_string(step) + ".safetensors"));
  }

  [[nodiscard]] std::string bytes() const {
    std::string all;
    for (const char* name : {"history.json", "history.csv", "history.svg"})
      all += slurp(out_ / name);
    return all;
  }

  TempFolder run_, out_;
};

TEST_F(EvaluationHistory, FindsTheKeptBundles) {
  (void)run_.write("history/step-7.txt", "");
  (void)run_.write("history/step-x.safetensors", "");
  (void)run_.write("history/other-7.safetensors", "");
  std::vector<index_t> steps;
  for (const KeptBundle& bundle : kept_bundles(run_.path())) {
    steps.push_back(bundle.step);
    EXPECT_TRUE(fs::exists(bundle.path));
  }
  EXPECT_EQ(steps, (std::vector<index_t>{20, 300, 1000}));
  const std::string message = message_of<FileError>([&] { (void)kept_bundles(out_.path()); });
  EXPECT_NE(message.find("dit.keep_every"), std::string::npos) << message;
}

TEST_F(EvaluationHistory, WritesCurvesAndGoesOn) {
  const auto bundles = kept_bundles(run_.path());
  EvaluationOptions options = quick_history(out_.path());
  const auto points = evaluate_history(bundles, kSeen, kUnseen, options);
  ASSERT_EQ(points.size(), 3u);
  EXPECT_EQ(points[1].step, 300);
  // Each is the report of that bundle alone, without the other parts.
  EvaluationOptions alone = options;
  alone.folder.clear();
  alone.reconstruction = alone.probes = false;
  alone.neighbour_queries = 0;
  EXPECT_TRUE(points[1].report ==
              to_config(evaluate(Bundle::load(bundles[1].path), kSeen, kUnseen, alone)));
  EXPECT_FALSE(points[0].report == points[2].report);
  const std::string csv = slurp(out_ / "history.csv");
  EXPECT_EQ(csv, history_csv(points));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 4);
  EXPECT_EQ(csv.rfind("step,class_consistency,frechet_distance,", 0), 0u);
  EXPECT_NE(csv.find("\n1000,0."), std::string::npos) << csv;
  const std::string svg = slurp(out_ / "history.svg");
  EXPECT_EQ(svg, svg_plot(history_plot(points)));
  for (const char* word : {"tiny over its training", "without guidance", "with guidance",
                           "real pictures", "steps of stage 2"})
    EXPECT_NE(svg.find(word), std::string::npos) << word;
  auto entries = out_.entries();
  std::sort(entries.begin(), entries.end());
  EXPECT_EQ(entries, (std::vector<std::string>{"classifier.safetensors", "history.csv",
                                               "history.json", "history.svg"}));

  // Again: nothing is evaluated. A new or other bundle: only that one.
  std::vector<std::string> parts;
  options.on_progress = [&](const EvaluationProgress& p) {
    if (parts.empty() || parts.back() != p.part) parts.push_back(p.part);
    return true;
  };
  const std::string before = bytes();
  (void)evaluate_history(bundles, kSeen, kUnseen, options);
  EXPECT_EQ(parts.size(), 0u);
  EXPECT_EQ(bytes(), before);
  keep(40);
  tiny_bundle().save(run_ / "history/step-300.safetensors");
  (void)evaluate_history(kept_bundles(run_.path()), kSeen, kUnseen, options);
  EXPECT_EQ(parts, (std::vector<std::string>{"step 40: samples", "step 40: guided samples",
                                             "step 300: samples", "step 300: guided samples"}));
  // With other settings, all of them.
  parts.clear();
  options.seed = 1;
  (void)evaluate_history(bundles, kSeen, kUnseen, options);
  EXPECT_EQ(parts.size(), 6u);
}

TEST_F(EvaluationHistory, GoesOnAfterAnInterruptionAndWithRanks) {
  const auto bundles = kept_bundles(run_.path());
  (void)evaluate_history(bundles, kSeen, kUnseen, quick_history(out_.path()));
  const std::string whole = bytes();
  fs::remove(out_ / "history.json");
  EvaluationOptions options = quick_history(out_.path());
  options.on_progress = [](const EvaluationProgress& p) {
    return p.part.rfind("step 300", 0) != 0;
  };
  EXPECT_THROW((void)evaluate_history(bundles, kSeen, kUnseen, options), Cancelled);
  EXPECT_NE(bytes(), whole);
  on_ranks(2, [&](Communicator& ranks) {
    EvaluationOptions own = quick_history(ranks.is_root() ? out_.path() : "no such folder");
    own.ranks = &ranks;
    own.on_progress = [](const EvaluationProgress& p) { return p.part.rfind("step 20:", 0) != 0; };
    const auto points = evaluate_history(bundles, kSeen, kUnseen, own);
    EXPECT_EQ(points.size(), ranks.is_root() ? 3u : 0u);
  });
  EXPECT_EQ(bytes(), whole);
}

TEST_F(EvaluationHistory, RefusesUnfitOptions) {
  const auto bundles = kept_bundles(run_.path());
  EvaluationOptions options = quick_history("/nowhere");
  EXPECT_THROW((void)evaluate_history(bundles, kSeen, kUnseen, options), FileError);
  options = quick_history(out_.path());
  EXPECT_THROW((void)evaluate_history({}, kSeen, kUnseen, options), ArgumentError);
  options.layer_types = {{"dit.x", DType::bf16}};
  EXPECT_THROW((void)evaluate_history(bundles, kSeen, kUnseen, options), ArgumentError);
  options = quick_history(out_.path());
  options.samples = options.guided_samples = 0;
  EXPECT_THROW((void)evaluate_history(bundles, kSeen, kUnseen, options), ArgumentError);
}

TEST(EvaluationHistoryText, FieldsThatAReportLacksAreEmpty) {
  const std::vector<HistoryPoint> points{
      {5, ConfigNode::map({{"classifier", ConfigNode::map({{"accuracy", 0.5}})},
                           {"guided", ConfigNode::map({{"class_consistency", 0.25},
                                                       {"frechet_distance", 12.5},
                                                       {"training_frechet_distance", 2.0}})}})}};
  const std::string csv = history_csv(points);
  EXPECT_EQ(csv.substr(csv.find('\n') + 1), "5,,,0.25,12.5,2,0.5\n");
  const Plot plot = history_plot(points);
  ASSERT_EQ(plot.panels.size(), 2u);
  ASSERT_EQ(plot.panels[0].series.size(), 2u);
  EXPECT_EQ(plot.panels[0].series[0].name, "with guidance");
  EXPECT_EQ(plot.panels[1].series[1].y, std::vector<double>{50});
  EXPECT_NO_THROW((void)svg_plot(plot));
}

}  // namespace
}  // namespace rae::test
