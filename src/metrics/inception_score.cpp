#include "rae/metrics/inception_score.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "rae/core/tensor.hpp"

namespace rae {
namespace {

/// log p(class) of one picture, in double.
std::vector<double> log_softmax(const float* logits, index_t classes) {
  const double largest = static_cast<double>(*std::max_element(logits, logits + classes));
  double sum = 0;
  for (index_t c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(logits[c]) - largest);
  std::vector<double> out;
  for (index_t c = 0; c < classes; ++c) out.push_back(static_cast<double>(logits[c]) - largest - std::log(sum));
  return out;
}

/// The score of rows of logits: exp(mean of sum p log p - sum of mean p log mean p).
double score_of(const float* logits, index_t rows, index_t classes) {
  std::vector<double> mean(static_cast<std::size_t>(classes), 0.0);
  double negative_entropy = 0;
  for (index_t i = 0; i < rows; ++i) {
    const std::vector<double> log_p = log_softmax(logits + i * classes, classes);
    for (std::size_t c = 0; c < mean.size(); ++c) {
      const double p = std::exp(log_p[c]);
      negative_entropy += p * log_p[c];
      mean[c] += p;
    }
  }
  double of_mean = 0;
  for (const double sum : mean)
    if (sum > 0) of_mean += sum / static_cast<double>(rows) * std::log(sum / static_cast<double>(rows));
  return std::exp(negative_entropy / static_cast<double>(rows) - of_mean);
}

}  // namespace

InceptionScore inception_score(View<const float> logits, index_t splits) {
  if (logits.empty() || logits.shape().rank() != 2 || logits.numel() == 0 || !logits.is_contiguous())
    raise<ShapeError>("inception_score: expected contiguous logits (N, classes), got ", logits.shape());
  if (!all_finite(std::span<const float>(logits.data(), static_cast<std::size_t>(logits.numel()))))
    raise<NumericError>("inception_score: the logits hold NaN or infinity");
  const index_t n = logits.extent(0), classes = logits.extent(1);
  if (splits < 1 || splits > n) raise<ArgumentError>("inception_score: expected splits in [1, ", n, "], got ", splits);
  std::vector<double> scores;
  for (index_t i = 0; i < splits; ++i) {
    const index_t begin = n * i / splits, end = n * (i + 1) / splits;
    scores.push_back(score_of(logits.data() + begin * classes, end - begin, classes));
  }
  InceptionScore out;
  for (const double score : scores) out.mean += score / static_cast<double>(splits);
  for (const double score : scores) out.deviation += (score - out.mean) * (score - out.mean) / static_cast<double>(splits);
  out.deviation = std::sqrt(out.deviation);
  return out;
}

}  // namespace rae
