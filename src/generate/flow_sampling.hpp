// One batch of guided flow sampling with any network: the part of Generator that knows no weights.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/diffusion/adaptive_sampler.hpp"
#include "rae/spec/sampling_defaults.hpp"

namespace rae::detail {

/// The network's outputs (k B, C, h, w) for x (B, C, h, w) at one time, with k labels for each
/// image (k B): those of the whole batch concatenated.
using Network =
    Function<Tensor<float>(const Tensor<float>& x, float t, std::span<const std::int64_t> labels)>;

/// Fills the noise (B, C, h, w) of a stochastic step, counted from 1.
using StepNoise = Function<void(index_t step, Tensor<float>& noise)>;

/// How to go from noise to data.
struct FlowSampling {
  std::vector<float> grid;                       ///< times, from noise down
  OdeSolver solver{};                            ///< method of the deterministic sampler
  Prediction prediction = Prediction::velocity;  ///< of the network and its guide
  Cfg guidance{};  ///< where it is active, the network is evaluated with the null label, too, and
                   ///< at once
  std::int64_t null_label = 0;  ///< stands for no label
  std::optional<AutoGuidance>
      autoguidance{};  ///< instead of `guidance`: where it is active, the guide is evaluated
  PathKind path = PathKind::linear;             ///< from data to noise
  PathFormulas formulas = PathFormulas::exact;  ///< of the path
  SamplerKind kind = SamplerKind::ode;          ///< deterministic or stochastic
  StepControl control{};                        ///< of adaptive solvers
  CorrectorControl corrector{};                 ///< of implicit_adams
  SdeOptions sde{};  ///< of the stochastic sampler, whose `prediction` is the one above

  /// Steps that the callback will see.
  [[nodiscard]] index_t steps() const noexcept {
    const bool last = kind == SamplerKind::sde && sde.last_step != SdeLastStep::none;
    return static_cast<index_t>(grid.size()) - 1 + (last ? 1 : 0);
  }
};

/// Throws ArgumentError for numbers out of range, before anything is evaluated.
void require_flow_sampling(const FlowSampling& how);

/// Latents (B, C, h, w) from noise of that shape. `guide` is needed for autoguidance, `step_noise`
/// by the stochastic sampler. Throws as `rae::sample` and `rae::sample_sde`.
[[nodiscard]] Tensor<float> sample_flow(const Network& network, const FlowSampling& how,
                                        Tensor<float> noise, std::span<const std::int64_t> labels,
                                        const Function<bool(const StepInfo&)>& on_step,
                                        const Network& guide = {},
                                        const StepNoise& step_noise = {});

}  // namespace rae::detail
