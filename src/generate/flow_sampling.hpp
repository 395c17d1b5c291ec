// Guided flow sampling of one batch with any network: the part of Generator that does not depend on
// weights.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/diffusion/adaptive_sampler.hpp"
#include "rae/models/backbone.hpp"
#include "rae/spec/sampling_defaults.hpp"

namespace rae::detail {

/// The network's outputs (k B, C, h, w) for x (B, C, h, w) at one time, with k labels per image: k
/// lists of B labels, concatenated.
using Network =
    Function<Tensor<float>(const Tensor<float>& x, float t, std::span<const std::int64_t> labels)>;

/// The same with the predictions of the base head for internal guidance.
using NetworkWithBase = Function<NetworkOutputs<Tensor<float>>(
    const Tensor<float>& x, float t, std::span<const std::int64_t> labels)>;

/// Fills the noise (B, C, h, w) of a stochastic step; steps are counted from 1.
using StepNoise = Function<void(index_t step, Tensor<float>& noise)>;

/// Settings of the integration from noise to data.
struct FlowSampling {
  std::vector<float> grid;                       ///< descending times, from noise to data
  OdeSolver solver{};                            ///< method of the deterministic sampler
  Prediction prediction = Prediction::velocity;  ///< of the network and its guide
  Cfg guidance{};  ///< where it is active, the network is evaluated with the label and with the
                   ///< null label in one call
  std::int64_t null_label = 0;  ///< label of the null class
  std::optional<InternalGuidance>
      internal_guidance{};  ///< where it is active, the base head is evaluated, too; before
                            ///< `guidance`, if that is used
  double floor = kDataPredictionFloor;  ///< smallest divisor of data prediction
  std::optional<AutoGuidance>
      autoguidance{};  ///< instead of `guidance`: where it is active, the guide is evaluated
  PathKind path = PathKind::linear;             ///< from data to noise
  PathFormulas formulas = PathFormulas::exact;  ///< of the path
  SamplerKind kind = SamplerKind::ode;          ///< deterministic or stochastic
  StepControl control{};                        ///< tolerances of adaptive solvers
  CorrectorControl corrector{};                 ///< tolerances of implicit_adams
  SdeOptions sde{};  ///< of the stochastic sampler, whose `prediction` is the one above

  /// Number of steps that are reported to the callback.
  [[nodiscard]] index_t steps() const noexcept {
    const bool last = kind == SamplerKind::sde && sde.last_step != SdeLastStep::none;
    return static_cast<index_t>(grid.size()) - 1 + (last ? 1 : 0);
  }
};

/// Throws ArgumentError for settings out of range.
void require_flow_sampling(const FlowSampling& settings);

/// Latents (B, C, h, w) from noise of that shape. `guide` is needed for autoguidance, `with_base`
/// for internal guidance, `step_noise` by the stochastic sampler. Throws as `rae::sample` and
/// `rae::sample_sde`.
[[nodiscard]] Tensor<float> sample_flow(const Network& network, const FlowSampling& settings,
                                        Tensor<float> noise, std::span<const std::int64_t> labels,
                                        const Function<bool(const StepInfo&)>& on_step,
                                        const Network& guide = {}, const StepNoise& step_noise = {},
                                        const NetworkWithBase& with_base = {});

}  // namespace rae::detail
