// The pictures of an experiment: a data set, or synthetic ones for the reduced version.
#pragma once

#include "frame/options.hpp"
#include "rae/core/tensor.hpp"
#include "rae/io/dataset.hpp"

namespace rae::experiments {

/// The pictures in `options.data` as squares of `size` pixels with three channels; without that
/// folder, 64 synthetic pictures in four classes: discs and bars in two colours on a gradient, the
/// same ones in every run. Throws as `open_dataset`.
[[nodiscard]] OwnedPointer<const ImageDataset> open_pictures(const Options& options, Split split,
                                                             index_t size);

/// `count` pictures of `data`, or all when there are fewer, evenly spaced, so that sets in the
/// order of their classes are represented.
[[nodiscard]] OwnedPointer<const ImageDataset> evenly_spaced(
    const OwnedPointer<const ImageDataset>& data, index_t count);

/// Calls `f(images, first)` for all pictures of `data` in order, with batches (B, C, H, W) in [0,
/// 1] of at most 128 and the number of their first picture.
void for_batches(const ImageDataset& data,
                 const Function<void(const Tensor<float>& images, index_t first)>& f);

}  // namespace rae::experiments
