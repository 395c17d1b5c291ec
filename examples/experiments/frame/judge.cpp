#include "frame/judge.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>

#include "frame/kept_training.hpp"
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

}  // namespace

Judge Judge::open(const Options& options, const OwnedPointer<const ImageDataset>& train,
                  const ImageDataset& test) {
  const bool given = !options.classifier.empty();
  const std::string path = given ? options.classifier : options.out + "/classifier.safetensors";
  ClassifierOptions how = classifier_how(options, *train);
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

PictureScore Judge::score_set(const ImageDataset& data,
                              const Function<Tensor<float>(const Tensor<float>&)>& change) const {
  JudgedPictures all;
  std::vector<std::int64_t> labels;
  for_batches(data, [&](const Tensor<float>& images, index_t first) {
    append(all, judge(change(images)), first, data.size());
  });
  for (index_t i = 0; i < data.size(); ++i) labels.push_back(data.label(i));
  return score(std::move(all), labels);
}

PictureScore Judge::score_training(index_t count) const {
  return score_set(*evenly_spaced(train_, count),
                   [](const Tensor<float>& images) { return images; });
}

}  // namespace rae::experiments
