#include "python/options.hpp"

#include <nanobind/stl/string.h>

#include <algorithm>

#include "python/arrays.hpp"
#include "rae/formats/official/open.hpp"
#include "rae/generate/preset.hpp"
#include "rae/spec/weight_types.hpp"

namespace rae::python {
namespace {

nb::module_ json() { return nb::module_::import_("json"); }

/// Calls the function of Python with each StepInfo, which it may keep.
Function<bool(const StepInfo&)> step_callback(nb::handle function, Interrupts& interrupts) {
  nb::object held = nb::borrow(function);
  return [held, &interrupts](const StepInfo& info) {
    return interrupts.ask([&] {
      const nb::object step = nb::cast(&info, nb::rv_policy::reference);
      return held(step);
    });
  };
}

/// A number is the scale of classifier-free guidance everywhere.
Cfg guidance_of(nb::handle value) {
  if (nb::isinstance<nb::float_>(value) || nb::isinstance<nb::int_>(value))
    return {.scale = nb::cast<float>(value)};
  return nb::cast<Cfg>(value);
}

AutoGuidance autoguidance_of(nb::handle value) {
  if (nb::isinstance<nb::float_>(value) || nb::isinstance<nb::int_>(value))
    return {.scale = nb::cast<float>(value)};
  return nb::cast<AutoGuidance>(value);
}

InternalGuidance internal_guidance_of(nb::handle value) {
  if (nb::isinstance<nb::float_>(value) || nb::isinstance<nb::int_>(value))
    return {.scale = nb::cast<float>(value)};
  return nb::cast<InternalGuidance>(value);
}

std::int64_t label_of(nb::handle given, const Generator& generator) {
  if (nb::isinstance<nb::str>(given)) return generator.label_of(nb::cast<std::string>(given));
  const auto number = nb::steal(PyNumber_Index(given.ptr()));
  if (!number.is_valid()) {
    PyErr_Clear();
    raise<ArgumentError>("labels: expected the number or the name of a class, got ",
                         std::string(nb::repr(given).c_str()));
  }
  return nb::cast<std::int64_t>(number);
}

}  // namespace

void Keywords::finish() const {
  for (const auto& [key, value] : given_) {
    const auto name = nb::cast<std::string>(key);
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    std::string all;
    for (const std::string& known : known_) all += (all.empty() ? "" : ", ") + known;
    raise<ArgumentError>(function_, ": unknown option '", name, "'; known are ", all);
  }
}

LoadOptions load_options(const nb::kwargs& given) {
  LoadOptions out;
  Keywords keywords("load", given);
  keywords.take("dtype", [&](nb::handle value) {
    const auto name = nb::cast<std::string>(value);
    out.auto_dtype = name == "auto";
    if (!out.auto_dtype) out.dtype = parse_weight_type(name);
  });
  keywords.take("keep_loaded", out.keep_loaded);
  keywords.take("available_memory", out.available_memory);
  keywords.finish();
  return out;
}

ModelFiles open_model(const std::string& path, const std::string& models) {
  if (path.ends_with(".yaml") || path.ends_with(".yml"))
    return open_official(path, {.models_dir = models});
  if (!models.empty())
    raise<ArgumentError>("models: is for the files of an official configuration (.yaml), got '",
                         path, "'");
  return ModelFiles::open(path);
}

std::vector<std::int64_t> labels_of(nb::handle given, const Generator& generator) {
  if (nb::isinstance<nb::str>(given) || !nb::hasattr(given, "__iter__"))
    return {label_of(given, generator)};
  std::vector<std::int64_t> out;
  for (const nb::handle label : nb::iter(given)) out.push_back(label_of(label, generator));
  return out;
}

GenerateOptions generate_options(nb::handle labels, const nb::kwargs& given,
                                 const Generator& generator, Interrupts& interrupts) {
  GenerateOptions out;
  out.labels = labels_of(labels, generator);
  Keywords keywords("sample", given);
  const auto name = [](nb::handle value) { return nb::cast<std::string>(value); };
  keywords.take("seed", out.seed);
  keywords.take("first_index", out.first_index);
  keywords.take("steps", out.steps);
  keywords.take("kind", [&](nb::handle v) { out.kind = parse_sampler_kind(name(v)); });
  keywords.take("grid", [&](nb::handle v) { out.grid = parse_time_grid_kind(name(v)); });
  keywords.take("solver", [&](nb::handle v) { out.solver = parse_ode_solver(name(v)); });
  keywords.take("atol", [&](nb::handle v) { out.atol = nb::cast<double>(v); });
  keywords.take("rtol", [&](nb::handle v) { out.rtol = nb::cast<double>(v); });
  keywords.take("sde", [&](nb::handle v) { out.sde = nb::cast<SdeOptions>(v); });
  keywords.take("guidance", [&](nb::handle v) { out.guidance = guidance_of(v); });
  keywords.take("autoguidance", [&](nb::handle v) { out.autoguidance = autoguidance_of(v); });
  keywords.take("internal_guidance",
                [&](nb::handle v) { out.internal_guidance = internal_guidance_of(v); });
  keywords.take("rng", [&](nb::handle v) { out.rng = parse_rng(name(v)); });
  keywords.take("batch_size", out.batch_size);
  keywords.take("noise",
                [&](nb::handle v) { out.noise = tensor_of(nb::cast<FloatArray>(v), "noise"); });
  keywords.take("init",
                [&](nb::handle v) { out.init = tensor_of(nb::cast<FloatArray>(v), "init"); });
  keywords.take("strength", out.strength);
  keywords.take("mask",
                [&](nb::handle v) { out.mask = tensor_of(nb::cast<FloatArray>(v), "mask"); });
  keywords.take("reuse_error", out.reuse_error);
  keywords.take("report", [&](nb::handle v) { out.report = &nb::cast<SamplingReport&>(v); });
  keywords.take("on_step", [&](nb::handle v) { out.on_step = step_callback(v, interrupts); });
  keywords.take("preset", [&](nb::handle v) {
    apply_preset(parse_preset(name(v)), generator.config(), out);
  });
  keywords.finish();
  return out;
}

ConfigNode config_of(nb::handle object) {
  if (!nb::isinstance<nb::dict>(object)) return ConfigNode::load(path_of(object));
  const nb::object text = json().attr("dumps")(object, nb::arg("allow_nan") = false);
  return ConfigNode::parse_json(nb::cast<std::string>(text), "recipe");
}

nb::object object_of(const ConfigNode& node) { return json().attr("loads")(node.to_json()); }

}  // namespace rae::python
