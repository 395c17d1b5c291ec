// Pictures as the beginning of sampling (SDEdit, arXiv 2108.01073): their latents with the noise of
// a time of the grid, and inpainting (RePaint, arXiv 2201.09865, algorithm 1 without resampling),
// in which the tokens outside of a mask are those latents with the same noise after every step.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "generate/batches.hpp"
#include "generate/flow_sampling.hpp"
#include "rae/core/parallel.hpp"

namespace rae::detail {

/// Keeps the last steps of a descending grid: the share `strength` in (0, 1], rounded, at least
/// one.
inline void keep_last_steps(std::vector<float>& grid, double strength) {
  const auto steps = static_cast<double>(grid.size() - 1);
  const auto kept = static_cast<std::ptrdiff_t>(std::max(1.0, std::round(strength * steps)));
  grid.erase(grid.begin(), grid.end() - (kept + 1));
}

/// The latents of known pictures, for one batch.
struct KnownTokens {
  Tensor<float> latents{};  ///< (B, C, h, w)
  Tensor<float> mask{};     ///< (B, 1, h, w), 1: the token changes, 0: it is kept; or empty
  Tensor<float> noise{};    ///< (B, C, h, w)
  PathKind path = PathKind::linear;

  /// The latents with the noise of time t, (B, C, h, w).
  [[nodiscard]] Tensor<float> noised(float t) const {
    return with_path(path, PathFormulas::exact, [&](const auto& of_kind) {
      return interpolate(of_kind, latents, noise, Tensor<float>(Shape{1}, t));
    });
  }

  /// x (B, C, h, w) with the known tokens among those of `known` (B, C, h, w).
  [[nodiscard]] Tensor<float> kept(const Tensor<float>& x, const Tensor<float>& known) const {
    Tensor<float> out(x.shape());  // (B, C, h, w)
    const index_t channels = x.extent(1), tokens = x.extent(2) * x.extent(3);
    float* target = out.data();
    const float *changed = x.data(), *fixed = known.data(), *share = mask.data();
    parallel_for(x.extent(0) * channels, index_t{8}, [=](index_t row) {
      const float* m = share + row / channels * tokens;
      for (index_t i = 0; i < tokens; ++i) {
        const index_t at = row * tokens + i;
        target[at] = m[i] == 1.0f   ? changed[at]
                     : m[i] == 0.0f ? fixed[at]
                                    : m[i] * changed[at] + (1.0f - m[i]) * fixed[at];
      }
    });
    return out;
  }
};

/// The samples [begin, begin + count) of a batch (B, ...) or (1, ...), which is repeated.
[[nodiscard]] inline Tensor<float> samples_or_repeated(const Tensor<float>& batch, index_t begin,
                                                       index_t count) {
  if (batch.extent(0) > 1) return samples(batch, begin, count);
  Tensor<float> out(batch.shape().with(0, count));  // (count, ...)
  float* target = out.data();
  for (index_t i = 0; i < count; ++i)
    std::copy_n(batch.data(), batch.numel(), target + i * batch.numel());
  return out;
}

/// A callback that restores the known tokens after each step, before `on_step` (which may be empty)
/// sees the state. After the last step they are the latents themselves.
[[nodiscard]] inline Function<bool(const StepInfo&)> restoring(
    const KnownTokens& known, const Function<bool(const StepInfo&)>& on_step) {
  return [&known, &on_step](const StepInfo& info) {
    const bool last = info.step == info.steps;
    const Tensor<float> x =
        known.kept(info.x, last ? known.latents : known.noised(info.t));  // (B, C, h, w)
    info.replace(x);
    if (!on_step) return true;
    return on_step(StepInfo{info.step, info.steps, info.t, x, info.start, info.of_data, info.first,
                            info.next});
  };
}

}  // namespace rae::detail
