#include "rae/train/run_report.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <regex>

#include "rae/formats/bundle.hpp"
#include "rae/io/image.hpp"
#include "support/event_records.hpp"
#include "support/golden.hpp"
#include "support/picture_folder.hpp"
#include "support/xml.hpp"

namespace rae::test {
namespace {

namespace fs = std::filesystem;

/// The JSON in a report.
ConfigNode contents_of(const std::string& page) {
  const std::string begin = R"(<script id="contents" type="application/json">)";
  const std::size_t at = page.find(begin), end = page.find("</script>", at);
  if (at == std::string::npos || end == std::string::npos) {
    ADD_FAILURE() << "the report has no contents";
    return ConfigNode::map();
  }
  return ConfigNode::parse_json(page.substr(at + begin.size(), end - at - begin.size()));
}

TEST(TrainingLog, MergesTheNumbersOfAStep) {
  const TempFolder folder;
  const std::string path = folder.write("log.jsonl",
                                        R"({"stage":"dit","step":10,"loss":3.5,"seconds":4}
{"stage":"dit","event":"continues with other pictures"}
{"stage":"dit","step":20,"loss":3.0,"seconds":8}
{"stage":"dit","step":20,"held_out_loss":3.25}
{"stage":"dit","step":30,"loss":2.75,"seconds":12}
{"stage":"dit","step":30,"loss":2.75,"seconds":5}
{"stage":"dit","step":40,"loss":2.5,"seconds":9}
{"stage":"dit","step":50,"lo)");
  const std::vector<ConfigNode> reports = read_training_log(path);
  ASSERT_EQ(reports.size(), 4u);
  EXPECT_EQ(reports[1].get<double>("loss"), 3.0);
  EXPECT_EQ(reports[1].get<double>("held_out_loss"), 3.25);
  EXPECT_EQ(reports[2].get<double>("seconds"), 17);
  EXPECT_EQ(reports[3].get<double>("seconds"), 21);
  EXPECT_EQ(training_log_csv({{"dit", reports}}),
            "stage,step,loss,seconds,held_out_loss\n"
            "dit,10,3.5,4.0,\n"
            "dit,20,3.0,8.0,3.25\n"
            "dit,30,2.75,17.0,\n"
            "dit,40,2.5,21.0,\n");
  EXPECT_TRUE(read_training_log(folder / "none.jsonl").empty());
  (void)folder.write("log.jsonl", "no JSON\n");
  EXPECT_THROW((void)read_training_log(path), ConfigError);
}

TEST(RunReport, HasAChartOfEachNumber) {
  const TempFolder folder;
  (void)folder.write("dit/log.jsonl", R"({"stage":"dit","step":10,"loss":3.5,"a<b":1,"seconds":4}
{"stage":"dit","step":20,"loss":3.0,"held_out_loss":3.25,"seconds":8}
{"stage":"dit","step":30,"loss":2.75,"held_out_loss":3.125,"lr":0.001,"seconds":12}
)");
  RunFacts facts;
  facts.stages = {{"dit", 100, 8}};
  write_run_report(folder.path(), facts);
  const ConfigNode contents = contents_of(slurp(folder / "report.html"));
  const auto charts = contents.at("stages").elements()[0].at("charts").elements();
  ASSERT_EQ(charts.size(), 3u);
  EXPECT_EQ(charts[0].at("title").as_string(), "Loss");
  EXPECT_EQ(charts[0].at("last").as_string(), "train 2.75, held-out 3.125");
  EXPECT_EQ(charts[1].at("title").as_string(), "a<b");
  EXPECT_EQ(charts[2].at("title").as_string(), "Learning rate");
  EXPECT_EQ(charts[2].at("last").as_string(), "0.001");
  const XmlElement loss = parse_xml(charts[0].at("svg").as_string());
  EXPECT_EQ(loss.all("polyline").size(), 2u);
  EXPECT_EQ(loss.all("circle").size(), 3u + 1u);  // of the curve and of the legend
  EXPECT_EQ(parse_xml(charts[1].at("svg").as_string()).attribute("aria-label"), "a<b");
}

TEST(RunReport, NeedsNoOtherFile) {
  const TempFolder folder;
  (void)folder.write("dit/log.jsonl", R"({"stage":"dit","step":10,"loss":3.5}
)");
  fs::create_directories(folder / "samples");
  for (int step = 1; step <= 30; ++step)
    Image(4, 6, 1, static_cast<std::uint8_t>(step))
        .save_png(folder / ("samples/step-00000" + std::to_string(step + 10) + ".png"),
                  {{"rows", "a\n</script><b>"}});
  (void)folder.write("samples/notes.txt", "");
  RunFacts facts;
  facts.title = "</script><script>alert(1)</script>";
  facts.stages = {{"encoder", 0, 0}, {"dit", 100, 8}};
  facts.settings = ConfigNode::map({{"a", 1}});
  facts.details = {{"Processor", "x"}};
  write_run_report(folder.path(), facts);
  const std::string page = slurp(folder / "report.html");
  EXPECT_FALSE(std::regex_search(page, std::regex("(src|href)\\s*=\\s*[\"']?(https?:|//)")));
  EXPECT_EQ(page.find("alert(1)</script>"), std::string::npos);
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
  EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
  EXPECT_NE(page.find("@media print"), std::string::npos);
  const ConfigNode contents = contents_of(page);
  EXPECT_EQ(contents.at("title").as_string(), facts.title);
  EXPECT_EQ(contents.at("stages").elements()[1].at("reports").elements().size(), 1u);
  const auto samples = contents.at("samples").elements();
  ASSERT_EQ(samples.size(), 12u);
  EXPECT_EQ(samples.back().get<index_t>("step"), 40);
  EXPECT_EQ(samples.back().at("rows").elements()[1].as_string(), "</script><b>");
  const std::string image = samples.back().at("image").as_string();
  EXPECT_EQ(image.substr(0, 33), "data:image/png;base64,iVBORw0KGgo");
}

/// A folder with a training and a test part of three classes.
class WatchedRuns : public testing::Test {
 protected:
  WatchedRuns() {
    int seed = 1;
    for (const std::string part : {"train", "test"})
      for (const std::string name : {"large", "medium", "small"})
        for (int i = 0; i < 4; ++i)
          write_picture(data_ / (part + "/" + name + "/" + std::to_string(i) + ".png"), seed++);
  }

  [[nodiscard]] RecipeRun run_into(const std::string& name) const {
    RecipeRun run;
    run.data = data_.path();
    run.out = out_ / name;
    run.samples = 6;
    return run;
  }
  [[nodiscard]] ConfigNode contents(const std::string& name) const {
    return contents_of(slurp(out_ / (name + "/report.html")));
  }

  TempFolder data_, out_;
};

TEST_F(WatchedRuns, TheReportShowsAllStages) {
  RecipeRun run = run_into("a");
  run.machine = {{"Processor", "a processor"}};
  index_t in_decoder = 0;
  run.on_progress = [&](const TrainingProgress& p) {
    if (p.stage == "dit" && p.step == 1)  // stage 1 is complete
      in_decoder =
          contents("a").at("stages").elements()[1].at("reports").elements().back().get<index_t>(
              "step");
    return true;
  };
  run_recipe(three_class_recipe(), run);
  EXPECT_EQ(in_decoder, 4);
  const ConfigNode shown = contents("a");
  ASSERT_EQ(shown.at("stages").elements().size(), 3u);
  for (const ConfigNode& stage : shown.at("stages").elements()) {
    const ConfigNode& last = stage.at("reports").elements().back();
    EXPECT_EQ(last.get<index_t>("step"), stage.get<index_t>("steps"));
    for (const char* key : {"loss", "held_out_loss", "lr", "grad_norm", "images_per_second"})
      EXPECT_GT(last.get<double>(key), 0) << key;
  }
  const ConfigNode& encoder = shown.at("stages").elements()[0].at("reports").elements().back();
  EXPECT_GE(encoder.get<double>("knn_accuracy"), 0);
  EXPECT_LE(encoder.get<double>("knn_accuracy"), 1);
  const ConfigNode& decoder = shown.at("stages").elements()[1].at("reports").elements().back();
  EXPECT_GT(decoder.get<double>("held_out_psnr"), 0);
  ASSERT_EQ(shown.at("samples").elements().size(), 3u);
  const ConfigNode& sample = shown.at("samples").elements().back();
  EXPECT_EQ(sample.at("rows").as<std::vector<std::string>>(),
            (std::vector<std::string>{"large", "medium", "small"}));
  EXPECT_EQ(sample.get<index_t>("height"), 3 * 8 + 2 * 2);
  EXPECT_EQ(sample.get<index_t>("width"), 2 * 8 + 2);
  EXPECT_EQ(shown.at("reconstructions").elements().back().at("rows").elements().size(), 2u);
  EXPECT_NE(slurp(out_ / "a/log.csv").find("\ndit,6,"), std::string::npos);
  EXPECT_FALSE(fs::exists(out_ / "a/tensorboard"));
}

TEST_F(WatchedRuns, HeldOutPicturesDoNotChangeTheTraining) {
  run_recipe(three_class_recipe(), run_into("with"));
  fs::remove_all(data_ / "test");
  RecipeRun run = run_into("without");
  run.samples = 0;
  run_recipe(three_class_recipe({"data.held_out=0"}), run);
  EXPECT_EQ(slurp(out_ / "with/model.safetensors"), slurp(out_ / "without/model.safetensors"));
  EXPECT_EQ(slurp(out_ / "without/log.csv").find("held_out"), std::string::npos);
  EXPECT_FALSE(fs::exists(out_ / "without/samples"));
}

TEST_F(WatchedRuns, HeldOutLossesOfAContinuedRunAreTheSame) {
  run_recipe(three_class_recipe(), run_into("whole"));
  for (const char* stage : {"encoder", "decoder", "dit"}) {
    RecipeRun run = run_into("broken");
    run.on_progress = [&](const TrainingProgress& p) { return p.stage != stage || p.step < 3; };
    EXPECT_THROW(run_recipe(three_class_recipe(), run), Cancelled);
  }
  run_recipe(three_class_recipe(), run_into("broken"));
  for (const std::string stage : {"encoder", "decoder", "dit"}) {
    const auto whole = read_training_log(out_ / ("whole/" + stage + "/log.jsonl")),
               broken = read_training_log(out_ / ("broken/" + stage + "/log.jsonl"));
    ASSERT_EQ(whole.size(), broken.size());
    for (const char* key : {"loss", "held_out_loss"})
      EXPECT_EQ(whole.back().get<double>(key), broken.back().get<double>(key)) << stage << key;
  }
}

TEST_F(WatchedRuns, ManyClassesHaveAReadableGrid) {
  for (int i = 0; i < 30; ++i) {
    const std::string name = "class" + std::to_string(100 + i);
    write_picture(data_ / ("train/" + name + "/0.png"), i);
  }
  fs::remove_all(data_ / "test");
  RecipeRun run = run_into("a");
  run.samples = 45;
  run_recipe(three_class_recipe({"model.dit.num_classes=33"}), run);
  const ConfigNode shown = contents("a");
  const ConfigNode& sample = shown.at("samples").elements().back();
  EXPECT_EQ(sample.at("rows").elements().size(), 20u);
  EXPECT_EQ(sample.get<index_t>("width"), 2 * 8 + 2);
  EXPECT_EQ(sample.at("rows").elements()[1].as_string(), "class101");
}

std::vector<EventRecord> events_in(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  std::vector<EventRecord> out;
  for (const std::string& file : files)
    for (EventRecord& event : read_event_file(file)) out.push_back(std::move(event));
  return out;
}

TEST_F(WatchedRuns, EventFilesHaveTheNumbersOfTheLog) {
  RecipeRun run = run_into("a");
  run.tensorboard = true;
  run.on_progress = [&](const TrainingProgress& p) { return p.stage != "dit" || p.step < 3; };
  EXPECT_THROW(run_recipe(three_class_recipe(), run), Cancelled);
  run.on_progress = {};
  run_recipe(three_class_recipe(), run);
  std::map<std::uint64_t, float> losses, held_out;
  std::vector<std::uint64_t> pictures, starts;
  for (const EventRecord& event : events_in(out_ / "a/tensorboard/dit")) {
    if (event.tag == "loss") losses[event.step] = event.value;
    if (event.tag == "held_out_loss") held_out[event.step] = event.value;
    if (event.tag == "samples") pictures.push_back(event.step);
    if (event.starts) starts.push_back(event.step);
  }
  const std::vector<ConfigNode> reports = read_training_log(out_ / "a/dit/log.jsonl");
  ASSERT_EQ(losses.size(), reports.size());
  for (const ConfigNode& report : reports) {
    const auto step = report.get<std::uint64_t>("step");
    EXPECT_EQ(losses.at(step), static_cast<float>(report.get<double>("loss")));
    if (report.contains("held_out_loss")) {
      EXPECT_EQ(held_out.at(step), static_cast<float>(report.get<double>("held_out_loss")));
    }
  }
  EXPECT_EQ(pictures, (std::vector<std::uint64_t>{2, 3, 4, 6}));
  EXPECT_EQ(starts, (std::vector<std::uint64_t>{4}));
}

TEST_F(WatchedRuns, ABrowserShowsTheReport) {
  if (std::system("command -v chromium > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "chromium is not installed";
  run_recipe(three_class_recipe(), run_into("a"));
  const TempFolder profile;
  const std::string command =
      "timeout 120 chromium --headless --no-sandbox --disable-gpu "
      "--enable-logging=stderr --user-data-dir='" +
      profile.path() + "' --dump-dom 'file://" + out_ / "a/report.html" + "' > '" +
      out_ / "dom.html" + "' 2> '" + out_ / "messages" + "'";
  ASSERT_EQ(std::system(command.c_str()), 0) << slurp(out_ / "messages");
  EXPECT_EQ(slurp(out_ / "messages").find("CONSOLE"), std::string::npos)
      << slurp(out_ / "messages");
  std::string page = slurp(out_ / "dom.html");
  page = page.substr(page.find("<main>"), page.find("</main>") - page.find("<main>"));
  const auto count = [&](const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = page.find(part); at != std::string::npos; at = page.find(part, at + 1))
      ++found;
    return found;
  };
  EXPECT_EQ(count("<svg"), 3 * 4 + 2u);  // four charts of each stage, k-NN, PSNR
  // Two losses of each stage. Curves of one checkpoint are points: k-NN, PSNR, and the held-out
  // losses of encoder and decoder.
  EXPECT_EQ(count("<polyline"), 3 * 5 + 2 - 4u);
  EXPECT_GE(count("<circle"), 4u);
  EXPECT_EQ(count("<img"), 3 + 1u);  // three grids of samples, one of reconstructions
  for (const char* words : {"<h1>tiny</h1>", "Stage encoder", "Stage dit", "held-out", "medium",
                            "6 of 6", "complete", "Settings", "Held-out pictures"})
    EXPECT_NE(page.find(words), std::string::npos) << words;
}

}  // namespace
}  // namespace rae::test
