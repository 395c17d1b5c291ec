#include "rae/spec/sampling_defaults.hpp"

#include <algorithm>

#include "io/config_values.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "rae/spec/limits.hpp"

namespace rae {
namespace {

using detail::given;
using detail::named;

constexpr double kDefaultEps = 1e-3;

template <class G>
ConfigNode guidance_to_config(const G& guidance) {
  return ConfigNode::map({{"scale", static_cast<double>(guidance.scale)},
                          {"t_min", static_cast<double>(guidance.t_min)},
                          {"t_max", static_cast<double>(guidance.t_max)}});
}

template <class G>
G parse_guidance(const ConfigNode& node) {
  require_keys_known(node, {"scale", "t_min", "t_max"});
  G out;
  out.scale = node.get_or("scale", out.scale);
  out.t_min = node.get_or("t_min", out.t_min);
  out.t_max = node.get_or("t_max", out.t_max);
  return out;
}

template <class G>
void require_guidance(const ConfigPlace& place, const G& guidance) {
  require_number(place / "scale", static_cast<double>(guidance.scale), 0.0, 1000.0);
  require_number(place / "t_min", static_cast<double>(guidance.t_min), 0.0, 1.0);
  require_number(place / "t_max", static_cast<double>(guidance.t_max), 0.0, 1.0);
  if (guidance.t_min > guidance.t_max)
    raise<ConfigError>(place.to_string(), ": t_min is above t_max");
}

ConfigNode internal_to_config(const InternalGuidance& guidance) {
  ConfigNode out = guidance_to_config(guidance);
  if (guidance.unconditional_scale)
    out.set("unconditional_scale", static_cast<double>(*guidance.unconditional_scale));
  return out;
}

InternalGuidance parse_internal(const ConfigNode& node) {
  require_keys_known(node, {"scale", "t_min", "t_max", "unconditional_scale"});
  InternalGuidance out;
  out.scale = node.get_or("scale", out.scale);
  out.t_min = node.get_or("t_min", out.t_min);
  out.t_max = node.get_or("t_max", out.t_max);
  if (const ConfigNode* scale = given(node, "unconditional_scale"))
    out.unconditional_scale = static_cast<float>(scale->as_number());
  return out;
}

SdeOptions parse_sde(const ConfigNode& node) {
  require_keys_known(node, {"solver", "form", "norm", "last_step", "last_step_size"});
  SdeOptions out;
  out.solver = named(node, "solver", name_of(out.solver), parse_sde_solver);
  out.form = named(node, "form", name_of(out.form), parse_diffusion_form);
  out.norm = node.get_or("norm", out.norm);
  out.last_step = named(node, "last_step", name_of(out.last_step), parse_sde_last_step);
  out.last_step_size = node.get_or("last_step_size", out.last_step_size);
  return out;
}

void require_sde_options(const ConfigPlace& place, const SdeOptions& sde) {
  require_number(place / "norm", sde.norm, 0.0, 1e6);
  require_number(place / "last_step_size", sde.last_step_size, 0.0, 0.999);
  if (sde.last_step != SdeLastStep::none && sde.last_step_size == 0.0)
    raise<ConfigError>(place.to_string(), ": last_step '", name_of(sde.last_step),
                       "' needs a last_step_size above 0");
}

}  // namespace

SamplerKind parse_sampler_kind(std::string_view name) {
  if (name == "ode" || name == "ODE") return SamplerKind::ode;
  if (name == "sde" || name == "SDE") return SamplerKind::sde;
  raise<ArgumentError>("unknown sampler '", name, "': expected ode or sde");
}

TimeGridKind parse_time_grid_kind(std::string_view name) {
  for (const TimeGridKind kind : {TimeGridKind::full, TimeGridKind::official})
    if (name == name_of(kind)) return kind;
  raise<ArgumentError>("unknown time grid '", name, "': expected full or official");
}

void validate(const SamplingDefaults& s, const ConfigPlace& place) {
  require_size(place / "steps", s.steps, 1, kMaxSamplingSteps);
  require_number(place / "atol", s.atol, 0.0, 1.0);
  require_number(place / "rtol", s.rtol, 0.0, 1.0);
  if (s.atol == 0.0 && s.rtol == 0.0)
    raise<ConfigError>(place.to_string(), ": atol and rtol are both 0");
  require_sde_options(place / "sde", s.sde);
  if (s.sample_eps) require_number(place / "sample_eps", *s.sample_eps, 0.0, 0.499);
  require_guidance(place / "guidance", s.guidance);
  if (s.autoguidance) require_guidance(place / "autoguidance", *s.autoguidance);
  if (s.internal_guidance) {
    const ConfigPlace own = place / "internal_guidance";
    require_guidance(own, *s.internal_guidance);
    require_number(own / "unconditional_scale",
                   static_cast<double>(s.internal_guidance->without_label()), 0.0, 1000.0);
  }
}

ConfigNode to_config(const SamplingDefaults& s) {
  ConfigNode out =
      ConfigNode::map({{"steps", s.steps},
                       {"kind", name_of(s.kind)},
                       {"grid", name_of(s.grid)},
                       {"solver", name_of(s.solver)},
                       {"atol", s.atol},
                       {"rtol", s.rtol},
                       {"sde", ConfigNode::map({{"solver", name_of(s.sde.solver)},
                                                {"form", name_of(s.sde.form)},
                                                {"norm", s.sde.norm},
                                                {"last_step", name_of(s.sde.last_step)},
                                                {"last_step_size", s.sde.last_step_size}})},
                       {"guidance", guidance_to_config(s.guidance)}});
  if (s.sample_eps) out.set("sample_eps", *s.sample_eps);
  if (s.autoguidance) out.set("autoguidance", guidance_to_config(*s.autoguidance));
  if (s.internal_guidance) out.set("internal_guidance", internal_to_config(*s.internal_guidance));
  return out;
}

SamplingDefaults parse_sampling_defaults(const ConfigNode& node) {
  require_keys_known(node, {"steps", "kind", "grid", "solver", "atol", "rtol", "sde", "sample_eps",
                            "guidance", "autoguidance", "internal_guidance"});
  SamplingDefaults out;
  if (node.contains("steps")) out.steps = node.get<index_t>("steps");
  out.kind = named(node, "kind", name_of(out.kind), parse_sampler_kind);
  out.grid = named(node, "grid", name_of(out.grid), parse_time_grid_kind);
  out.solver = named(node, "solver", name_of(out.solver), parse_ode_solver);
  out.atol = node.get_or("atol", out.atol);
  out.rtol = node.get_or("rtol", out.rtol);
  if (const ConfigNode* sde = given(node, "sde")) out.sde = parse_sde(*sde);
  if (const ConfigNode* eps = given(node, "sample_eps")) out.sample_eps = eps->as_number();
  if (const ConfigNode* guidance = given(node, "guidance"))
    out.guidance = parse_guidance<Cfg>(*guidance);
  if (const ConfigNode* guidance = given(node, "autoguidance"))
    out.autoguidance = parse_guidance<AutoGuidance>(*guidance);
  if (const ConfigNode* guidance = given(node, "internal_guidance"))
    out.internal_guidance = parse_internal(*guidance);
  validate(out, node.place());
  return out;
}

std::vector<float> sampling_time_grid(const SamplingDefaults& s, PathKind path,
                                      Prediction prediction, double time_shift,
                                      PathFormulas formulas) {
  if (s.steps < 1 || s.steps > kMaxSamplingSteps)
    raise<ArgumentError>("sampling: expected 1 to ", kMaxSamplingSteps, " steps, got ", s.steps);
  if (s.sample_eps && !(*s.sample_eps >= 0.0 && *s.sample_eps < 0.5))
    raise<ArgumentError>("sampling: expected sample_eps in [0, 0.5), got ", *s.sample_eps);
  const bool sde = s.kind == SamplerKind::sde, official = s.grid == TimeGridKind::official;
  const bool converted = prediction == Prediction::noise || prediction == Prediction::score;
  const bool last_step = sde && s.sde.last_step != SdeLastStep::none;
  const double eps = s.sample_eps.value_or(converted || path == PathKind::vp ? kDefaultEps : 0.0);
  // At t = 1 the velocity does not follow from noise or score, and the form sbdm is infinite,
  // except with the official formulas of VP.
  const bool singular = (converted || (sde && s.sde.form == DiffusionForm::sbdm)) &&
                        !(path == PathKind::vp && formulas == PathFormulas::official);
  const double first = singular ? std::max(eps, s.sample_eps ? 0.0 : kDefaultEps) : 0.0;
  double last = 1.0;
  if (last_step || (official && sde && s.sde.last_step_size > 0.0))
    last = 1.0 - s.sde.last_step_size;
  else if (official)
    last = !sde && !converted && path != PathKind::vp ? kOfficialEnd : 1.0 - eps;
  // On the full grid, the last step of the stochastic sampler is one of `steps`.
  const index_t points = official || last_step ? s.steps : s.steps + 1;
  if (points < 2)
    raise<ArgumentError>("sampling: expected at least 2 steps, got ", s.steps,
                         official ? " (the official grid counts points)" : "");
  return official_time_grid(points, time_shift, first, last);
}

}  // namespace rae
