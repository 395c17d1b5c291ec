#include "rae/metrics/inception_score.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "rae/core/tensor.hpp"
#include "rae/core/torch_random.hpp"

namespace rae {
namespace {

/// log p(class) (classes) of one picture, in double.
std::vector<double> log_softmax(const float* logits, index_t classes) {
  const double largest = static_cast<double>(*std::max_element(logits, logits + classes));
  double sum = 0;
  for (index_t c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(logits[c]) - largest);
  std::vector<double> out;
  for (index_t c = 0; c < classes; ++c)
    out.push_back(static_cast<double>(logits[c]) - largest - std::log(sum));
  return out;
}

/// NumPy's RandomState(seed).permutation(n): Fisher-Yates swaps from the end; random numbers out of
/// range are drawn again.
std::vector<index_t> numpy_permutation(index_t n, std::uint32_t seed) {
  std::vector<index_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), index_t{0});
  MersenneTwister random(seed);
  for (std::size_t i = order.size(); i-- > 1;) {
    const std::size_t mask = std::bit_ceil(i + 1) - 1;
    std::size_t j = random() & mask;
    while (j > i) j = random() & mask;
    std::swap(order[i], order[j]);
  }
  return order;
}

/// The score of the chosen rows of logits: exp(mean of sum p log p - sum of mean p log mean p).
double score_of(const float* logits, std::span<const index_t> chosen, index_t classes) {
  std::vector<double> mean(static_cast<std::size_t>(classes), 0.0);
  const auto rows = static_cast<double>(chosen.size());
  double negative_entropy = 0;
  for (const index_t i : chosen) {
    const std::vector<double> log_p = log_softmax(logits + i * classes, classes);
    for (std::size_t c = 0; c < mean.size(); ++c) {
      const double p = std::exp(log_p[c]);
      negative_entropy += p * log_p[c];
      mean[c] += p;
    }
  }
  double of_mean = 0;
  for (const double sum : mean)
    if (sum > 0) of_mean += sum / rows * std::log(sum / rows);
  return std::exp(negative_entropy / rows - of_mean);
}

}  // namespace

InceptionScore inception_score(View<const float> logits, index_t splits,
                               std::optional<std::uint32_t> shuffle_seed) {
  if (logits.empty() || logits.shape().rank() != 2 || logits.numel() == 0 ||
      !logits.is_contiguous())
    raise<ShapeError>("inception_score: expected contiguous logits (N, classes), got ",
                      logits.shape());
  if (!all_finite(std::span<const float>(logits.data(), static_cast<std::size_t>(logits.numel()))))
    raise<NumericError>("inception_score: the logits contain NaN or infinity");
  const index_t n = logits.extent(0), classes = logits.extent(1);
  if (splits < 1 || splits > n)
    raise<ArgumentError>("inception_score: expected splits in [1, ", n, "], got ", splits);
  if (std::cmp_greater(n, std::uint32_t(-1)))
    raise<ArgumentError>("inception_score: ", n, " pictures are more than 2^32 - 1");
  std::vector<index_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), index_t{0});
  if (shuffle_seed) order = numpy_permutation(n, *shuffle_seed);
  std::vector<double> scores;
  for (index_t i = 0; i < splits; ++i) {
    const auto begin = static_cast<std::size_t>(n * i / splits),
               end = static_cast<std::size_t>(n * (i + 1) / splits);
    scores.push_back(
        score_of(logits.data(), std::span(order).subspan(begin, end - begin), classes));
  }
  InceptionScore out;
  for (const double score : scores) out.mean += score / static_cast<double>(splits);
  for (const double score : scores)
    out.deviation += (score - out.mean) * (score - out.mean) / static_cast<double>(splits);
  out.deviation = std::sqrt(out.deviation);
  return out;
}

}  // namespace rae
