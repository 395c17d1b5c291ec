// Options and reports of sampling, which have the names and defaults of C++.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "python/arrays.hpp"
#include "python/module.hpp"
#include "rae/generate/generator.hpp"

namespace nb = nanobind;

namespace rae::python {
namespace {

template <class G>
void bind_guidance(nb::module_& module, const char* name, const char* text) {
  nb::class_<G>(module, name, text)
      .def(
          "__init__",
          [](G* self, float scale, float t_min, float t_max) {
            new (self) G{.scale = scale, .t_min = t_min, .t_max = t_max};
          },
          nb::arg("scale") = 1.0f, nb::arg("t_min") = 0.0f, nb::arg("t_max") = 1.0f)
      .def_rw("scale", &G::scale)
      .def_rw("t_min", &G::t_min)
      .def_rw("t_max", &G::t_max)
      .def("__repr__", [name = std::string(name)](const G& g) {
        return concat(name, "(scale=", g.scale, ", t_min=", g.t_min, ", t_max=", g.t_max, ")");
      });
}

void bind_internal_guidance(nb::module_& module) {
  using G = InternalGuidance;
  nb::class_<G>(module, "InternalGuidance",
                "Guidance by the network's head on an intermediate layer, for t_min <= t <= t_max.")
      .def(
          "__init__",
          [](G* self, float scale, float t_min, float t_max,
             std::optional<float> unconditional_scale) {
            new (self) G{scale, t_min, t_max, unconditional_scale};
          },
          nb::arg("scale") = 1.0f, nb::arg("t_min") = 0.0f, nb::arg("t_max") = 1.0f,
          nb::arg("unconditional_scale") = nb::none())
      .def_rw("scale", &G::scale)
      .def_rw("t_min", &G::t_min)
      .def_rw("t_max", &G::t_max)
      .def_rw("unconditional_scale", &G::unconditional_scale);
}

void bind_sde(nb::module_& module) {
  nb::class_<SdeOptions>(module, "SdeOptions", "Settings of the stochastic sampler.")
      .def(
          "__init__",
          [](SdeOptions* self, const std::string& solver, const std::string& form, double norm,
             const std::string& last_step, double last_step_size) {
            new (self) SdeOptions{.solver = parse_sde_solver(solver),
                                  .form = parse_diffusion_form(form),
                                  .norm = norm,
                                  .last_step = parse_sde_last_step(last_step),
                                  .last_step_size = last_step_size};
          },
          nb::kw_only(), nb::arg("solver") = "euler", nb::arg("form") = "sigma",
          nb::arg("norm") = 1.0, nb::arg("last_step") = "mean", nb::arg("last_step_size") = 0.04)
      .def_prop_ro("solver", [](const SdeOptions& o) { return std::string(name_of(o.solver)); })
      .def_prop_ro("form", [](const SdeOptions& o) { return std::string(name_of(o.form)); })
      .def_ro("norm", &SdeOptions::norm)
      .def_prop_ro("last_step",
                   [](const SdeOptions& o) { return std::string(name_of(o.last_step)); })
      .def_ro("last_step_size", &SdeOptions::last_step_size);
}

void bind_reports(nb::module_& module) {
  nb::class_<SamplingWork>(module, "SamplingWork", "Evaluations of a network.")
      .def_ro("evaluations", &SamplingWork::evaluations)
      .def_ro("backbones", &SamplingWork::backbones)
      .def_ro("conditionings", &SamplingWork::conditionings);
  nb::class_<SamplingReport>(module, "SamplingReport",
                             "Evaluations of the model and of its guide; see `sample`.")
      .def(nb::init<>())
      .def_ro("model", &SamplingReport::model)
      .def_ro("guide", &SamplingReport::guide);
}

}  // namespace

void bind_sampling(nb::module_& module) {
  bind_guidance<Cfg>(module, "Cfg",
                     "Classifier-free guidance for t_min <= t <= t_max; a scale of 1 is none.");
  bind_guidance<AutoGuidance>(
      module, "AutoGuidance",
      "Guidance by the model's weaker network for t_min <= t <= t_max; a scale of 1 is none.");
  bind_internal_guidance(module);
  bind_sde(module);
  bind_reports(module);
  nb::class_<StepInfo>(module, "StepInfo",
                       "The state of sampling after a step, valid during the callback.")
      .def_ro("step", &StepInfo::step, "Number of finished steps, 1 to `steps`.")
      .def_ro("steps", &StepInfo::steps, "Total number of steps.")
      .def_ro("t", &StepInfo::t, "Flow time that the state has reached, from 1 (noise) to 0.")
      .def_ro("first", &StepInfo::first, "Position of the batch's first picture among all.")
      .def_prop_ro(
          "x", [](const StepInfo& info) { return array_of(info.x); }, nb::rv_policy::move,
          "A copy of the state: float32 (B, C, h, w).", nb::sig("def x(self) -> numpy.ndarray"))
      .def_prop_ro("determines_data", &StepInfo::determines_data,
                   "False where the velocity does not determine the data.")
      .def(
          "replace",
          [](const StepInfo& info, const FloatArray& x) { info.replace(tensor_of(x, "x")); },
          nb::arg("x"), nb::sig("def replace(self, x: numpy.ndarray) -> None"),
          "Continues from another state (B, C, h, w).")
      .def(
          "denoised", [](const StepInfo& info) { return array_of(info.denoised()); },
          "The denoised estimate: float32 (B, C, h, w).",
          nb::sig("def denoised(self) -> numpy.ndarray"));
}

}  // namespace rae::python
