// The training pictures that are nearest to samples, to see whether a model copies, and pictures
// that show them.
#pragma once

#include <vector>

#include "rae/core/function.hpp"
#include "rae/io/image.hpp"
#include "rae/io/image_dataset.hpp"
#include "rae/metrics/nearest_neighbours.hpp"

namespace rae::detail {

constexpr index_t kPairsOfARow = 5;  // in the picture of pairs
constexpr index_t kGapOfPairs = 12;  // white pixels between them

/// The k nearest pictures of `train`, by the Euclidean distance of their pixels, of pictures
/// (Q, C, H, W), nearest first; without holding the training set. `tell` receives the number of
/// training pictures that were compared; its exceptions pass.
[[nodiscard]] Neighbours nearest_training(const ImageDataset& train, const Tensor<float>& queries,
                                          index_t k, const Function<void(index_t done)>& tell);

/// The distances from the first `count` pictures to the nearest.
[[nodiscard]] std::vector<double> nearest_distances(const Neighbours& near, index_t count);

/// For each of the first `rows` samples (N, C, H, W): the sample, then its neighbours.
[[nodiscard]] std::vector<Image> neighbour_rows(const ImageDataset& train,
                                                const Tensor<float>& samples,
                                                const Neighbours& near, index_t rows);

/// For each of the first `count` samples (N, C, H, W) a picture of it beside its nearest neighbour;
/// small ones are enlarged by a whole factor, so that details can be seen.
[[nodiscard]] std::vector<Image> neighbour_pairs(const ImageDataset& train,
                                                 const Tensor<float>& samples,
                                                 const Neighbours& near, index_t count);

}  // namespace rae::detail
