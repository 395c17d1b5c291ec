// `rae evaluate`: evaluates a model on a data set, or compares one set of pictures with another.
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>

#include "rae/io/file.hpp"
#include "rae/io/tensor_source.hpp"
#include "rae/spec/auto_dtype.hpp"
#include "rae/train/evaluation.hpp"
#include "rae/train/evaluation_history.hpp"
#include "tool/bulk_sampling.hpp"
#include "tool/command.hpp"
#include "tool/command_files.hpp"
#include "tool/compare.hpp"
#include "tool/data_source.hpp"
#include "tool/interrupt.hpp"
#include "tool/model.hpp"
#include "tool/numbers.hpp"
#include "tool/output.hpp"
#include "tool/progress.hpp"
#include "tool/ranks.hpp"
#include "tool/text.hpp"
#include "train/data_split.hpp"

namespace rae::tool {
namespace {

constexpr const char* kClassifier = "classifier.safetensors";
/// The folder of a classifier whose training has not finished.
constexpr std::string_view kClassifierTraining = "classifier.training/";
/// An empty file that is in the folder of an evaluation until it is complete.
constexpr const char* kUnfinished = "unfinished";

struct EvaluateCommand {
  std::string model = kDefaultModel, data, out, types, history;
  std::optional<float> cfg;
  DTypeChoice dtype;
  bool no_probes = false, overwrite = false;
  EvaluationOptions evaluation;
  std::vector<std::string> metrics;
  Comparison comparison;
  DataFlags data_flags;
};

/// The path of a set of pictures, a file or a folder.
std::string declare_set(CommandFiles& files, const std::string& option, const std::string& path) {
  std::error_code none;
  if (!std::filesystem::is_directory(path, none)) return files.input(option, path);
  files.input_folder(option, path);
  return path;
}

/// Compares two sets of pictures.
void run_comparison(const CLI::App& app, EvaluateCommand& command) {
  Comparison& comparison = command.comparison;
  if (comparison.reference.empty())
    throw UsageError(concat("expected two sets of pictures, A and B, got only '",
                            comparison.pictures, "'; use --data and --out to evaluate a model"));
  for (const char* option : {"--model", "--history", "--data", "--samples", "--guided-samples",
                             "--cfg", "--steps", "--seed", "--no-probes", "--dtype", "--types",
                             "--reuse-error", "--skip-broken", "--overwrite"})
    if (app.get_option(option)->count() > 0)
      throw UsageError(
          concat(option, ": applies to the evaluation of a model, but sets of pictures are given"));
  for (const auto& words : command.metrics)
    for (auto& name : split_list(words)) comparison.metrics.push_back(name);
  Communicator& all = patient_ranks();
  CommandFiles files;
  all.agree([&] {
    comparison.pictures = declare_set(files, "A", comparison.pictures);
    comparison.reference = declare_set(files, "B", comparison.reference);
    std::string& weights = comparison.inception_weights;
    if (!weights.empty()) weights = files.input("--inception-weights", weights);
    std::string& features = comparison.features;
    if (!features.empty() && features != "inception")
      features = files.input_model("--features", model_path(features), comparison.models_dir);
    if (!command.out.empty()) comparison.out = files.output("--out", command.out, {".json"});
  });
  comparison.ignore_exif = command.data_flags.ignore_exif;
  comparison.print = [&](const std::string& line) { files.print(line); };
  compare(comparison);
  all.on_root([&] { files.finish(); });
}

/// Whether a folder holds an evaluation that has not finished.
bool is_unfinished_evaluation(const std::vector<std::string>& entries) {
  const auto has = [&](const char* name) {
    return std::find(entries.begin(), entries.end(), name) != entries.end();
  };
  return has(kUnfinished) || (has(kClassifier) && !has("evaluation.json"));
}

/// The files of `evaluate`.
bool is_evaluation_file(const std::string& name) {
  constexpr const char* kNames[] = {kClassifier,      kUnfinished,          "evaluation.json",
                                    "evaluation.txt", "neighbours.png",     "reconstructions.png",
                                    "samples.png",    "samples_guided.png", "nearest.png"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames) ||
         name.starts_with(kClassifierTraining);
}

/// The files of `evaluate --history`.
bool is_history_file(const std::string& name) {
  constexpr const char* kNames[] = {kClassifier, "history.json", "history.csv", "history.svg"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames) ||
         name.starts_with(kClassifierTraining);
}

/// Whether a folder has only files of `evaluate --history`, which the same command continues.
bool is_history_folder(const std::vector<std::string>& entries) {
  return std::all_of(entries.begin(), entries.end(), is_history_file);
}

/// Removes the report and the pictures of an earlier evaluation, so that none of them stays beside
/// the new ones. The classifier is kept.
void remove_old_evaluation(const std::string& folder) {
  std::vector<std::filesystem::path> old;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (is_evaluation_file(name) && name != kClassifier) old.push_back(entry.path());
  }
  for (const auto& path : old) std::filesystem::remove(path);
}

/// Takes the pictures that the training has held out as the test part of data that have none.
void separate(OwnedPointer<const ImageDataset>& train, OwnedPointer<const ImageDataset>& test,
              const Bundle& bundle) {
  const auto note = bundle.notes.find(detail::kHeldOutNote);
  double share = 0;
  if (note != bundle.notes.end()) {
    const std::string& text = note->second;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), share);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size() ||
        !(share > 0 && share < 1))
      raise<FormatError>(bundle.origin, ": the note ", detail::kHeldOutNote,
                         ": expected a number between 0 and 1, got '", text, "'");
  }
  auto [seen, held_out] = detail::hold_out(train, train->manifest(), share, [&] { return test; });
  if (held_out) {
    train = std::move(seen);
    test = std::move(held_out);
    std::fprintf(stderr,
                 "rae: note: the data have no test part, so the test pictures are the %s that the "
                 "training has held out\n",
                 format_count(test->size()).c_str());
  } else {
    std::fprintf(stderr,
                 "rae: note: the data have no test part, so the test pictures are those of "
                 "the training\n");
  }
}

/// Calls `work` while a bar shows the progress of an evaluation with these options.
void show_progress(EvaluationOptions& options, ProgressBar& bar, const Function<void()>& work) {
  std::string part;
  options.on_progress = [&](const EvaluationProgress& progress) {
    if (progress.part != part) bar.begin(part = progress.part, true);
    bar.update(static_cast<double>(progress.done), static_cast<double>(progress.total),
               concat(format_count(progress.done), "/", format_count(progress.total)));
    return !interrupted();
  };
  const InterruptScope ticks([&] { bar.tick(); });
  work();
}

/// Evaluates the bundles that a run has kept.
void run_history(EvaluateCommand& command, const std::vector<KeptBundle>& bundles,
                 const OwnedPointer<const ImageDataset>& train,
                 const OwnedPointer<const ImageDataset>& test) {
  EvaluationOptions& options = command.evaluation;
  const std::filesystem::path folder(command.out);
  UnfinishedOutput unfinished;
  options.ranks->on_root([&] {
    unfinished.will_create(command.out);
    std::filesystem::create_directories(folder);
    if (command.overwrite) std::filesystem::remove(folder / "history.json");
  });
  ProgressBar bar("");
  std::vector<HistoryPoint> points;
  try {
    show_progress(options, bar, [&] { points = evaluate_history(bundles, train, test, options); });
  } catch (const Error& error) {
    if (!options.ranks->is_root() || std::filesystem::is_empty(folder)) throw;
    const bool cancelled = interrupted() || dynamic_cast<const Cancelled*>(&error) != nullptr;
    if (!cancelled) throw;
    bar.clear();
    raise<Cancelled>("interrupted; the bundles that are evaluated are in '", options.folder,
                     "'; the same command goes on with the next");
  }
  bar.clear();
  if (!options.ranks->is_root()) return;
  unfinished.finish();
  std::printf("%s%s: the curves as history.svg, history.csv and history.json\n",
              history_csv(points).c_str(), printable(command.out).c_str());
}

void run(const CLI::App& app, EvaluateCommand& command) {
  const InterruptScope reacts;
  if (!command.comparison.pictures.empty()) return run_comparison(app, command);
  for (const char* option : {"--paired", "--features", "--models", "--metrics", "--neighbours"})
    if (app.get_option(option)->count() > 0)
      throw UsageError(concat(option, ": applies to two sets of pictures, but none are given"));
  if (command.data.empty() || command.out.empty())
    throw UsageError("give --data DIR and --out DIR to evaluate a model, or two sets of pictures");
  EvaluationOptions& options = command.evaluation;
  const bool history = !command.history.empty();
  if (history && options.samples == 0 && options.guided_samples == 0)
    throw UsageError("--history: needs --samples, --guided-samples or both");
  Communicator& all = patient_ranks();
  options.ranks = &all;
  CommandFiles files;
  std::vector<KeptBundle> kept;
  std::optional<Bundle> bundle;
  OwnedPointer<const ImageDataset> train, test;
  all.agree([&] {
    files.input_folder("--data", command.data);
    std::string model;
    if (history) {
      const bool stream = command.history == "-";
      files.input_folder("--history", stream ? "-" : command.history + "/history");
      kept = kept_bundles(command.history);
      model = kept.front().path;
      files.output_folder(
          "--out", command.out,
          {.overwrite = command.overwrite, .own = is_history_file, .continues = is_history_folder});
    } else {
      model = files.input_model("--model", model_path(command.model));
      files.output_folder("--out", command.out,
                          {.overwrite = command.overwrite,
                           .own = is_evaluation_file,
                           .continues = is_unfinished_evaluation});
    }
    const std::string types = command.types.empty() ? "" : files.input("--types", command.types);
    if (std::string& weights = command.comparison.inception_weights; !weights.empty()) {
      weights = files.input("--inception-weights", weights);
      options.inception = FeatureExtractor::inception(TensorSource::open(weights));
    }
    bundle.emplace(Bundle::load(model));
    if (command.cfg) {
      options.guidance = bundle->config.sampling.guidance;
      options.guidance->scale = *command.cfg;
      require_guidance(*options.guidance);
    }
    options.probes = !command.no_probes;
    options.dtype =
        command.dtype.automatic ? fastest_dtype() : command.dtype.type.value_or(DType::f32);
    if (!command.types.empty()) {
      options.layer_types = ModelFiles::open(types).layer_types;
      if (options.layer_types.empty())
        raise<ConfigError>(types,
                           ": has no types of single layers; give a bundle that 'rae convert "
                           "--pack auto' has written");
    }
    const DatasetOptions form{.size = bundle->config.image_size,
                              .width = bundle->config.image_width,
                              .channels = static_cast<int>(bundle->config.encoder.channels())};
    command.data_flags.summary = true;
    train = open_data(command.data, Split::train, form, command.data_flags);
    test = open_data(command.data, Split::test, form, command.data_flags);
  });
  require_same_on_all_ranks(command.data,
                            [&] { return concat(summary_of(*train), "; ", summary_of(*test)); });
  require_same_on_all_ranks(bundle->origin, [&] {
    const ModelFiles model = bundle->files();
    return concat("checksums ", fingerprint(model), " and ", autoencoder_fingerprint(model));
  });
  if (is_same_part(command.data)) separate(train, test, *bundle);
  options.folder = command.out;
  options.classifier = classifier_options_for(*train);
  if (history) return run_history(command, kept, train, test);
  UnfinishedOutput unfinished;
  const std::filesystem::path mark = std::filesystem::path(command.out) / kUnfinished;
  all.on_root([&] {
    unfinished.will_create(command.out);
    std::filesystem::create_directories(command.out);
    remove_old_evaluation(command.out);
    write_file_atomically(mark.string(), std::string_view());
  });
  ProgressBar bar("");
  EvaluationReport report;
  try {
    show_progress(options, bar, [&] { report = evaluate(*bundle, train, test, options); });
  } catch (const Error& error) {
    if (!all.is_root()) throw;
    const bool nothing = std::next(std::filesystem::directory_iterator(options.folder)) ==
                         std::filesystem::directory_iterator();
    if (nothing) std::filesystem::remove(mark);
    const bool cancelled = interrupted() || dynamic_cast<const Cancelled*>(&error) != nullptr;
    if (nothing || !cancelled) throw;
    bar.clear();
    raise<Cancelled>("interrupted; the parts that are complete are in '", options.folder,
                     "'; the same command goes on with the classifier there");
  }
  bar.clear();
  if (!all.is_root()) return;
  std::filesystem::remove(mark);
  unfinished.finish();
  std::printf("%s\n%s: the report, as text and JSON, and its pictures\n",
              printable(to_text(report), true).c_str(), printable(command.out).c_str());
}

}  // namespace

void add_evaluate(CLI::App& app) {
  const auto options = std::make_shared<EvaluateCommand>();
  CLI::App* command = app.add_subcommand(
      "evaluate", "Evaluate a model, or compare a set of pictures with real ones");
  EvaluationOptions& evaluation = options->evaluation;
  Comparison& comparison = options->comparison;
  command
      ->add_option("A", comparison.pictures,
                   "two sets: the pictures to evaluate, an .npz file or a folder")
      ->type_name("");
  command->add_option("B", comparison.reference, "two sets: the real pictures to compare A with")
      ->type_name("");
  add_model_option(*command, options->model);
  add_dtype_option(*command, options->dtype);
  command
      ->add_option("--types", options->types,
                   "a model: bundle that 'rae convert --pack auto' has made of it; each layer gets "
                   "the type that it has there")
      ->type_name("FILE")
      ->excludes(command->get_option("--dtype"));
  command
      ->add_option("--history", options->history,
                   "folder of a training with dit.keep_every in its recipe: evaluates the samples "
                   "of all bundles in DIR/history and draws the curves")
      ->type_name("DIR")
      ->excludes(command->get_option("--model"))
      ->excludes(command->get_option("--types"));
  command
      ->add_option("-d,--data", options->data,
                   "a model: folder of a data set with a training and a test part")
      ->type_name("DIR");
  command
      ->add_option("-o,--out", options->out,
                   "a model: new or empty folder for report and pictures; two sets: FILE.json for "
                   "the numbers, or - (stdout)")
      ->type_name("OUT");
  add_overwrite_option(*command, options->overwrite);
  add_whole_option(*command, "--samples", evaluation.samples,
                   "number of pictures generated without guidance; 0: none", 0, kMostPictures);
  add_whole_option(*command, "--guided-samples", evaluation.guided_samples,
                   "number of pictures generated with guidance; 0: none", 0, kMostPictures);
  add_real_option(*command, "--cfg", options->cfg,
                  "guidance scale of these pictures (default: the model's, or 1.5 if it has none)")
      ->type_name("SCALE");
  add_whole_option(*command, "-s,--steps", evaluation.steps,
                   "steps from noise to picture; 0: the model's", 0, kMaxSamplingSteps);
  add_real_option(*command, "--reuse-error", evaluation.reuse_error, "as in `rae generate`")
      ->type_name("SHARE");
  add_seed_option(*command, evaluation.seed, "seed of the noise of the samples");
  command->add_flag("--no-probes", options->no_probes,
                    "skip the k-NN and linear probes of the latents");
  command->add_flag("--paired", comparison.paired,
                    "two sets: picture i of A belongs to picture i of B; adds PSNR and SSIM");
  command
      ->add_option(
          "--features", comparison.features,
          "two sets: network that computes the features: 'inception', 'builtin' or another name of "
          "a model, or the path of a bundle with an encoder, of an official configuration (.yaml) "
          "or of an encoder's folder (default: inception if its weights are given, else builtin)")
      ->type_name("NETWORK");
  command
      ->add_option("--models", comparison.models_dir,
                   "two sets: folder to search for the files of an official configuration")
      ->type_name("DIR");
  command
      ->add_option("--inception-weights", comparison.inception_weights,
                   "pt_inception-2015-12-05-6726825d.pth of torch-fidelity; for a model, adds FID "
                   "of the samples and rFID of the reconstructions")
      ->type_name("FILE");
  command
      ->add_option("--metrics", options->metrics, "two sets: compute only these: " + metric_names())
      ->type_name("LIST")
      ->allow_extra_args(false);
  add_whole_option(*command, "--neighbours", comparison.neighbours,
                   "two sets: k of precision and recall", 1, kMostPictures)
      ->type_name("K");
  add_data_flags(*command, options->data_flags);
  add_threads_option(*command);
  command->footer(
      "Two sets: A, the pictures to evaluate, and B, the real ones, are .npz files (arr_0 of\n"
      "uint8, N x H x W x channels) or folders. The Frechet distance, improved precision and\n"
      "recall (k nearest neighbours) compare pooled features of an encoder, or of Inception-v3,\n"
      "which gives the usual FID and adds the Inception score. B may also be an .npz file with\n"
      "the statistics mu and sigma. --paired adds PSNR and SSIM of reconstructions.\n"
      "\n"
      "A model: a classifier is trained on the real training pictures and kept in the folder for\n"
      "the next time, also with --overwrite. It measures the share of samples that show the "
      "requested class, and gives\n"
      "the features for the Frechet distance to the real test pictures. The report also has the\n"
      "nearest training pictures of samples, the reconstruction error of the test pictures, and\n"
      "probes of the latents. --history measures the samples of a training's kept bundles in the\n"
      "same way, and writes history.svg, .csv and .json; points that are there are not measured "
      "again.\n"
      "\n"
      "Processes that mpirun starts share the samples, reconstructions and features, of a model\n"
      "and of two sets; the numbers are the same. One of them trains the classifier.\n"
      "\n"
      "Examples:\n"
      "  rae evaluate samples.npz real/ --inception-weights pt_inception-2015-12-05-6726825d.pth\n"
      "  rae evaluate samples.npz /usr/share/datasets/fashion-mnist --out numbers.json\n"
      "  rae evaluate reconstructed/ originals/ --paired --metrics psnr,ssim\n"
      "  rae evaluate --data /usr/share/datasets/fashion-mnist --out evaluation\n"
      "  rae evaluate -d cifar -o evaluation --samples 50000 --cfg 1.6 --inception-weights W.pth\n"
      "  rae evaluate --history run -d pictures -o run/curves --samples 5000\n"
      "  mpirun -n 8 rae evaluate samples.npz real/\n"
      "  rae evaluate -m run/model.safetensors -d pictures -o evaluation --samples 1000");
  command->callback([options, command] { run(*command, *options); });
}

}  // namespace rae::tool
