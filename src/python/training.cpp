// rae.train and rae.evaluate.
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <filesystem>

#include "python/arrays.hpp"
#include "python/module.hpp"
#include "python/options.hpp"
#include "rae/formats/official/config.hpp"
#include "rae/io/dataset.hpp"
#include "rae/load/model_search.hpp"
#include "rae/train/evaluation.hpp"
#include "rae/train/official_recipe.hpp"
#include "rae/train/recipe.hpp"

namespace rae::python {
namespace {

/// A recipe of rae, or the one that follows from an official configuration of stage 1.
Recipe recipe_of(const ConfigNode& source, const std::string& data, const std::string& models) {
  const auto pictures = [&] {
    return open_dataset(data, Split::train, {.size = 256, .channels = 3});
  };
  if (source.contains("stage_1") || source.contains("stage_2"))
    return official_recipe(parse_official_config(source), pictures()->size(),
                           {.models_dir = models});
  std::optional<index_t> classes;
  if (needs_classes_of_data(source))
    classes = static_cast<index_t>(pictures()->class_names().size());
  return parse_recipe(source, classes);
}

/// Calls the function of Python with each report, which it may keep.
template <class Progress>
Function<bool(const Progress&)> progress_callback(nb::handle function, Interrupts& interrupts) {
  return [held = nb::borrow(function), &interrupts](const Progress& progress) {
    return interrupts.ask([&] { return held(nb::cast(progress)); });
  };
}

std::string train(nb::handle recipe, nb::handle data, nb::handle out, const nb::kwargs& given) {
  Interrupts interrupts;
  ConfigNode source = config_of(recipe);
  RecipeRun run;
  run.data = path_of(data);
  run.out = path_of(out);
  std::string models;
  std::optional<DType> dtype;
  Keywords keywords("train", given);
  keywords.take("stages", [&](nb::handle names) {
    for (const auto& name : nb::cast<std::vector<std::string>>(names))
      run.stages.push_back(parse_training_stage(name));
  });
  keywords.take("overrides", [&](nb::handle values) {
    for (const auto& assignment : nb::cast<std::vector<std::string>>(values))
      source.apply_override(assignment);
  });
  keywords.take("dtype",
                [&](nb::handle name) { dtype = parse_float_dtype(nb::cast<std::string>(name)); });
  keywords.take("init", [&](nb::handle path) { run.init = path_of(path); });
  keywords.take("models", [&](nb::handle path) { models = path_of(path); });
  keywords.take("accept_data_change", run.accept_data_change);
  keywords.take("skip_broken", run.skip_broken);
  keywords.take("check_data", run.check_data);
  keywords.take("samples", run.samples);
  keywords.take("tensorboard", run.tensorboard);
  keywords.take("on_progress", [&](nb::handle function) {
    run.on_progress = progress_callback<TrainingProgress>(function, interrupts);
  });
  keywords.take("on_event", [&](nb::handle function) {
    run.on_event = [held = nb::borrow(function), &interrupts](const std::string& text) {
      (void)interrupts.ask([&] { return held(text); });
    };
  });
  keywords.finish();
  run.should_stop = [&] { return interrupts.should_stop(); };
  run.on_check = [&](index_t, index_t) { return !interrupts.should_stop(); };
  // Without a CancellationScope: a training stops after a step, with a checkpoint.
  call_unlocked(interrupts, [&] {
    Recipe parsed = recipe_of(source, run.data, models);
    if (dtype) set_training_dtype(parsed, *dtype);
    std::filesystem::create_directories(run.out);
    run_recipe(parsed, run);
  });
  return (std::filesystem::path(run.out) / "model.safetensors").string();
}

nb::object evaluate_model(nb::handle model, nb::handle data, const nb::kwargs& given) {
  Interrupts interrupts;
  const std::string path = path_of(model), folder = path_of(data);
  EvaluationOptions options;
  Keywords keywords("evaluate", given);
  keywords.take("out", [&](nb::handle p) { options.folder = path_of(p); });
  keywords.take("samples", options.samples);
  keywords.take("guided_samples", options.guided_samples);
  keywords.take("guidance", [&](nb::handle value) {
    options.guidance =
        nb::isinstance<Cfg>(value) ? nb::cast<Cfg>(value) : Cfg{.scale = nb::cast<float>(value)};
  });
  keywords.take("steps", options.steps);
  keywords.take("seed", options.seed);
  keywords.take("reconstruction", options.reconstruction);
  keywords.take("probes", options.probes);
  keywords.take("probe_pictures", options.probe_pictures);
  keywords.take("dtype", [&](nb::handle name) {
    options.dtype = parse_float_dtype(nb::cast<std::string>(name));
  });
  keywords.take("classifier_file", [&](nb::handle p) { options.classifier_file = path_of(p); });
  keywords.take("on_progress", [&](nb::handle function) {
    options.on_progress = progress_callback<EvaluationProgress>(function, interrupts);
  });
  keywords.finish();
  const EvaluationReport report = call_interruptible(interrupts, [&] {
    const Bundle bundle = Bundle::load(path);
    const DatasetOptions form{.size = bundle.config.image_size,
                              .width = bundle.config.image_width,
                              .channels = static_cast<int>(bundle.config.encoder.channels())};
    const auto pictures = open_dataset(folder, Split::train, form),
               test = open_dataset(folder, Split::test, form);
    options.classifier = classifier_options_for(*pictures);
    if (!options.folder.empty()) std::filesystem::create_directories(options.folder);
    return evaluate(bundle, pictures, test, options);
  });
  return object_of(to_config(report));
}

}  // namespace

void bind_training(nb::module_& module) {
  nb::class_<TrainingProgress>(module, "TrainingProgress", "How far a stage of a training is.")
      .def_ro("stage", &TrainingProgress::stage, "\"encoder\", \"decoder\" or \"dit\".")
      .def_ro("step", &TrainingProgress::step, "Finished steps.")
      .def_ro("steps", &TrainingProgress::steps, "Steps in all.")
      .def_ro("loss", &TrainingProgress::loss, "Mean since the last report.")
      .def_ro("lr", &TrainingProgress::lr, "Learning rate of the step.")
      .def_ro("grad_norm", &TrainingProgress::grad_norm, "Before clipping.")
      .def_ro("images_per_second", &TrainingProgress::images_per_second)
      .def_ro("seconds", &TrainingProgress::seconds, "Since the run began or was continued.")
      .def_ro("eta_seconds", &TrainingProgress::eta_seconds, "Expected time to the end.")
      .def_ro("measurements", &TrainingProgress::measurements);
  nb::class_<EvaluationProgress>(module, "EvaluationProgress", "How far an evaluation is.")
      .def_ro("part", &EvaluationProgress::part, "\"classifier\", \"samples\", ...")
      .def_ro("done", &EvaluationProgress::done, "Finished steps or pictures of this part.")
      .def_ro("total", &EvaluationProgress::total);
  module.def(
      "train", &train, nb::arg("recipe"), nb::arg("data"), nb::arg("out"), nb::arg("options"),
      nb::sig("def train(recipe: dict | str | os.PathLike, data: str | os.PathLike, out: str | "
              "os.PathLike, *, stages: list[str] | None = None, overrides: list[str] | None = "
              "None, dtype: str | None = None, init: str | os.PathLike | None = None, models: str "
              "| os.PathLike | None = None, accept_data_change: bool = False, skip_broken: bool = "
              "False, check_data: bool = False, samples: int = 80, tensorboard: bool = False, "
              "on_progress: collections.abc.Callable[[TrainingProgress], bool | None] | None = "
              "None, on_event: collections.abc.Callable[[str], object] | None = None) -> str"),
      "Trains all stages of a recipe, a dict or a file (also an official configuration of stage "
      "1), and returns the path of the model. The same call continues a training that was stopped "
      "by Ctrl-C, by `on_progress` returning False (Cancelled), or by an exception.");
  module.def(
      "evaluate", &evaluate_model, nb::arg("model"), nb::arg("data"), nb::arg("options"),
      nb::sig("def evaluate(model: str | os.PathLike, data: str | os.PathLike, *, out: str | "
              "os.PathLike | None = None, samples: int = 10000, guided_samples: int = 1000, "
              "guidance: float | Cfg | None = None, steps: int = 0, seed: int = 0, "
              "reconstruction: bool = True, probes: bool = True, probe_pictures: int = 0, dtype: "
              "str = 'f32', classifier_file: str | os.PathLike | None = None, on_progress: "
              "collections.abc.Callable[[EvaluationProgress], bool | None] | None = None) -> dict"),
      "Measures a bundle against a data set, as `rae evaluate` does; pictures and reports are "
      "written to `out`.");
}

}  // namespace rae::python
