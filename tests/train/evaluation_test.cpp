#include "rae/train/evaluation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <memory>

#include "rae/core/cancellation.hpp"
#include "rae/core/parallel.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/io/data_survey.hpp"
#include "rae/io/dataset.hpp"
#include "rae/io/image.hpp"
#include "rae/metrics/frechet.hpp"
#include "support/temp_folder.hpp"
#include "support/thread_ranks.hpp"
#include "support/tiny_bundle.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

EvaluationOptions quick_evaluation() {
  EvaluationOptions o;
  o.samples = 60;
  o.guided_samples = 30;
  o.steps = 2;
  o.neighbour_rows = 5;
  o.neighbour_queries = 20;
  o.knn.k = 3;
  o.classifier.first_channels = 4;
  o.classifier.features = 8;
  o.classifier.augmentation = {};
  o.classifier.training.steps = 40;
  o.classifier.training.batch_size = 16;
  o.classifier.training.lr = 1e-2;
  o.classifier.training.warmup_steps = 4;
  o.classifier.training.ema_decay = 0.5;
  return o;
}

const auto [kTrain, kTest] = split_at(std::make_shared<ToyDataset>(135, 8, 3), 90);

/// The toy data set with its pattern in three channels.
class RgbToy : public ToyDataset {
 public:
  using ToyDataset::ToyDataset;
  int channels() const override { return 3; }
};

TEST(Evaluation, MeasuresARandomModel) {
  const TempFolder folder;
  EvaluationOptions options = quick_evaluation();
  options.folder = folder.path();
  std::vector<std::string> parts;
  options.on_progress = [&](const EvaluationProgress& p) {
    if (parts.empty() || parts.back() != p.part) parts.push_back(p.part);
    EXPECT_GE(p.done, 0);
    EXPECT_LE(p.done, p.total);
    return true;
  };
  const EvaluationReport report = evaluate(tiny_bundle(), kTrain, kTest, options);
  EXPECT_EQ(parts, (std::vector<std::string>{"classifier", "samples", "guided samples",
                                             "neighbours", "reconstruction", "probes"}));

  EXPECT_EQ(report.classifier_accuracy, 1.0);
  ASSERT_TRUE(report.unguided && report.guided && report.neighbours && report.reconstruction &&
              report.probes);
  // The pictures of a random model have a random class and are far from real ones, farther than
  // real ones are from each other.
  EXPECT_LT(report.unguided->class_consistency, 0.7);
  EXPECT_GT(report.unguided->class_consistency, 0.1);
  EXPECT_GT(report.unguided->frechet_distance, 5 * report.unguided->training_frechet_distance);
  EXPECT_EQ(report.unguided->count, 60);
  EXPECT_EQ(report.guided->count, 30);
  EXPECT_EQ(report.guided->guidance.scale, 1.5f);
  EXPECT_EQ(report.unguided->guidance.scale, 1.0f);
  EXPECT_EQ(report.neighbours->rows.size(), 5u);
  EXPECT_GT(report.neighbours->samples_mean, 2 * report.neighbours->test_mean);
  EXPECT_LE(report.neighbours->samples_least, report.neighbours->samples_mean);
  EXPECT_LT(report.reconstruction->psnr, 15);
  EXPECT_LT(report.reconstruction->ssim, 0.6);
  EXPECT_EQ(report.probes->knn_pixels, 1.0);
  EXPECT_EQ(report.probes->linear_pixels, 1.0);
  EXPECT_EQ(report.probes->pictures, 90);
  // The reconstructions of a random model are far from the originals for the classifier, too.
  ASSERT_TRUE(report.reconstruction->class_consistency && report.reconstruction->frechet_distance);
  EXPECT_LT(*report.reconstruction->class_consistency, 0.7);
  EXPECT_GT(*report.reconstruction->frechet_distance, report.unguided->training_frechet_distance);
  EXPECT_FALSE(report.reconstruction->inception_distance || report.unguided->inception);

  auto entries = folder.entries();
  std::sort(entries.begin(), entries.end());
  EXPECT_EQ(entries,
            (std::vector<std::string>{"classifier.safetensors", "evaluation.json", "evaluation.txt",
                                      "nearest.png", "neighbours.png", "reconstructions.png",
                                      "samples.png", "samples_guided.png"}));
  EXPECT_TRUE(ConfigNode::load(folder / "evaluation.json") == to_config(report));
  EXPECT_EQ(slurp(folder / "evaluation.txt"), to_text(report));
  const Image neighbours = Image::open(folder / "neighbours.png");
  EXPECT_EQ(neighbours.width(), 5 * 8 + 4 * 2);
  EXPECT_EQ(neighbours.height(), 5 * 8 + 4 * 2);
  // 40 pairs, five in a row, enlarged twelve times. The first sample is that of the rows.
  const Image pairs = Image::open(folder / "nearest.png");
  EXPECT_EQ(pairs.width(), 5 * (2 * 96 + 2) + 4 * 12);
  EXPECT_EQ(pairs.height(), 8 * 96 + 7 * 12);
  for (const index_t x : {0, 98})
    EXPECT_EQ(pairs.cropped(x, 0, 96, 96).resized(8, 8, ResizeFilter::box),
              neighbours.cropped(x == 0 ? 0 : 10, 0, 8, 8));
  const Image samples = Image::open(folder / "samples.png");  // a row of eight for each class
  EXPECT_EQ(samples.width(), 8 * 8 + 7 * 2);
  EXPECT_EQ(samples.height(), 3 * 8 + 2 * 2);
}

TEST(Evaluation, HasTheSameReportAndPicturesWithSeveralRanks) {
  const auto [train, test] = split_at(std::make_shared<ToyDataset>(1200, 8, 3), 650);
  EvaluationOptions options = quick_evaluation();
  options.samples = 520;
  const TempFolder alone;
  options.folder = alone.path();
  const EvaluationReport wanted = evaluate(tiny_bundle(), train, test, options);
  for (const int size : {2, 3}) {
    const TempFolder shared;
    on_ranks(size, [&, &train = train, &test = test](Communicator& ranks) {
      EvaluationOptions own = options;
      own.ranks = &ranks;
      own.folder = ranks.is_root() ? shared.path() : "no such folder";
      const EvaluationReport report = evaluate(tiny_bundle(), train, test, own);
      if (ranks.is_root()) {
        EXPECT_TRUE(to_config(report) == to_config(wanted)) << size;
      }
    });
    for (const std::string& name : alone.entries())
      EXPECT_TRUE(slurp(shared / name) == slurp(alone / name)) << size << " " << name;
  }
  // An interruption of one rank ends all.
  std::atomic<int> stopped = 0;
  on_ranks(3, [&, &train = train, &test = test](Communicator& ranks) {
    EvaluationOptions own = options;
    own.ranks = &ranks;
    own.folder.clear();
    own.on_progress = [&](const EvaluationProgress& p) {
      return ranks.rank() != 1 || p.part != "reconstruction";
    };
    try {
      (void)evaluate(tiny_bundle(), train, test, own);
    } catch (const Cancelled&) {
      ++stopped;
    }
  });
  EXPECT_EQ(stopped, 3);
}

// Distances in the features of a further network, as for Inception.
TEST(Evaluation, MeasuresDistancesInTheFeaturesOfAFurtherNetwork) {
  EvaluationOptions options = quick_evaluation();
  options.probes = false;
  options.inception = FeatureExtractor::encoder(tiny_bundle().files());
  const EvaluationReport report = evaluate(tiny_bundle(), kTrain, kTest, options);
  ASSERT_TRUE(report.unguided->inception && report.guided->inception);
  const InceptionQuality& q = *report.unguided->inception;
  EXPECT_GT(q.to_test, 2 * q.training_to_test);
  EXPECT_GT(q.to_training, 2 * q.training_to_test);
  EXPECT_NE(q.to_test, q.to_training);
  ASSERT_TRUE(report.reconstruction->inception_distance);

  // The same by hand: features of the 8-bit test pictures and of their reconstructions.
  const FeatureExtractor& network = *options.inception;
  const Autoencoder autoencoder(tiny_bundle());
  FeatureStatistics originals(network.dimension()), copies(network.dimension());
  Tensor<float> images(Shape{kTest->size(), 1, 8, 8});  // (N, C, H, W)
  for (index_t i = 0; i < kTest->size(); ++i)
    kTest->image(i, images.span().subspan(static_cast<std::size_t>(64 * i), 64));
  const Tensor<float> real = network(Image::from_batch(images));  // (N, D)
  originals.update(real.view());
  const Tensor<float> reconstructed = network(autoencoder.decode(autoencoder.encode(images)));
  copies.update(reconstructed.view());
  EXPECT_EQ(*report.reconstruction->inception_distance, frechet_distance(copies, originals));

  const ConfigNode node = to_config(report);
  EXPECT_EQ(node.at("unguided").at("inception").get<double>("to_test"), q.to_test);
  EXPECT_EQ(node.at("reconstruction").get<double>("inception_distance"),
            *report.reconstruction->inception_distance);
  const std::string text = to_text(report);
  for (const char* line :
       {"FID (Inception) to the test set", "FID to these training pictures", "rFID (Inception)"})
    EXPECT_NE(text.find(line), std::string::npos) << text;

  // Ranks share this, too.
  on_ranks(2, [&](Communicator& ranks) {
    EvaluationOptions own = options;
    own.ranks = &ranks;
    const EvaluationReport shared = evaluate(tiny_bundle(), kTrain, kTest, own);
    if (ranks.is_root()) {
      EXPECT_TRUE(to_config(shared) == node);
    }
  });
}

TEST(Evaluation, PartsCanBeLeftOut) {
  const TempFolder folder;
  EvaluationOptions options = quick_evaluation();
  options.reconstruction = false;
  options.probes = false;
  options.neighbour_queries = 0;
  options.classifier_file = folder / "judge.safetensors";
  const EvaluationReport report = evaluate(tiny_bundle(), kTrain, kTest, options);
  EXPECT_TRUE(report.unguided && report.guided);
  EXPECT_FALSE(report.reconstruction || report.probes || report.neighbours);
  EXPECT_EQ(folder.entries(), std::vector<std::string>{"judge.safetensors"});
}

TEST(Evaluation, KeepsWhatIsDoneWhenItIsStopped) {
  const TempFolder folder;
  EvaluationOptions options = quick_evaluation();
  options.folder = folder.path();
  options.on_progress = [](const EvaluationProgress& p) { return p.part != "probes"; };
  EXPECT_THROW((void)evaluate(tiny_bundle(), kTrain, kTest, options), Cancelled);
  const ConfigNode report = ConfigNode::load(folder / "evaluation.json");
  EXPECT_GT(report.at("reconstruction").get<double>("psnr"), 0);
  EXPECT_EQ(report.at("unguided").get<index_t>("count"), 60);
  EXPECT_FALSE(report.contains("probes"));
  // The classifier is asked after each of its steps.
  index_t steps = 0;
  options.folder.clear();
  options.on_progress = [&](const EvaluationProgress& p) {
    return p.part != "classifier" || ++steps < 3;
  };
  EXPECT_THROW((void)evaluate(tiny_bundle(), kTrain, kTest, options), Cancelled);
  EXPECT_EQ(steps, 3);
}

/// Stops an evaluation in the middle of one of its parts.
class StoppedEvaluation : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Parts, StoppedEvaluation,
                         testing::Values("classifier", "samples", "guided samples", "neighbours",
                                         "reconstruction", "probes"),
                         [](const auto& row) {
                           std::string name = row.param;
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

TEST_P(StoppedEvaluation, StopsWithinThePartAndKeepsWhatIsDone) {
  EvaluationOptions options = quick_evaluation();
  index_t all = 0;  // questions in this part
  std::string part;
  options.on_progress = [&](const EvaluationProgress& p) {
    part = p.part;
    return true;
  };
  {
    const CancellationScope counted([&] {
      all += part == GetParam() ? 1 : 0;
      return false;
    });
    set_num_threads(1);
    (void)evaluate(tiny_bundle(), kTrain, kTest, options);
  }
  ASSERT_GT(all, 20) << "a part asks often";
  for (const index_t at : {index_t{1}, all / 3, 2 * all / 3}) {
    const TempFolder folder;
    options.folder = folder.path();
    part.clear();
    index_t asked = 0;
    const CancellationScope scope([&] {
      asked += part == GetParam() ? 1 : 0;
      return asked >= at;
    });
    EXPECT_THROW((void)evaluate(tiny_bundle(), kTrain, kTest, options), Cancelled);
    EXPECT_EQ(part, GetParam());
    EXPECT_EQ(asked, at) << "nothing is computed after the first answer";
    const CancellationScope completed(nullptr);
    const std::string report = folder / "evaluation.json";
    const std::string name = GetParam();
    EXPECT_EQ(std::filesystem::exists(folder / "classifier.safetensors"), name != "classifier");
    if (name == "reconstruction" || name == "probes") {
      const ConfigNode kept = ConfigNode::load(report);
      EXPECT_TRUE(kept.contains("unguided") && kept.contains("neighbours"));
      EXPECT_EQ(kept.contains("reconstruction"), name == "probes");
    }
  }
  set_num_threads(0);
}

TEST(Evaluation, StopsWhileItsPicturesAreOpened) {
  const TempFolder folder;
  Image picture(8, 8, 1);
  std::filesystem::create_directories(folder / "a");
  picture.save_png(folder / "a/1.png");
  const CancellationScope scope([] { return true; });
  const DatasetOptions options{.size = 8, .channels = 1};
  EXPECT_THROW((void)survey_dataset(folder.path(), Split::train, options), Cancelled);
  EXPECT_THROW((void)open_dataset(folder.path(), Split::train, options), Cancelled);
}

// The second evaluation reads the classifier that the first one trained. Both reports are equal,
// for any number of threads.
TEST(Evaluation, IsReproducible) {
  const TempFolder folder;
  EvaluationOptions options = quick_evaluation();
  options.folder = folder.path();
  options.classifier.training.steps = 10;
  set_num_threads(1);
  const ConfigNode first = to_config(evaluate(tiny_bundle(), kTrain, kTest, options));
  set_num_threads(2);
  options.on_progress = [](const EvaluationProgress& p) {
    EXPECT_NE(p.part, "classifier");
    return true;
  };
  EXPECT_TRUE(to_config(evaluate(tiny_bundle(), kTrain, kTest, options)) == first);
  set_num_threads(0);
}

TEST(Evaluation, MeasuresAvailableNetworks) {
  EvaluationOptions options = quick_evaluation();
  options.classifier.training.steps = 4;
  Bundle autoencoder = tiny_bundle();
  autoencoder.remove("dit.");
  autoencoder.config.dit.reset();
  const EvaluationReport without_dit = evaluate(autoencoder, kTrain, kTest, options);
  EXPECT_FALSE(without_dit.unguided || without_dit.guided || without_dit.neighbours);
  EXPECT_TRUE(without_dit.reconstruction && without_dit.probes);

  Bundle generator = tiny_bundle();
  generator.remove("encoder.");
  const EvaluationReport without_encoder = evaluate(generator, kTrain, kTest, options);
  EXPECT_TRUE(without_encoder.unguided && without_encoder.guided && without_encoder.neighbours);
  EXPECT_FALSE(without_encoder.reconstruction || without_encoder.probes);

  options.samples = options.guided_samples = 0;
  options.probes = false;
  EXPECT_FALSE(evaluate(tiny_bundle(), kTrain, kTest, options).neighbours);

  Bundle encoder = autoencoder;
  encoder.remove("decoder.");
  encoder.config.decoder.reset();
  EXPECT_THROW((void)evaluate(encoder, kTrain, kTest, options), ConfigError);
}

TEST(Evaluation, MeasuresColourPictures) {
  EvaluationOptions options = quick_evaluation();
  ModelConfig config = tiny_config();
  test::vit_of(config).channels = config.decoder->channels = 3;
  const EvaluationReport report =
      evaluate(random_bundle(config), std::make_shared<RgbToy>(60, 8, 3),
               std::make_shared<RgbToy>(30, 8, 3), options);
  EXPECT_EQ(report.classifier_accuracy, 1.0);
  EXPECT_LT(report.unguided->class_consistency, 0.8);
  EXPECT_LT(report.reconstruction->psnr, 15);
  EXPECT_EQ(report.neighbours->test_least, 0)
      << "the test set is the beginning of the training set";
}

TEST(Evaluation, MeasuresRectangularPictures) {
  EvaluationOptions options = quick_evaluation();
  options.classifier.training.steps = 4;
  const auto wide = std::make_shared<ToyDataset>(60, 8, 3, 1, 12);
  const EvaluationReport report = evaluate(random_bundle(wide_config()), wide,
                                           std::make_shared<ToyDataset>(30, 8, 3, 1, 12), options);
  EXPECT_TRUE(report.unguided && report.guided && report.neighbours && report.probes);
  EXPECT_LT(report.reconstruction->psnr, 15);
  EXPECT_NE(report.reconstruction->ssim, 0.0);
  EXPECT_THROW((void)evaluate(random_bundle(wide_config()), kTrain, kTest, options), ConfigError);
}

TEST(Evaluation, MeasuresAModelWithAnotherDiffusionNetwork) {
  EvaluationOptions options = quick_evaluation();
  options.classifier.training.steps = 4;
  options.probes = false;
  ModelConfig config = tiny_config();
  LightningDitConfig lightning = tiny_lightning_dit();
  config.dit = lightning;
  const EvaluationReport guided = evaluate(random_bundle(config), kTrain, kTest, options);
  EXPECT_TRUE(guided.unguided && guided.guided);
  lightning.class_dropout_prob = 0;
  config.dit = lightning;
  config.sampling.guidance = {};
  const EvaluationReport report = evaluate(random_bundle(config), kTrain, kTest, options);
  EXPECT_TRUE(report.unguided && !report.guided);
}

TEST(Evaluation, RefusesUnfitDataAndOptions) {
  const Bundle bundle = tiny_bundle();
  const EvaluationOptions options = quick_evaluation();
  const auto large = std::make_shared<ToyDataset>(30, 12, 3),
             four = std::make_shared<ToyDataset>(30, 8, 4);
  EXPECT_NE(message_of<ConfigError>([&] {
              (void)evaluate(bundle, kTrain, large, options);
            }).find("(1, 12, 12)"),
            std::string::npos);
  EXPECT_THROW((void)evaluate(bundle, four, four, options), ConfigError);
  EXPECT_THROW((void)evaluate(bundle, kTrain, four, options), ConfigError);
  EXPECT_THROW((void)evaluate(bundle, kTrain, nullptr, options), ArgumentError);
  EvaluationOptions bad = options;
  bad.samples = 1;
  EXPECT_THROW((void)evaluate(bundle, kTrain, kTest, bad), ArgumentError);
  bad = options;
  bad.neighbour_rows = -1;
  EXPECT_THROW((void)evaluate(bundle, kTrain, kTest, bad), ArgumentError);
  bad = options;
  bad.folder = "/nowhere";
  EXPECT_THROW((void)evaluate(bundle, kTrain, kTest, bad), FileError);
  bad = options;
  bad.on_progress = [](const EvaluationProgress&) { return false; };
  EXPECT_THROW((void)evaluate(bundle, kTrain, kTest, bad), Cancelled);
}

// A row for some of the classes, and a note.
TEST(EvaluationReport, CanBeReadWithAThousandClasses) {
  EvaluationReport report;
  report.model = "toy";
  for (int k = 0; k < 1000; ++k) report.class_names.push_back("class " + std::to_string(k));
  report.classifier_by_class.assign(1000, 0.5);
  report.unguided.emplace();
  report.unguided->by_class.assign(1000, 0.25);
  const std::string text = to_text(report);
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 40);
  EXPECT_NE(text.find("class 950 "), std::string::npos) << text;
  EXPECT_EQ(text.find("class 951 "), std::string::npos) << text;
  EXPECT_NE(text.find("(20 of 1000 classes, as in the pictures of samples; evaluation.json has "
                      "all)"),
            std::string::npos)
      << text;
  EXPECT_EQ(to_config(report).at("unguided").at("by_class").elements().size(), 1000u);
}

TEST(Evaluation, PicturesOfAThousandClassesHaveTwentyRows) {
  const TempFolder folder;
  EvaluationOptions options = quick_evaluation();
  options.folder = folder.path();
  options.samples = 1000;
  options.guided_samples = 0;
  options.steps = 1;
  options.probes = false;
  options.classifier.training.steps = 2;
  options.classifier.training.warmup_steps = 1;
  ModelConfig config = tiny_config();
  config.class_names.clear();
  test::dit_of(config).num_classes = 1000;
  const auto data = std::make_shared<ToyDataset>(1000, 8, 1000);
  (void)evaluate(random_bundle(config), data, data, options);
  const Image samples = Image::open(folder / "samples.png");
  EXPECT_EQ(samples.width(), 8);
  EXPECT_EQ(samples.height(), 20 * 8 + 19 * 2);
}

TEST(EvaluationReport, TextAndJsonAgree) {
  EvaluationReport report;
  report.model = "toy";
  report.class_names = {"a", "b"};
  report.classifier_accuracy = 0.931;
  report.classifier_by_class = {0.9, NAN};
  report.reconstruction = ReconstructionQuality{23.456, 0.9};
  EXPECT_TRUE(to_config(report).at("classifier").at("by_class").elements()[1].is_null());
  EXPECT_EQ(to_config(report).at("reconstruction").get<double>("psnr"), 23.456);
  EXPECT_FALSE(to_config(report).contains("unguided"));
  const std::string text = to_text(report);
  EXPECT_NE(text.find("93.1 %"), std::string::npos) << text;
  EXPECT_NE(text.find("23.46 dB"), std::string::npos) << text;
}

TEST(Evaluation, RefusesClassesWithOtherLabels) {
  Bundle bundle = tiny_bundle();
  bundle.config.class_names = {"bar 0", "bar 2", "bar 1"};
  EXPECT_EQ(
      message_of<ConfigError>([&] { (void)evaluate(bundle, kTrain, kTest, quick_evaluation()); }),
      "evaluate: the class 'bar 2' has label 1 in the model and 2 in the data set; were class "
      "folders renamed after the training?");
}

}  // namespace
}  // namespace rae::test
