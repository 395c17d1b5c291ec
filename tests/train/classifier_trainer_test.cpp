#include "rae/train/classifier_trainer.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "rae/core/cancellation.hpp"
#include "rae/core/parallel.hpp"
#include "rae/train/classifier_score.hpp"
#include "support/golden.hpp"
#include "support/temp_folder.hpp"
#include "support/tiny_bundle.hpp"
#include "support/toy_dataset.hpp"

namespace rae::test {
namespace {

ClassifierOptions quick(index_t steps = 40) {
  ClassifierOptions o;
  o.first_channels = 4;
  o.features = 8;
  o.augmentation = {};  // a flip or shift would exchange the classes, which are positions
  o.training.steps = steps;
  o.training.batch_size = 16;
  o.training.lr = 1e-2;
  o.training.warmup_steps = 4;
  o.training.ema_decay = 0.5;
  return o;
}

/// All weights, concatenated.
Tensor<float> weights(Classifier<Tensor<float>> model) {
  std::vector<float> all;
  model.parameters([&](const std::string&, auto& p) {
    all.insert(all.end(), p.tensor().span().begin(), p.tensor().span().end());
  });
  return Tensor<float>(Shape{static_cast<index_t>(all.size())}, all);
}

TEST(ClassifierTrainer, ScalesItsCostToTheData) {
  const ClassifierOptions defaults, same = classifier_options_for(ToyDataset(60000, 28, 10)),
                                    few = classifier_options_for(ToyDataset(300, 28, 3)),
                                    large = classifier_options_for(ToyDataset(300, 256, 3)),
                                    many = classifier_options_for(ToyDataset(1000000, 28, 10));
  EXPECT_EQ(training_settings(same.training), training_settings(defaults.training));
  EXPECT_EQ(training_settings(many.training), training_settings(defaults.training));
  EXPECT_EQ(few.training.steps, 197);  // 2800 sqrt(300 / 60000)
  EXPECT_EQ(few.training.batch_size, 128);
  EXPECT_LT(few.training.ema_decay, 0.96);
  EXPECT_EQ(large.training.steps, 150);
  EXPECT_EQ(large.training.batch_size, 32);
  EXPECT_LT(large.training.warmup_steps, large.training.steps);
  const ClassifierOptions color = classifier_options_for(ToyDataset(50000, 32, 10, 3)),
                          little = classifier_options_for(ToyDataset(500, 32, 10, 3));
  EXPECT_EQ(color.network, ClassifierNetwork::residual);
  EXPECT_EQ(training_settings(color.training),
            training_settings(color_classifier_options().training));
  EXPECT_EQ(little.training.steps, 800);  // 8000 sqrt(500 / 50000)
  EXPECT_EQ(little.network, ClassifierNetwork::residual);
}

TEST(ClassifierTrainer, LearnsTheToyDataset) {
  const auto data = std::make_shared<ToyDataset>(64);
  const Classifier<Tensor<float>> model = train_classifier(data, quick());
  Tensor<float> images(Shape{64, 1, 8, 8});  // (64, 1, 8, 8)
  std::vector<std::int64_t> labels;
  for (index_t i = 0; i < 64; ++i) {
    data->image(i, images.span().subspan(static_cast<std::size_t>(i * 64), 64));
    labels.push_back(data->label(i));
  }
  ClassifierScore score(model);
  score.add(images, labels);
  EXPECT_EQ(score.accuracy(), 1.0);
}

TEST(ClassifierTrainer, TheResidualNetworkLearnsColouredPictures) {
  const auto data = std::make_shared<ToyDataset>(64, 8, 4, 3);
  ClassifierOptions options = quick(60);
  options.network = ClassifierNetwork::residual;
  options.label_smoothing = 0.1;
  const Classifier<Tensor<float>> model = train_classifier(data, options);
  EXPECT_EQ(model.config().features, 8);
  Tensor<float> images(Shape{64, 3, 8, 8});  // (64, 3, 8, 8)
  std::vector<std::int64_t> labels;
  for (index_t i = 0; i < 64; ++i) {
    data->image(i, images.span().subspan(static_cast<std::size_t>(i * 192), 192));
    labels.push_back(data->label(i));
  }
  ClassifierScore score(model);
  score.add(images, labels);
  EXPECT_EQ(score.accuracy(), 1.0);
}

TEST(ClassifierTrainer, ThreadCountDoesNotChangeABit) {
  const auto data = std::make_shared<ToyDataset>(40, 12);
  ClassifierOptions options = quick(5);
  options.augmentation = {.shift = 1, .flip = true};
  options.training.batch_size = 24;
  set_num_threads(1);
  const Tensor<float> one = weights(train_classifier(data, options));  // (number of weights)
  set_num_threads(2);
  const Tensor<float> two = weights(train_classifier(data, options));  // (number of weights)
  set_num_threads(0);
  EXPECT_TRUE(close(one, two, 0.0));
  options.training.seed = 1;
  EXPECT_FALSE(close(one, weights(train_classifier(data, options)), 1e-3));
}

TEST(ClassifierTrainer, IsCachedForTheSameDataAndOptions) {
  const TempFolder folder;
  const std::string path = folder / "classifier.safetensors";
  const auto data = std::make_shared<ToyDataset>(40);
  index_t trained = 0;
  const OnTrainingProgress count = [&](const TrainingProgress& p) {
    trained += p.step == p.steps;
    return true;
  };
  // (number of weights)
  const Tensor<float> first = weights(cached_classifier(path, data, quick(4), count));
  // (number of weights)
  const Tensor<float> second = weights(cached_classifier(path, data, quick(4), count));
  EXPECT_EQ(trained, 1);
  EXPECT_TRUE(close(first, second, 0.0));
  (void)cached_classifier(path, data, quick(5), count);
  EXPECT_EQ(trained, 2) << "other options";
  (void)cached_classifier(path, std::make_shared<ToyDataset>(44), quick(5), count);
  EXPECT_EQ(trained, 3) << "other data";
  ClassifierOptions varied = quick(5);
  varied.augmentation.color_jitter = ColorJitter{.contrast = {0.9, 1.1}};
  (void)cached_classifier(path, std::make_shared<ToyDataset>(44), varied, count);
  EXPECT_EQ(trained, 4) << "another augmentation";
  varied.label_smoothing = 0.1;
  (void)cached_classifier(path, std::make_shared<ToyDataset>(44), varied, count);
  EXPECT_EQ(trained, 5) << "another loss";
  varied.network = ClassifierNetwork::residual;
  (void)cached_classifier(path, std::make_shared<ToyDataset>(44), varied, count);
  EXPECT_EQ(trained, 6) << "another network";
  (void)cached_classifier(path, std::make_shared<ToyDataset>(44), varied, count);
  EXPECT_EQ(trained, 6) << "the features of a residual network are those of its last stage";
  folder.write("classifier.safetensors", "no tensors");
  EXPECT_THROW((void)cached_classifier(path, data, quick(4), count), FormatError);
}

// A file is enough to judge by: it has the shape of the network as well as its weights.
TEST(ClassifierTrainer, AStoredClassifierIsLoadedWithoutItsData) {
  const TempFolder folder;
  const std::string path = folder / "classifier.safetensors";
  for (const bool residual : {false, true}) {
    const auto data = std::make_shared<ToyDataset>(40, 12, 4, residual ? 3 : 1);
    ClassifierOptions options = quick(4);
    if (residual) options.network = ClassifierNetwork::residual;
    const Classifier<Tensor<float>> trained = cached_classifier(path, data, options),
                                    loaded = load_classifier(path);
    EXPECT_TRUE(close(weights(loaded), weights(trained), 0.0));
    Tensor<float> images(Shape{5, residual ? 3 : 1, 12, 12});  // (5, C, 12, 12)
    Philox(3).fill_uniform(images.span());
    EXPECT_TRUE(close(ClassifierScore(loaded).judge(images).features,
                      ClassifierScore(trained).judge(images).features, 0.0));
    EXPECT_EQ(loaded.config().classes, 4);
    EXPECT_EQ(loaded.config().height, 12);
    EXPECT_EQ(loaded.config().features, trained.config().features);
    EXPECT_EQ(loaded.config().network, options.network);
  }
}

TEST(ClassifierTrainer, OtherFilesAreNotClassifiers) {
  const TempFolder folder;
  const std::string path = folder / "classifier.safetensors";
  EXPECT_THROW((void)load_classifier(path), FileError);
  tiny_bundle().save(path);
  EXPECT_NE(message_of<FormatError>([&] {
              (void)load_classifier(path);
            }).find("is not a classifier that an evaluation has stored"),
            std::string::npos);
  (void)cached_classifier(path, std::make_shared<ToyDataset>(40), quick(4));
  const std::string whole = slurp(path);
  folder.write("classifier.safetensors", whole.substr(0, whole.size() - 4));
  EXPECT_THROW((void)load_classifier(path), FormatError);
  const std::string key = "\\\"features\\\":8";
  const std::size_t at = whole.find(key);
  ASSERT_NE(at, std::string::npos);
  std::string other = whole;
  other[at + key.size() - 1] = '9';
  folder.write("classifier.safetensors", other);
  EXPECT_THROW((void)load_classifier(path), ShapeError);
}

TEST(ClassifierTrainer, CanBeStopped) {
  const TempFolder folder;
  const std::string path = folder / "classifier.safetensors";
  ClassifierOptions options = quick();
  options.training.log_every = 2;
  EXPECT_THROW((void)cached_classifier(path, std::make_shared<ToyDataset>(), options,
                                       [](const TrainingProgress&) { return false; }),
               Cancelled);
  EXPECT_FALSE(std::filesystem::exists(path));
}

// Stopped by the callback between two steps, or by a scope within a step.
TEST(ClassifierTrainer, AStoppedTrainingContinues) {
  const auto data = std::make_shared<ToyDataset>();
  ClassifierOptions options = quick(12);
  options.training.log_every = 1;
  const Tensor<float> whole = weights(train_classifier(data, options));  // (number of weights)
  for (const bool within_a_step : {false, true}) {
    const TempFolder folder;
    const std::string path = folder / "classifier.safetensors";
    index_t done = 0;
    bool stop = false;
    {
      const CancellationScope scope([&] { return stop && within_a_step; });
      EXPECT_THROW((void)cached_classifier(path, data, options,
                                           [&](const TrainingProgress& p) {
                                             done = p.step;
                                             stop = done == 5;
                                             return !stop || within_a_step;
                                           }),
                   Cancelled);
    }
    EXPECT_EQ(done, 5);
    EXPECT_EQ(folder.entries(), std::vector<std::string>{"classifier.training"});
    index_t first = 0;
    const auto model = cached_classifier(path, data, options, [&](const TrainingProgress& p) {
      if (first == 0) first = p.step;
      return true;
    });
    EXPECT_EQ(first, 6);
    EXPECT_TRUE(close(weights(model), whole, 0.0));
    EXPECT_EQ(folder.entries(), std::vector<std::string>{"classifier.safetensors"});
  }
}

TEST(ClassifierTrainer, AnUnfinishedTrainingOfOtherSettingsIsNotContinued) {
  const TempFolder folder;
  const std::string path = folder / "classifier.safetensors";
  const auto data = std::make_shared<ToyDataset>();
  ClassifierOptions options = quick(12);
  options.training.log_every = 1;
  index_t steps = 0;
  const auto train = [&](index_t until) {
    steps = 0;
    return cached_classifier(path, data, options,
                             [&](const TrainingProgress&) { return ++steps < until; });
  };
  EXPECT_THROW((void)train(5), Cancelled);
  options.training.lr *= 2;
  EXPECT_TRUE(close(weights(train(100)), weights(train_classifier(data, options)), 0.0));
  EXPECT_EQ(steps, 12);
}

}  // namespace
}  // namespace rae::test
