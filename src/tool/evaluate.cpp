// `rae evaluate`: measures a model against real data, or one set of pictures against another.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "rae/train/evaluation.hpp"
#include "tool/command.hpp"
#include "tool/compare.hpp"
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
  std::optional<DType> dtype;
  bool no_probes = false;
  EvaluationOptions evaluation;
  std::vector<std::string> metrics;
  Comparison comparison;
};

/// Two sets of pictures.
void run_comparison(const CLI::App& app, EvaluateCommand& command) {
  Comparison& comparison = command.comparison;
  if (comparison.reference.empty())
    throw UsageError(concat("expected two sets of pictures, A and B, got only '",
                            comparison.pictures, "'; a model is measured by --data"));
  for (const char* option : {"--model", "--data", "--samples", "--guided-samples", "--cfg",
                             "--steps", "--seed", "--no-probes", "--dtype", "--reuse-error"})
    if (app.get_option(option)->count() > 0)
      throw UsageError(concat(option, ": measures a model, but two sets of pictures are given"));
  for (const auto& words : command.metrics)
    for (auto& name : split_list(words)) comparison.metrics.push_back(name);
  if (!command.out.empty() && !has_extension(command.out, ".json"))
    throw UsageError("--out: expected a name that ends in .json");
  comparison.out = command.out;
  compare(comparison);
}

void run(const CLI::App& app, EvaluateCommand& command) {
  if (!command.comparison.pictures.empty()) return run_comparison(app, command);
  for (const char* option :
       {"--paired", "--features", "--models", "--inception-weights", "--metrics", "--neighbours"})
    if (app.get_option(option)->count() > 0)
      throw UsageError(concat(option, ": compares two sets of pictures, but none are given"));
  if (command.data.empty() || command.out.empty())
    throw UsageError("give --data DIR and --out DIR to measure a model, or two sets of pictures");
  require_writable_folder(command.out);
  EvaluationOptions& options = command.evaluation;
  const Bundle bundle = Bundle::load(model_path(command.model));
  if (command.cfg) {
    options.guidance = bundle.config.sampling.guidance;
    options.guidance->scale = *command.cfg;
    require_guidance(*options.guidance);
  }
  options.probes = !command.no_probes;
  options.dtype = command.dtype.value_or(DType::f32);
  const DatasetOptions form{.size = bundle.config.image_size,
                            .width = bundle.config.image_width,
                            .channels = static_cast<int>(bundle.config.encoder.channels())};
  const auto train = open_dataset(command.data, Split::train, form),
             test = open_dataset(command.data, Split::test, form);
  UnfinishedOutput unfinished;
  unfinished.will_make(command.out);
  std::filesystem::create_directories(command.out);
  options.folder = command.out;

  ProgressBar bar("");
  std::string part;
  options.on_progress = [&](const EvaluationProgress& progress) {
    if (progress.part != part) bar.begin(part = progress.part);
    bar.update(static_cast<double>(progress.done), static_cast<double>(progress.total),
               concat(progress.done, "/", progress.total));
    return !interrupted();
  };
  const EvaluationReport report = evaluate(bundle, train, test, options);
  bar.clear();
  unfinished.finish();
  std::printf("%s\n%s: the report, as text and JSON, and its pictures\n",
              printable(to_text(report), true).c_str(), printable(command.out).c_str());
}

}  // namespace

void add_evaluate(CLI::App& app) {
  const auto options = std::make_shared<EvaluateCommand>();
  CLI::App* command =
      app.add_subcommand("evaluate", "Measure a model or a set of pictures against real ones");
  EvaluationOptions& evaluation = options->evaluation;
  Comparison& comparison = options->comparison;
  command
      ->add_option("A", comparison.pictures,
                   "two sets: the judged pictures; an .npz file or a folder")
      ->type_name("");
  command
      ->add_option("B", comparison.reference, "two sets: the real ones, which A is compared with")
      ->type_name("");
  add_model_option(*command, options->model);
  add_dtype_option(*command, options->dtype);
  command
      ->add_option("-d,--data", options->data,
                   "measure a model: folder of a data set with a training and a test part")
      ->type_name("DIR");
  command
      ->add_option("-o,--out", options->out,
                   "a model: folder for report and pictures, made when missing; two sets: "
                   "FILE.json for the numbers")
      ->type_name("OUT");
  command->add_option("--samples", evaluation.samples, "pictures drawn without guidance; 0: none")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--guided-samples", evaluation.guided_samples,
                   "pictures drawn with guidance; 0: none")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--cfg", options->cfg,
                   "scale of that guidance (default: the model's, or 1.5 where that is none)")
      ->type_name("SCALE");
  command->add_option("-s,--steps", evaluation.steps, "steps from noise to picture; 0: the model's")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--reuse-error", evaluation.reuse_error, "of the sampler, as in `rae generate`")
      ->type_name("SHARE")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--seed", evaluation.seed, "of the samples' noise")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_flag("--no-probes", options->no_probes,
                    "leave out the k-NN and linear probes of the latents");
  command->add_flag("--paired", comparison.paired,
                    "two sets: picture i of A belongs to picture i of B; PSNR and SSIM, too");
  command
      ->add_option("--features", comparison.features,
                   "two sets: network that sees them, 'builtin', the path of a model with an "
                   "encoder, of an official configuration "
                   "(.yaml) or of an encoder's folder, or 'inception' (default: inception when its "
                   "weights are given, else builtin)")
      ->type_name("NETWORK");
  command
      ->add_option("--models", comparison.models_dir,
                   "folder of downloaded models, for an official configuration")
      ->type_name("DIR");
  command
      ->add_option("--inception-weights", comparison.inception_weights,
                   "pt_inception-2015-12-05-6726825d.pth of torch-fidelity")
      ->type_name("FILE");
  command->add_option("--metrics", options->metrics, "two sets: only these of " + metric_names())
      ->type_name("LIST")
      ->allow_extra_args(false);
  command->add_option("--neighbours", comparison.neighbours, "of precision and recall")
      ->type_name("K")
      ->capture_default_str();
  add_threads_option(*command);
  command->footer(
      "Two sets of pictures: A, the judged ones, and B, the real ones, are .npz files (arr_0 of\n"
      "uint8, N x H x W x channels) or folders. The Frechet distance, precision and recall "
      "(improved,\n"
      "k nearest neighbours) are taken in pooled features of an encoder or in Inception-v3, which\n"
      "gives the usual FID and the Inception score, too. B may be an .npz file of the statistics\n"
      "mu and sigma. With --paired, PSNR and SSIM of reconstructions.\n"
      "\n"
      "A model: a classifier is trained on the real training pictures (the folder keeps it for\n"
      "the next time). It tells how many samples show the class that was asked for, and gives\n"
      "the features of the Frechet distance to the real test pictures. Also: nearest training\n"
      "pictures of samples, reconstruction of the test pictures, probes of the latents.\n"
      "\n"
      "Examples:\n"
      "  rae evaluate samples.npz real/ --inception-weights pt_inception-2015-12-05-6726825d.pth\n"
      "  rae evaluate samples.npz /usr/share/datasets/fashion-mnist --out numbers.json\n"
      "  rae evaluate reconstructed/ originals/ --paired --metrics psnr,ssim\n"
      "  rae evaluate --data /usr/share/datasets/fashion-mnist --out evaluation\n"
      "  rae evaluate -m run/model.safetensors -d pictures -o evaluation --samples 1000");
  command->callback([options, command] { run(*command, *options); });
}

}  // namespace rae::tool
