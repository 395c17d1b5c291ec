// The defaults of sampling that are stored with a model: sampler, time grid, guidance. In official
// configurations: `sampler` and `guidance`.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "rae/diffusion/guidance.hpp"
#include "rae/diffusion/ode_solver.hpp"
#include "rae/diffusion/path.hpp"
#include "rae/diffusion/prediction.hpp"
#include "rae/diffusion/sde_sampler.hpp"
#include "rae/io/config.hpp"

namespace rae {

/// Largest number of sampling steps.
inline constexpr index_t kMaxSamplingSteps = 100000;

/// The deterministic equation of the flow (ODE), or the stochastic one (SDE) with the same
/// distributions at all times.
enum class SamplerKind { ode, sde };

/// Lower-case name.
constexpr std::string_view name_of(SamplerKind kind) noexcept {
  return kind == SamplerKind::sde ? "sde" : "ode";
}
/// Inverse of `name_of`; the official "ODE" and "SDE" are accepted, too. Throws ArgumentError.
[[nodiscard]] SamplerKind parse_sampler_kind(std::string_view name);

/// The meaning of `steps`. `full`: the number of steps, the last of which ends at t = 0.
/// `official`: the number of points of the official samplers, so that there is one step fewer, and
/// the last point is a little before t = 0 (see `official_time_grid`); the last step of a
/// stochastic sampler comes in addition.
enum class TimeGridKind { full, official };

/// Lower-case name.
constexpr std::string_view name_of(TimeGridKind kind) noexcept {
  return kind == TimeGridKind::official ? "official" : "full";
}
/// Inverse of `name_of`. Throws ArgumentError.
[[nodiscard]] TimeGridKind parse_time_grid_kind(std::string_view name);

/// Defaults of sampling.
struct SamplingDefaults {
  index_t steps = 50;                      ///< 1 to 100000; see `grid`
  SamplerKind kind = SamplerKind::ode;     ///< deterministic or stochastic
  TimeGridKind grid = TimeGridKind::full;  ///< the times of the steps
  OdeSolver solver{};                      ///< method of the deterministic sampler
  double atol = 1e-6;                      ///< of adaptive solvers, see `StepControl`
  double rtol = 1e-3;                      ///< of adaptive solvers, see `StepControl`
  SdeOptions sde{};  ///< of the stochastic sampler; `last_step_from_grid` follows from `grid`
  std::optional<double> sample_eps{};  ///< distance from ends of the path without a velocity, in
                                       ///< [0, 0.5); absent: 0.001 if needed
  Cfg guidance{};                      ///< classifier-free guidance; scale 1 is none
  std::optional<AutoGuidance>
      autoguidance{};  ///< guidance by the weaker model `guide`; absent or scale 1 is none
  std::optional<InternalGuidance>
      internal_guidance{};  ///< guidance by the network's base head; absent or scale 1 is none
};

/// Throws ConfigError, naming the place below `place`, for values out of range.
void validate(const SamplingDefaults& sampling, const ConfigPlace& place);

/// The defaults as a map.
[[nodiscard]] ConfigNode to_config(const SamplingDefaults& sampling);
/// The reverse of `to_config`; absent keys have the defaults of the structure. Throws ConfigError
/// with the place in the file for unknown keys and values of another type, and as `validate`.
[[nodiscard]] SamplingDefaults parse_sampling_defaults(const ConfigNode& node);

/// Times of the steps, from noise to data, for a model of this path, prediction and time shift.
/// With the official grid the linspace before the shift is that of the official `check_interval`.
/// Throws ArgumentError for steps or a shift out of range.
[[nodiscard]] std::vector<float> sampling_time_grid(const SamplingDefaults& sampling, PathKind path,
                                                    Prediction prediction, double time_shift,
                                                    PathFormulas formulas = PathFormulas::exact);

}  // namespace rae
