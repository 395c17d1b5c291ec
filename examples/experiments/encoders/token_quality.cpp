#include "encoders/plan.hpp"
#include "frame/pictures.hpp"
#include "rae/metrics/anisotropy.hpp"
#include "rae/metrics/knn_probe.hpp"
#include "rae/metrics/linear_probe.hpp"
#include "rae/metrics/token_spectrum.hpp"

namespace rae::experiments {
namespace {

/// The mean token (N, D) of each picture, with its label.
struct MeanTokens {
  Tensor<float> features;  // (N, D)
  std::vector<std::int64_t> labels;
};

MeanTokens mean_tokens(const Rae<float>& encoder, const ImageDataset& data) {
  MeanTokens out;
  for_batches(data, [&](const Tensor<float>& images, index_t first) {
    const Tensor<float> tokens = encoder.encode_tokens(images);  // (B, T, D)
    const index_t count = tokens.extent(1), width = tokens.extent(2);
    if (first == 0) out.features = Tensor<float>(Shape{data.size(), width});
    float* mean = out.features.data() + first * width;
    for (index_t b = 0; b < tokens.extent(0); ++b)
      for (index_t d = 0; d < width; ++d) {
        double sum = 0;
        for (index_t t = 0; t < count; ++t)
          sum += static_cast<double>(tokens[(b * count + t) * width + d]);
        mean[b * width + d] = static_cast<float>(sum / static_cast<double>(count));
      }
  });
  for (index_t i = 0; i < data.size(); ++i) out.labels.push_back(data.label(i));
  return out;
}

}  // namespace

TokenQuality token_quality(const Rae<float>& encoder, const EncodersPlan& plan,
                           const OwnedPointer<const ImageDataset>& train,
                           const OwnedPointer<const ImageDataset>& test) {
  const MeanTokens known = mean_tokens(encoder, *evenly_spaced(train, plan.probe_train)),
                   asked = mean_tokens(encoder, *evenly_spaced(test, plan.probe_test));
  const auto classes = static_cast<index_t>(train->class_names().size());
  const Tensor<float> grid = encode_all(*evenly_spaced(test, plan.token_pictures),
                                        encode_of(encoder));  // (N, D, h, w)
  const Tensor<float> tokens =
      grid_to_tokens(grid).reshaped({-1, grid.extent(1)});  // (N * h * w, D)
  return {knn_accuracy(known.features.view(), known.labels, asked.features.view(), asked.labels),
          linear_probe_accuracy(fit_linear_probe(known.features.view(), known.labels, classes),
                                asked.features.view(), asked.labels),
          effective_rank(tokens.view()), anisotropy(tokens.view())};
}

}  // namespace rae::experiments
