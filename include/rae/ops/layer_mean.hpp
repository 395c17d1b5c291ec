// The mean of the outputs of several layers, as latents that combine layers.
//
// RAEv2 (arXiv 2605.18324), official classes DINOv3MultiLayerSimpleAddEncoder and its siblings: the
// code averages the layers, where the paper says sum, and adds to every token the mean token of the
// last layer of the list.
#pragma once

#include <vector>

#include "rae/ops/elementwise.hpp"

namespace rae {

/// The mean of `layers`, (B, N, D) each, plus with `add_last_mean` the mean over the N tokens of
/// the last of them: (B, N, D). Throws ArgumentError without layers, ShapeError for different
/// shapes.
template <Real T>
Tensor<T> layer_mean(const std::vector<Tensor<T>>& layers, bool add_last_mean) {
  if (layers.empty()) raise<ArgumentError>("layer_mean: no layers");
  const Shape s = layers.front().shape();  // (B, N, D)
  Tensor<T> out = layers.front();          // (B, N, D)
  T* sum = out.data();
  for (std::size_t i = 1; i < layers.size(); ++i) {
    require_shape("layer_mean", layers[i].shape(), s);
    const T* layer = layers[i].data();
    for (index_t k = 0; k < out.numel(); ++k) sum[k] += layer[k];
  }
  const T count = static_cast<T>(layers.size());
  for (index_t k = 0; k < out.numel(); ++k) sum[k] /= count;
  if (!add_last_mean) return out;
  const index_t tokens = s[1], d = s[2];
  Tensor<T> mean(Shape{d});  // (D)
  T* means = mean.data();
  for (index_t b = 0; b < s[0]; ++b) {
    const T* last = layers.back().data() + b * tokens * d;
    mean.fill(T(0));
    for (index_t n = 0; n < tokens; ++n)
      for (index_t k = 0; k < d; ++k) means[k] += last[n * d + k];
    for (index_t n = 0; n < tokens; ++n)
      for (index_t k = 0; k < d; ++k)
        sum[(b * tokens + n) * d + k] += means[k] / static_cast<T>(tokens);
  }
  return out;
}

/// The same, recorded: gradients go to all layers.
template <Real T>
Var<T> layer_mean(const std::vector<Var<T>>& layers, bool add_last_mean) {
  if (layers.empty()) raise<ArgumentError>("layer_mean: no layers");
  // One layer after another, so that each step has a fixed number of inputs.
  Var<T> sum = layers.front();  // (B, N, D)
  for (std::size_t i = 1; i < layers.size(); ++i) sum = add(sum, layers[i]);
  const T factor = T(1) / static_cast<T>(layers.size());
  const Var<T> mean = scale(sum, factor);  // (B, N, D)
  if (!add_last_mean) return mean;
  const Var<T>& last = layers.back();
  Tensor<T> value = layer_mean<T>({last.value()}, true);  // (B, N, D)
  const T* own = last.value().data();
  T* values = value.data();
  for (index_t k = 0; k < value.numel(); ++k) values[k] -= own[k];
  const Var<T> spread = detail::make_result<T>(
      std::move(value),
      [last](const Tensor<T>& g) {
        const Shape s = g.shape();  // (B, N, D)
        const index_t tokens = s[1], d = s[2];
        Tensor<T> dx = Tensor<T>::zeros(s);  // (B, N, D)
        T* out = dx.data();
        for (index_t b = 0; b < s[0]; ++b)
          for (index_t k = 0; k < d; ++k) {
            T total = 0;
            for (index_t n = 0; n < tokens; ++n) total += g[(b * tokens + n) * d + k];
            for (index_t n = 0; n < tokens; ++n)
              out[(b * tokens + n) * d + k] = total / static_cast<T>(tokens);
          }
        last.accumulate(std::move(dx));
      },
      last);
  return add(mean, spread);
}

}  // namespace rae
