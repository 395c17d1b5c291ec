#include "rae/metrics/knn_probe.hpp"

#include <cmath>
#include <utility>
#include <vector>

#include "rae/core/parallel.hpp"

namespace rae {

Tensor<std::int64_t> knn_classify(View<const float> train, std::span<const std::int64_t> labels,
                                  View<const float> queries, const KnnOptions& options) {
  if (!(options.temperature >= 0.0f && std::isfinite(options.temperature)))
    raise<ArgumentError>("knn_classify: expected a temperature >= 0, got ", options.temperature);
  if (train.shape().rank() != 2 || static_cast<index_t>(labels.size()) != train.extent(0))
    raise<ShapeError>("knn_classify: ", labels.size(), " labels for features ", train.shape());
  const Neighbours neighbours = nearest_neighbours(queries, train, options.k, options.distance);
  const index_t q = queries.extent(0), k = options.k;
  Tensor<std::int64_t> out(Shape{q});  // (Q)
  std::int64_t* predictions = out.data();
  parallel_for(q, 64, [&](index_t i) {
    std::vector<std::pair<std::int64_t, double>>
        votes;  // (label, weight), in the order of the nearest neighbour of each label
    const float nearest = neighbours.distances[i * k];
    for (index_t j = 0; j < k; ++j) {
      const std::int64_t label = labels[static_cast<std::size_t>(neighbours.indices[i * k + j])];
      // Relative to the nearest neighbour, so that the largest weight is 1 and none overflows.
      const double excess = static_cast<double>(neighbours.distances[i * k + j] - nearest);
      const double weight = options.temperature > 0.0f
                                ? std::exp(-excess / static_cast<double>(options.temperature))
                                : 1.0;
      auto entry = votes.begin();
      while (entry != votes.end() && entry->first != label) ++entry;
      if (entry == votes.end())
        votes.emplace_back(label, weight);
      else
        entry->second += weight;
    }
    auto best = votes.begin();
    for (auto entry = votes.begin(); entry != votes.end(); ++entry)
      if (entry->second > best->second) best = entry;
    predictions[i] = best->first;
  });
  return out;
}

double knn_accuracy(View<const float> train, std::span<const std::int64_t> train_labels,
                    View<const float> test, std::span<const std::int64_t> test_labels,
                    const KnnOptions& options) {
  if (test.shape().rank() != 2 || static_cast<index_t>(test_labels.size()) != test.extent(0))
    raise<ShapeError>("knn_accuracy: ", test_labels.size(), " labels for features ", test.shape());
  const Tensor<std::int64_t> predictions = knn_classify(train, train_labels, test, options);
  index_t correct = 0;
  for (index_t i = 0; i < predictions.numel(); ++i)
    correct += predictions.data()[i] == test_labels[static_cast<std::size_t>(i)];
  return static_cast<double>(correct) / static_cast<double>(predictions.numel());
}

}  // namespace rae
