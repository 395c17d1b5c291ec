// One batch of guided flow sampling with any network: the part of Generator that knows no weights.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "rae/diffusion/guidance.hpp"
#include "rae/diffusion/prediction.hpp"
#include "rae/diffusion/sampler.hpp"

namespace rae::detail {

/// The network's output (B, C, h, w) for x (B, C, h, w), one time, labels (B).
using Network = std::function<Tensor<float>(const Tensor<float>& x, float t, std::span<const std::int64_t> labels)>;

/// How to go from noise to data on the linear path.
struct FlowSampling {
  std::vector<float> grid;                       ///< times, from 1 down
  Solver solver = Solver::euler;                 ///< method of each step
  Prediction prediction = Prediction::velocity;  ///< of the network
  Cfg guidance{};                                ///< where it is active, the network is evaluated a second time with the null label
  std::int64_t null_label = 0;                   ///< stands for no label
};

/// Latents (B, C, h, w) from noise of that shape. Throws as `rae::sample`.
[[nodiscard]] Tensor<float> sample_flow(const Network& network, const FlowSampling& how, Tensor<float> noise,
                                        std::span<const std::int64_t> labels, const std::function<bool(const StepInfo&)>& on_step);

}  // namespace rae::detail
