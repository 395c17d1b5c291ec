// Models as commands load them, and decoding with progress.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "rae/pipeline/autoencoder.hpp"
#include "rae/pipeline/generator.hpp"
#include "tool/interrupt.hpp"
#include "tool/latents.hpp"
#include "tool/progress.hpp"

namespace rae::tool {

/// Path of `--model`: "builtin" is the model that comes with the library. Throws FileError.
[[nodiscard]] std::string model_path(const std::string& model);

/// Decodes latents (B, C, h, w) in parts, with progress. Throws Cancelled on Ctrl-C.
template <class Model>
[[nodiscard]] std::vector<Image> decode_all(const Model& model, const Tensor<float>& latents, index_t batch_size, ProgressBar& bar) {
  constexpr index_t kDefaultBatch = 32;
  const index_t total = latents.extent(0), part = batch_size > 0 ? batch_size : kDefaultBatch;
  std::vector<Image> images;
  for (index_t first = 0; first < total; first += part) {
    stop_if_interrupted();
    const index_t count = std::min(part, total - first);
    for (Image& image : model.decode(take_samples(latents, first, count))) images.push_back(std::move(image));
    bar.update(static_cast<double>(first + count), static_cast<double>(total), concat(first + count, "/", total));
  }
  return images;
}

}  // namespace rae::tool
