// `rae evaluate`: measures a model against real data.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "rae/train/evaluation.hpp"
#include "tool/command.hpp"
#include "tool/interrupt.hpp"
#include "tool/model.hpp"
#include "tool/output.hpp"
#include "tool/progress.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

struct EvaluateCommand {
  std::string model = "builtin", data, out;
  std::optional<float> cfg;
  bool no_probes = false;
  EvaluationOptions evaluation;
};

void run(EvaluateCommand& command) {
  require_writable_folder(command.out);
  EvaluationOptions& options = command.evaluation;
  const Bundle bundle = Bundle::load(model_path(command.model));
  if (command.cfg) {
    options.guidance = bundle.config.sampling.guidance;
    options.guidance->scale = *command.cfg;
    require_guidance(*options.guidance);
  }
  options.probes = !command.no_probes;
  const DatasetOptions form{.size = bundle.config.image_size, .channels = static_cast<int>(bundle.config.encoder.channels)};
  const auto train = open_dataset(command.data, Split::train, form), test = open_dataset(command.data, Split::test, form);
  UnfinishedOutput unfinished;
  unfinished.will_make(command.out);
  std::filesystem::create_directories(command.out);
  options.folder = command.out;

  ProgressBar bar("");
  std::string part;
  options.on_progress = [&](const EvaluationProgress& progress) {
    if (progress.part != part) bar.begin(part = progress.part);
    bar.update(static_cast<double>(progress.done), static_cast<double>(progress.total), concat(progress.done, "/", progress.total));
    return !interrupted();
  };
  const EvaluationReport report = evaluate(bundle, train, test, options);
  bar.clear();
  unfinished.finish();
  std::printf("%s\n%s: the report, as text and JSON, and its pictures\n", printable(to_text(report), true).c_str(),
              printable(command.out).c_str());
}

}  // namespace

void add_evaluate(CLI::App& app) {
  const auto options = std::make_shared<EvaluateCommand>();
  CLI::App* command = app.add_subcommand("evaluate", "Measure a model against real data");
  EvaluationOptions& evaluation = options->evaluation;
  add_model_option(*command, options->model);
  command->add_option("-d,--data", options->data, "folder of a data set with a training and a test part")->type_name("DIR")->required();
  command->add_option("-o,--out", options->out, "folder for report and pictures; made when missing")->type_name("DIR")->required();
  command->add_option("--samples", evaluation.samples, "pictures drawn without guidance; 0: none")->type_name("N")->capture_default_str();
  command->add_option("--guided-samples", evaluation.guided_samples, "pictures drawn with guidance; 0: none")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--cfg", options->cfg, "scale of that guidance (default: the model's, or 1.5 where that is none)")
      ->type_name("SCALE");
  command->add_option("-s,--steps", evaluation.steps, "steps from noise to picture; 0: the model's")->type_name("N")->capture_default_str();
  command->add_option("--seed", evaluation.seed, "of the samples' noise")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_flag("--no-probes", options->no_probes, "leave out the k-NN and linear probes of the latents");
  add_threads_option(*command);
  command->footer(
      "A classifier is trained on the real training pictures (the folder keeps it for the next\n"
      "time). It tells how many samples show the class that was asked for, and gives the\n"
      "features of the Frechet distance to the real test pictures. Also: nearest training\n"
      "pictures of samples, reconstruction of the test pictures, probes of the latents.\n"
      "\n"
      "Examples:\n"
      "  rae evaluate --data /usr/share/datasets/fashion-mnist --out evaluation\n"
      "  rae evaluate -m run/model.safetensors -d pictures -o evaluation --samples 1000");
  command->callback([options] { run(*options); });
}

}  // namespace rae::tool
