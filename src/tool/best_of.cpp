#include "tool/best_of.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "rae/train/classifier_trainer.hpp"
#include "tool/numbers.hpp"

namespace rae::tool {
namespace {

/// The logarithm of the probability of a label, from a row of logits.
double log_probability(const float* logits, index_t classes, index_t label) {
  const auto largest = static_cast<double>(*std::max_element(logits, logits + classes));
  double sum = 0;
  for (index_t c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(logits[c]) - largest);
  return static_cast<double>(logits[label]) - largest - std::log(sum);
}

/// The square of the distance of two samples of n elements, with the other sign.
double closeness(const float* a, const float* b, index_t n) {
  double sum = 0;
  for (index_t i = 0; i < n; ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return -sum;
}

/// The samples with these numbers of a batch (B, ...); empty for an empty one.
Tensor<float> picked(const Tensor<float>& batch, const std::vector<index_t>& numbers) {
  if (batch.empty()) return {};
  const index_t size = batch.numel() / batch.extent(0);
  Tensor<float> out(batch.shape().with(0, static_cast<index_t>(numbers.size())));  // (n, ...)
  float* target = out.data();
  for (const index_t number : numbers)
    target = std::copy_n(batch.data() + number * size, size, target);
  return out;
}

}  // namespace

void add_best_of_options(CLI::App& command, BestOfChoice& choice) {
  add_whole_option(command, "--best-of", choice.candidates,
                   "candidates for each picture, of which the best is kept: the one that "
                   "--classifier finds most like its class, or else the nearest to --init",
                   1, 1000);
  command
      .add_option("--classifier", choice.classifier,
                  "the judge of --best-of: classifier.safetensors of 'rae evaluate'")
      ->type_name("FILE")
      ->needs("--best-of");
}

void declare_best_of(CommandFiles& files, BestOfChoice& choice, bool has_init) {
  if (choice.any() && choice.classifier.empty() && !has_init)
    throw UsageError(
        "--best-of: needs --classifier, which judges the candidates, or --init, to which the "
        "nearest is kept");
  if (!choice.classifier.empty())
    choice.classifier = files.input("--classifier", choice.classifier);
}

Classifier<Tensor<float>> load_judge(const std::string& path, const ModelFiles& model) {
  Classifier<Tensor<float>> out = load_classifier(path);
  const ClassifierConfig& config = out.config();
  const Shape picture = model.config.image_shape();  // (channels, H, W)
  if (config.classes != model.config.num_classes() ||
      !(Shape{config.channels, config.height, config.width} == picture))
    raise<ConfigError>(path, ": judges pictures of shape (", config.channels, ", ", config.height,
                       ", ", config.width, ") in ", config.classes, " classes, the model makes ",
                       picture, " in ", model.config.num_classes());
  return out;
}

void repeat_for_candidates(const BestOfChoice& choice, GenerateOptions& options) {
  std::vector<std::int64_t> labels;
  std::vector<index_t> numbers;
  for (std::size_t i = 0; i < options.labels.size(); ++i)
    for (index_t j = 0; j < choice.candidates; ++j) {
      labels.push_back(options.labels[i]);
      numbers.push_back(static_cast<index_t>(i));
    }
  options.labels = std::move(labels);
  for (Tensor<float>* each : {&options.init, &options.mask})
    if (!each->empty() && each->extent(0) > 1) *each = picked(*each, numbers);
}

std::vector<index_t> best_candidates(const BestOfChoice& choice,
                                     const std::optional<Classifier<Tensor<float>>>& classifier,
                                     const GenerateOptions& options, const SampledSet& sampled) {
  const auto score = [&](index_t number) {
    const auto at = static_cast<std::size_t>(number);
    if (classifier) {
      const Tensor<float> logits = (*classifier)(sampled.images[at].to_tensor());  // (1, classes)
      return log_probability(logits.data(), logits.extent(1), options.labels[at]);
    }
    const index_t size = sampled.latents.numel() / sampled.latents.extent(0);
    const index_t of_init = options.init.extent(0) > 1 ? number : 0;
    return closeness(sampled.latents.data() + number * size, options.init.data() + of_init * size,
                     size);
  };
  std::vector<index_t> out;
  const auto all = static_cast<index_t>(options.labels.size());
  for (index_t first = 0; first < all; first += choice.candidates) {
    index_t best = first;
    double highest = -std::numeric_limits<double>::infinity();
    for (index_t number = first; number < first + choice.candidates; ++number) {
      stop_if_interrupted();
      if (const double value = score(number); value > highest) {
        highest = value;
        best = number;
      }
    }
    out.push_back(best);
  }
  return out;
}

SampledSet chosen(const SampledSet& sampled, const std::vector<index_t>& numbers) {
  SampledSet out{.latents = picked(sampled.latents, numbers),
                 .pixels = picked(sampled.pixels, numbers),
                 .images = {}};
  for (const index_t number : numbers)
    out.images.push_back(sampled.images[static_cast<std::size_t>(number)]);
  return out;
}

}  // namespace rae::tool
