#include "frame/judge.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iterator>

#include "frame/pictures.hpp"
#include "rae/io/data_manifest.hpp"

namespace rae::experiments {
namespace {

constexpr index_t kAtOnce = 64;  // pictures that are made or read together

/// Adds the pictures of `part` to `all`, of which `done` of `count` are there.
void append(JudgedPictures& all, const JudgedPictures& part, index_t done, index_t count) {
  if (done == 0) all.features = Tensor<float>(part.features.shape().with(0, count));  // (N, F)
  const index_t width = part.features.extent(1);
  copy_elements(part.features.data(), part.features.numel(), all.features.data() + done * width);
  all.answers.insert(all.answers.end(), part.answers.begin(), part.answers.end());
}

/// How the classifier is trained; a tiny one in the reduced version of an experiment.
ClassifierOptions classifier_how(const Options& options, const ImageDataset& train) {
  ClassifierOptions out = classifier_options_for(train);
  if (!options.quick) return out;
  out.network = ClassifierNetwork::plain;
  out.first_channels = 4;
  out.features = 8;
  out.training.steps = 40;
  out.training.batch_size = 16;
  out.training.warmup_steps = 4;
  return out;
}

/// Prints one line for each tenth of a training.
bool print_tenths(const TrainingProgress& now) {
  const index_t tenth = std::max<index_t>(1, now.steps / 10);
  if (now.step % tenth == 0 && now.seconds > 10) {
    std::printf("classifier: step %lld of %lld, %.0f min left\n", static_cast<long long>(now.step),
                static_cast<long long>(now.steps), std::ceil(now.eta_seconds / 60));
    std::fflush(stdout);
  }
  return true;
}

}  // namespace

Judge Judge::open(const Options& options, const OwnedPointer<const ImageDataset>& train,
                  const ImageDataset& test) {
  const bool given = !options.classifier.empty();
  const std::string path = given ? options.classifier : options.out + "/classifier.safetensors";
  ClassifierOptions how = classifier_how(options, *train);
  how.training.log_every = std::max<index_t>(1, how.training.steps / 10);
  if (!given) std::filesystem::create_directories(options.out);
  Classifier<Tensor<float>> classifier =
      given ? load_classifier(path) : cached_classifier(path, train, how, print_tenths);
  const ClassifierConfig& config = classifier.config();
  const Shape wanted{test.channels(), test.height(), test.width()},
      got{config.channels, config.height, config.width};
  if (!(wanted == got) || config.classes != static_cast<index_t>(test.class_names().size()))
    raise<ConfigError>(path, ": this classifier is for pictures ", got, " of ", config.classes,
                       " classes, the data set has ", wanted, " of ", test.class_names().size());
  const std::uint32_t checksum = manifest_file(path, "classifier", ChecksumExtent::full).checksum;
  return {std::move(classifier), checksum, train, test};
}

Judge::Judge(Classifier<Tensor<float>> classifier, std::uint32_t checksum,
             OwnedPointer<const ImageDataset> train, const ImageDataset& test)
    : classifier_(std::move(classifier)),
      checksum_(checksum),
      train_(std::move(train)),
      real_(classifier_.config().features) {
  JudgedPictures all;
  index_t hits = 0;
  for_batches(test, [&](const Tensor<float>& images, index_t first) {
    append(all, judge(images), first, test.size());
  });
  for (index_t i = 0; i < test.size(); ++i)
    hits += all.answers[static_cast<std::size_t>(i)] == test.label(i);
  accuracy_ = static_cast<double>(hits) / static_cast<double>(test.size());
  real_.update(std::as_const(all.features).view());
  real_features_ = std::move(all.features);
}

JudgedPictures Judge::judge(Tensor<float> pictures) const {
  for (float& value : pictures.span())
    value = std::round(std::clamp(value, 0.0f, 1.0f) * 255.0f) / 255.0f;
  return ClassifierScore(classifier_).judge(pictures);
}

PictureScore Judge::score(JudgedPictures judged, const std::vector<std::int64_t>& labels) const {
  ClassifierScore score(classifier_);
  score.add(judged, labels);
  return {frechet_distance(score.features(), real_), score.accuracy(), std::move(judged.features)};
}

PictureScore Judge::score_samples(index_t count, const DrawPictures& draw) const {
  JudgedPictures all;
  std::vector<std::int64_t> labels;
  for (index_t first = 0; first < count; first += kAtOnce) {
    std::vector<std::int64_t> now;
    for (index_t i = first; i < std::min(count, first + kAtOnce); ++i) now.push_back(i % classes());
    append(all, judge(draw(now, first)), first, count);
    labels.insert(labels.end(), now.begin(), now.end());
  }
  return score(std::move(all), labels);
}

PictureScore Judge::score_training(index_t count) const {
  count = std::min(count, train_->size());
  JudgedPictures all;
  std::vector<std::int64_t> labels;
  const auto pixels = static_cast<std::size_t>(train_->image_size());
  for (index_t first = 0; first < count; first += kAtOnce) {
    const index_t now = std::min(kAtOnce, count - first);
    Tensor<float> images(
        Shape{now, train_->channels(), train_->height(), train_->width()});  // (B, C, H, W)
    for (index_t i = 0; i < now; ++i) {
      const index_t at = (first + i) * train_->size() / count;
      train_->image(at, images.span().subspan(static_cast<std::size_t>(i) * pixels, pixels));
      labels.push_back(train_->label(at));
    }
    append(all, judge(std::move(images)), first, count);
  }
  return score(std::move(all), labels);
}

}  // namespace rae::experiments
