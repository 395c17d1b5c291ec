#include "rae/train/classifier_score.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "rae/core/workspace.hpp"

namespace rae {

namespace {
constexpr index_t kScoredAtOnce = 128;  // pictures at a time
}  // namespace

std::vector<std::int64_t> most_likely(const Tensor<float>& logits) {
  if (logits.empty() || logits.rank() != 2)
    raise<ShapeError>("most_likely: expected logits (N, classes), got ", logits.shape());
  const index_t classes = logits.extent(1);
  std::vector<std::int64_t> out;
  for (index_t i = 0; i < logits.extent(0); ++i) {
    const float* row = logits.data() + i * classes;
    out.push_back(std::max_element(row, row + classes) - row);
  }
  return out;
}

ClassifierScore::ClassifierScore(const Classifier<Tensor<float>>& classifier)
    : classifier_(classifier),
      features_(classifier.config().features),
      hits_(static_cast<std::size_t>(classifier.config().classes), 0),
      counts_(hits_) {}

void ClassifierScore::add(const Tensor<float>& images, std::span<const std::int64_t> labels) {
  const ClassifierConfig& c = classifier_.config();
  require_shape("ClassifierScore", images.shape(),
                {static_cast<index_t>(labels.size()), c.channels, c.height, c.width});
  require_labels(labels);
  if (!labels.empty()) add(judge(images), labels);
}

void ClassifierScore::require_labels(std::span<const std::int64_t> labels) const {
  const index_t classes = classifier_.config().classes;
  for (const std::int64_t label : labels)
    if (label < 0 || label >= classes)
      raise<ArgumentError>("ClassifierScore: label ", label, " is outside [0, ", classes, ")");
}

JudgedPictures ClassifierScore::judge(const Tensor<float>& images) const {
  const ClassifierConfig& c = classifier_.config();
  const index_t n = images.rank() == 4 ? images.extent(0) : 0;
  require_shape("ClassifierScore", images.shape(),
                {std::max<index_t>(n, 1), c.channels, c.height, c.width});
  const index_t size = images.numel() / n;
  JudgedPictures out{Tensor<float>(Shape{n, c.features}), {}};
  Workspace workspace;
  const WorkspaceScope recycled(workspace);
  for (index_t begin = 0; begin < n; begin += kScoredAtOnce) {
    const index_t count = std::min(kScoredAtOnce, n - begin);
    const Tensor<float> batch(Shape{count, c.channels, c.height, c.width},
                              images.span().subspan(static_cast<std::size_t>(begin * size),
                                                    static_cast<std::size_t>(count * size)));
    const Tensor<float> x = classifier_.features(batch);  // (count, features)
    std::copy_n(x.data(), x.numel(), out.features.data() + begin * c.features);
    for (const std::int64_t answer : most_likely(classifier_.classify(x)))
      out.answers.push_back(answer);
  }
  return out;
}

void ClassifierScore::add(const JudgedPictures& judged, std::span<const std::int64_t> labels) {
  require_labels(labels);
  if (judged.answers.size() != labels.size())
    raise<ArgumentError>("ClassifierScore: ", labels.size(), " labels for ", judged.answers.size(),
                         " pictures");
  features_.update(judged.features.view());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto label = static_cast<std::size_t>(labels[i]);
    ++counts_[label];
    hits_[label] += judged.answers[i] == labels[i];
  }
}

double ClassifierScore::accuracy() const {
  if (count() == 0) raise<ArgumentError>("ClassifierScore: no pictures yet");
  return static_cast<double>(std::accumulate(hits_.begin(), hits_.end(), index_t{0})) /
         static_cast<double>(count());
}

std::vector<double> ClassifierScore::accuracy_by_class() const {
  std::vector<double> out;
  for (std::size_t c = 0; c < counts_.size(); ++c)
    out.push_back(counts_[c] == 0
                      ? std::numeric_limits<double>::quiet_NaN()
                      : static_cast<double>(hits_[c]) / static_cast<double>(counts_[c]));
  return out;
}

}  // namespace rae
