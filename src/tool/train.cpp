// `rae train`: runs the stages of a recipe, each starting from its last checkpoint.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "rae/core/parallel.hpp"
#include "rae/io/dataset.hpp"
#include "rae/io/file.hpp"
#include "rae/spec/weight_types.hpp"
#include "rae/train/official_recipe.hpp"
#include "rae/train/quantized_run.hpp"
#include "rae/train/recipe_check.hpp"
#include "rae/train/stage_outlook.hpp"
#include "tool/command.hpp"
#include "tool/command_files.hpp"
#include "tool/data_source.hpp"
#include "tool/interrupt.hpp"
#include "tool/machine.hpp"
#include "tool/model.hpp"
#include "tool/numbers.hpp"
#include "tool/output.hpp"
#include "tool/planned_recipe.hpp"
#include "tool/progress.hpp"
#include "tool/ranks.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

struct TrainOptions {
  std::string recipe, data, out, models, init;
  std::vector<std::string> stages, overrides, lpips;
  std::optional<DType> dtype, quantize;
  DataFlags data_flags;
  PlanFlags plan;
  bool check_data = false, dry_run = false, accept_data_change = false, tensorboard = false;
  bool shard_optimizer = false;
  index_t samples = RecipeRun{}.samples;
};

std::vector<TrainingStage> stages_of(const std::vector<std::string>& words) {
  std::vector<TrainingStage> stages;
  for (const auto& word : words)
    for (const auto& name : split_list(word)) {
      if (name == "all") return {};
      try {
        stages.push_back(parse_training_stage(name));
      } catch (const ArgumentError& error) {
        throw UsageError(concat("--stage: ", error.what()));
      }
    }
  return stages;
}

/// Shows the progress of the stages, and the events between them.
class TrainingReport {
 public:
  bool progress(const TrainingProgress& p) {
    const std::string detail =
        concat(format_count(p.step), "/", format_count(p.steps), "  loss ", format_fixed(p.loss, 4),
               "  ", format_rate(p.images_per_second), " images/s");
    if (p.stage != stage_) bar_.begin(stage_ = p.stage, true);
    bar_.update(static_cast<double>(p.step), static_cast<double>(p.steps), detail, p.eta_seconds);
    return !interrupted();
  }

  /// The look at the pictures before the first stage.
  bool checked(index_t done, index_t total) {
    if (stage_.empty()) bar_.begin(stage_ = "checking pictures");
    bar_.update(static_cast<double>(done), static_cast<double>(total),
                concat(format_count(done), "/", format_count(total)));
    return !interrupted();
  }

  void event(const std::string& text) {
    bar_.clear();
    std::printf("%s\n", printable(text).c_str());
    std::fflush(stdout);
    stop_if_interrupted();  // also between stages, and in stages without progress reports
  }

 private:
  ProgressBar bar_{""};
  std::string stage_;
};

/// The training part of the data set, in any size, for the numbers of its classes and pictures.
OwnedPointer<const ImageDataset> training_part(const TrainOptions& options) {
  return open_dataset(options.data, Split::train, {.size = 256, .channels = 3});
}

/// The recipe in `source`, or the one that follows from an official configuration and the data.
Recipe recipe_of(const ConfigNode& source, const TrainOptions& options) {
  if (!source.is_map() || (!source.contains("stage_1") && !source.contains("stage_2"))) {
    if (!options.lpips.empty() || !options.models.empty())
      throw UsageError(
          "--lpips and --models are for official configurations; a recipe names its files");
    return parse_recipe(
        source,
        needs_classes_of_data(source)
            ? std::optional(static_cast<index_t>(training_part(options)->class_names().size()))
            : std::nullopt);
  }
  const OfficialConfig config = parse_official_config(source);
  for (const std::string& note : config.notes)
    std::fprintf(stderr, "rae: note: %s\n", printable(note).c_str());
  if (config.eval)
    std::fprintf(stderr, "rae: note: the section eval is ignored; use 'rae evaluate'\n");
  return official_recipe(config, training_part(options)->size(),
                         {.models_dir = options.models, .lpips = options.lpips});
}

/// Checks everything that can be known before the training, and prints it.
void print_check(const Recipe& recipe, const RecipeRun& run) {
  const CheckedRecipe checked = check_recipe(recipe, run);
  const DataSurvey& survey = checked.data.survey;
  std::printf("%s\n", printable(survey.summary()).c_str());
  for (const BrokenPicture& picture : survey.broken)
    std::printf("skipped %s: %s\n", printable(picture.path).c_str(),
                printable(picture.reason).c_str());
  for (const std::string& note : survey.notes) std::printf("note: %s\n", printable(note).c_str());
  for (const StageMemory& stage : checked.memory) {
    const TrainingOptions& training =
        stage.stage == TrainingStage::encoder   ? recipe.encoder_training
        : stage.stage == TrainingStage::decoder ? recipe.decoder_training
                                                : recipe.dit_training;
    std::printf("%s: %s of %s, at least %s of memory\n", std::string(name_of(stage.stage)).c_str(),
                plural(training.steps, "step").c_str(),
                plural(training.batch_size, "picture").c_str(),
                format_bytes(stage.weights + stage.activations).c_str());
  }
  std::vector<std::string> refused;
  for (const StageOutlook& stage : outlook_of_stages(recipe, run, checked)) {
    const std::string name(name_of(stage.stage));
    std::printf("stage %s: %s\n", name.c_str(), printable(stage.text).c_str());
    if (stage.refused) refused.push_back(name);
  }
  std::printf("nothing was trained or written (--dry-run)\n");
  if (!refused.empty()) raise<ConfigError>("the stage ", refused.front(), " would be refused");
}

/// Whether a folder with these entries is that of a training, or holds only its recipe and hidden
/// files.
bool is_run(const std::vector<std::string>& entries) {
  const auto is = [](const std::string& name, std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const auto of_run = [&](const std::string& name) {
    return is(name, {"encoder", "decoder", "statistics", "dit", "dit-int4", "dit-int8w",
                     "stages.json", "model.safetensors"});
  };
  const auto harmless = [](const std::string& name) {
    return name.starts_with('.') || has_extension(name, ".yaml") || has_extension(name, ".yml");
  };
  return std::any_of(entries.begin(), entries.end(), of_run) ||
         std::all_of(entries.begin(), entries.end(), harmless);
}

/// The file of --recipe, or without it the recipe that is planned for the data, which later runs in
/// the same folder find again.
ConfigNode recipe_source(const TrainOptions& options, CommandFiles& files) {
  const PlanFlags& plan = options.plan;
  const bool planned = plan.size || plan.minutes || plan.speed || !plan.pretrained.empty();
  if (!options.recipe.empty()) {
    if (planned)
      throw UsageError(
          "--size, --minutes, --pretrained and --speed plan a recipe, but --recipe "
          "gives one");
    return ConfigNode::load(files.input("--recipe", options.recipe));
  }
  const std::string path = (std::filesystem::path(options.out) / "recipe.yaml").string();
  std::error_code none;
  if (std::filesystem::exists(path, none)) {
    if (planned)
      throw UsageError(concat("--size, --minutes, --pretrained and --speed plan a recipe, but '",
                              path, "' exists; change it there, or choose another --out"));
    std::printf("continuing with %s\n", printable(path).c_str());
    return ConfigNode::load(path);
  }
  for (const char* trace : {"model.safetensors", "stages.json"})
    if (std::filesystem::exists(std::filesystem::path(options.out) / trace, none))
      throw UsageError(concat("'", options.out, "' has a training whose recipe is not there; give ",
                              "it by --recipe, or choose another --out"));
  const std::string text = planned_recipe(options.data, plan, options.data_flags);
  if (!options.dry_run) {
    std::filesystem::create_directories(options.out, none);
    write_file_atomically(path, text);
    std::printf(
        "wrote %s; to change the training, edit it and choose another --out:\n"
        "  rae train --recipe FILE --data %s --out DIR\n",
        printable(path).c_str(), printable(options.data).c_str());
  }
  return ConfigNode::parse_yaml(text, path);
}

void run(TrainOptions& options) {
  const auto stages = stages_of(options.stages);
  CommandFiles files;
  ConfigNode source;
  // Rank 0 decides, also where a recipe is planned by measuring this computer.
  ranks().on_root([&] {
    files.input_folder("--data", options.data);
    files.output_folder("--out", options.out, {.continues = is_run});
    for (std::string& file : options.lpips) file = files.input("--lpips", file);
    source = recipe_source(options, files);
  });
  if (ranks().size() > 1) {
    std::string text = source.to_json();
    ranks().broadcast(text);
    if (!ranks().is_root()) source = ConfigNode::parse_json(text, "the recipe of rank 0");
  }
  for (const auto& assignment : options.overrides) source.apply_override(assignment);
  Recipe recipe;
  ranks().agree([&] {
    recipe = recipe_of(source, options);
    if (options.dtype) set_training_dtype(recipe, *options.dtype);
    if (options.data_flags.ignore_exif) {
      recipe.data.ignore_exif = true;
      recipe.source.set_path("data.ignore_exif", true);
    }
  });
  TrainingReport report;
  RecipeRun training;
  training.data = options.data;
  training.out = options.out;
  training.stages = stages;
  training.skip_broken = options.data_flags.skip_broken;
  training.check_data = options.check_data;
  training.accept_data_change = options.accept_data_change;
  if (!options.init.empty()) training.init = model_path(options.init);
  training.samples = options.samples;
  training.tensorboard = options.tensorboard;
  training.ranks = {.communicator = &ranks(), .shard_optimizer = options.shard_optimizer};
  training.machine = {{"Processor", processor()}, {"Compiler", compiler()}};
  training.on_progress = [&](const TrainingProgress& progress) {
    return report.progress(progress);
  };
  training.on_check = [&](index_t done, index_t total) { return report.checked(done, total); };
  training.should_stop = [] { return interrupted(); };
  training.on_event = [&](const std::string& text) { report.event(text); };
  try {
    if (options.quantize)
      ranks().agree([&] {
        QuantizedRun quantized = quantized_run(recipe, training, *options.quantize);
        recipe = std::move(quantized.recipe);
        training = std::move(quantized.run);
      });
    if (options.dry_run) return ranks().agree([&] { print_check(recipe, training); });
    if (ranks().size() > 1)
      report.event(concat("training with ", plural(ranks().size(), "rank"), " of ",
                          plural(num_threads(), "thread")));
    run_recipe(recipe, training);
    if (options.quantize && ranks().is_root())
      report.event(concat("the fine-tuned model as ", name_of(*options.quantize), ": rae convert ",
                          training.out, "/model.safetensors FILE.safetensors ", "--pack ",
                          name_of(*options.quantize)));
  } catch (const Cancelled&) {
    raise<Error>("interrupted; the same command continues from the checkpoint in '", options.out,
                 "'");
  }
}

}  // namespace

void add_train(CLI::App& app) {
  const auto options = std::make_shared<TrainOptions>();
  CLI::App* command = app.add_subcommand(
      "train",
      "Train a model from a recipe: encoder, decoder, latent statistics, diffusion transformer");
  command
      ->add_option("-r,--recipe", options->recipe,
                   "YAML recipe of the training, or an official configuration that trains stage 1 "
                   "(default: recipe.yaml in --out, which is planned as by 'rae init' if missing)")
      ->type_name("FILE");
  command
      ->add_option(
          "-d,--data", options->data,
          "folder of a data set: the files of Fashion-MNIST or CIFAR, or one sub-folder of "
          "pictures per class")
      ->type_name("DIR")
      ->required();
  command
      ->add_option(
          "-o,--out", options->out,
          "folder for model.safetensors, checkpoints, logs and samples; created if missing")
      ->type_name("DIR")
      ->required();
  command
      ->add_option("--stage", options->stages,
                   "stages to run: all (default), encoder, decoder, statistics or dit; a comma "
                   "list or repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->add_option("--set", options->overrides, "change a value of the recipe; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command
      ->add_option_function<std::string>(
          "--dtype",
          [options](const std::string& name) { options->dtype = parse_float_dtype(name); },
          "data type of matrix products in all stages: f32, or the faster bf16; weights stay f32 "
          "(default: that of the recipe, else f32)")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"f32", "bf16"}));
  command
      ->add_option("--lpips", options->lpips,
                   "weights of VGG-16 or LPIPS for an official configuration; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command
      ->add_option("--models", options->models,
                   "folder to search for the files of an official configuration")
      ->type_name("DIR");
  add_data_flags(*command, options->data_flags);
  add_plan_flags(*command, options->plan);
  command->add_flag("--check-data", options->check_data,
                    "decode every picture before the training, instead of reading only headers");
  command->add_flag("--dry-run", options->dry_run,
                    "check recipe, data, files, memory and the checkpoints in --out, print what "
                    "was found and what each stage would do, and stop");
  command->add_flag("--accept-data-change", options->accept_data_change,
                    "continue a run after pictures were removed, added or changed");
  command
      ->add_option(
          "--init", options->init,
          "bundle, or a model's name, as 'builtin', with whose weights the stages begin, also with "
          "other classes or another resolution")
      ->type_name("FILE");
  command
      ->add_option_function<std::string>(
          "--quantize",
          [options](const std::string& name) { options->quantize = parse_weight_type(name); },
          "fine-tune the finished stage dit, or the model of --init, for weights of this type: "
          "int4 "
          "or int8w; in the folder dit-TYPE of --out, with a model.safetensors of its own")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"int4", "int8w"}));
  add_whole_option(*command, "--samples", options->samples,
                   "most pictures in the grids that stage dit draws at its checkpoints, a row for "
                   "each of up to 20 classes; 0 draws none",
                   0, 10000);
  command->add_flag("--tensorboard", options->tensorboard,
                    "also write event files for TensorBoard into the folder tensorboard of --out");
  add_threads_option(*command);
  command->add_flag("--shard-optimizer", options->shard_optimizer,
                    "with several ranks: each keeps only its part of the moments and averages, "
                    "which saves memory; the result is the same");
  add_rank_timeout_option(*command);
  command->footer(
      "Before the first stage, the headers of all pictures are read: unreadable files are named\n"
      "at once, and what is not used is said. A dit without num_classes gets the classes of the\n"
      "data. --data may have sub-folders train and test (or val, validation, valid).\n"
      "\n"
      "Each stage writes checkpoints. The same command continues from them, with the same\n"
      "result bit for bit as without interruption, and skips complete stages. Ctrl-C writes\n"
      "a checkpoint and stops; a second Ctrl-C stops at once.\n"
      "\n"
      "--out/report.html shows the progress in a browser: losses, also on held-out pictures,\n"
      "samples and reconstructions. It is written at each checkpoint, with the numbers in "
      "log.csv.\n"
      "The held-out pictures are the test part of the data, or else 5 % of them, which are not\n"
      "trained on (data.held_out of the recipe).\n"
      "\n"
      "--stage dit --quantize int4 goes on with the trained network for a tenth of its steps and\n"
      "computes with its weights as int4 stores them, so that they adapt to it; the section\n"
      "quantize of the recipe changes steps, lr and the other options of this training.\n"
      "\n"
      "A launcher of MPI starts several ranks, which share each batch: mpirun -n 8 rae train ...\n"
      "Each needs --data and the files of the recipe; rank 0 alone reads and writes --out. A\n"
      "checkpoint can be continued with another number of ranks. See docs/scaling.md.\n"
      "\n"
      "Examples:\n"
      "  rae train --data photos --out run                        plans a recipe and trains\n"
      "  rae train --recipe examples/models/fashion-mnist.yaml \\\n"
      "            --data /usr/share/datasets/fashion-mnist --out run\n"
      "  rae train -r recipe.yaml -d pictures -o run --dry-run\n"
      "  rae train -r recipe.yaml -d pictures -o run --stage dit --set dit.train.lr=1e-4\n"
      "  rae train -r recipe.yaml -d pictures -o run --stage dit --quantize int4\n"
      "  rae train -r DINOv2-B_decXL.yaml -d imagenet -o run --lpips vgg16.pth --lpips lpips.pth\n"
      "  rae generate --model run/model.safetensors --out samples.png");
  command->callback([options] { run(*options); });
}

}  // namespace rae::tool
