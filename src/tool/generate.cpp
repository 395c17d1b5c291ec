// `rae generate`: generates pictures from noise.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <tuple>

#include "rae/generate/preset.hpp"
#include "tool/best_of.hpp"
#include "tool/bulk_sampling.hpp"
#include "tool/command.hpp"
#include "tool/interrupt.hpp"
#include "tool/latents.hpp"
#include "tool/model.hpp"
#include "tool/numbers.hpp"
#include "tool/output.hpp"
#include "tool/picture_start.hpp"
#include "tool/preview.hpp"
#include "tool/ranks.hpp"
#include "tool/sample_output.hpp"
#include "tool/sampled_set.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

struct GenerateCommand {
  ModelChoice model;
  std::string out = "samples.png", latent_out, images_out, noise_in;
  std::optional<std::array<float, 2>> cfg_interval;
  std::vector<std::string> classes;
  std::optional<index_t> count, steps, batch;
  std::optional<std::string> sampler;
  std::optional<float> cfg, autoguidance, ig, ig_unconditional;
  std::optional<std::array<float, 2>> ig_interval;
  double reuse_error = 0;
  std::uint64_t seed = 0;
  std::string rng{name_of(Rng::philox)};
  bool grid = false, official_grid = false, keep_loaded = false, overwrite = false;
  BulkChoice bulk;
  StartChoice start;
  PreviewChoice preview;
  BestOfChoice best;
  Preset preset = Preset::exact;
};

/// Numbers of the requested classes, in order; all classes if none was requested.
std::vector<std::int64_t> requested_classes(const GenerateCommand& command,
                                            const Generator& generator) {
  const auto& names = generator.class_names();
  std::vector<std::int64_t> labels;
  for (const auto& word : command.classes) {
    // A name may contain commas ("tench, Tinca tinca").
    const bool whole = std::find(names.begin(), names.end(), word) != names.end();
    for (const auto& name : whole ? std::vector<std::string>{word} : split_list(word))
      labels.push_back(generator.label_of(name));
  }
  if (!command.classes.empty() && labels.empty())
    raise<ArgumentError>("--class: expected a name or number");
  if (labels.empty())
    for (index_t i = 0; i < generator.num_classes(); ++i) labels.push_back(i);
  return labels;
}

std::string class_name(const Generator& generator, std::int64_t label) {
  const auto& names = generator.class_names();
  return names.empty() ? std::to_string(label) : names[static_cast<std::size_t>(label)];
}

/// True if pictures are written to an archive batch by batch. Options that read noise or write
/// latents or pixels need the whole set in memory.
bool is_streamed(const GenerateCommand& command) {
  std::error_code none;
  const bool plain = !std::filesystem::exists(command.out, none) ||
                     std::filesystem::is_regular_file(command.out, none);
  return output_kind("--out", command.out) == OutputKind::npz && plain &&
         command.latent_out.empty() && command.images_out.empty() && command.noise_in.empty() &&
         !command.start.any() && command.preview.file.empty() && !command.best.any();
}

/// False if the results are likely to be compared with others: latents and pixels as numbers, sets
/// to evaluate (.npz), and noise that is given or drawn as PyTorch draws it.
bool only_to_look_at(const GenerateCommand& command) {
  return !has_extension(command.out, ".npz") && command.latent_out.empty() &&
         command.images_out.empty() && command.noise_in.empty() &&
         command.rng == name_of(Rng::philox);
}

void join(const GenerateCommand& command) {
  if (output_kind("--out", command.out) != OutputKind::npz)
    throw UsageError("--join: --out must name the .npz file to be written");
  CommandFiles files;
  std::vector<std::string> parts;
  for (const auto& part : command.bulk.join) parts.push_back(files.input("--join", part));
  const SampleOutput out = declare_samples(files, "--out", command.out, command.overwrite);
  files.print(concat(command.out, ": ", join_shards(parts, out.path)));
}

/// Sets the sampler by name. The prefix "sde_" selects a stochastic method. Names without it select
/// a deterministic method, but "euler" and "heun" stay stochastic for a model that is sampled
/// stochastically.
void set_sampler(GenerateOptions& options, const std::string& name,
                 const SamplingDefaults& defaults) {
  constexpr std::string_view kStochastic = "sde_";
  const bool plain = defaults.kind == SamplerKind::sde && (name == "euler" || name == "heun");
  try {
    if (plain || name.starts_with(kStochastic)) {
      options.kind = SamplerKind::sde;
      options.sde = defaults.sde;
      options.sde->solver = parse_sde_solver(
          plain ? std::string_view(name) : std::string_view(name).substr(kStochastic.size()));
    } else {
      options.kind = SamplerKind::ode;
      options.solver = parse_ode_solver(name);
    }
  } catch (const ArgumentError&) {
    throw UsageError(
        concat("--sampler: expected sde_euler, sde_heun, ", kOdeSolverNames, ", got '", name, "'"));
  }
}

/// Ends of the interval that an option names. Throws UsageError.
std::array<float, 2> parse_interval(const std::string& option, const std::string& text) {
  const std::size_t comma = text.find(',');
  if (comma == std::string::npos || text.find(',', comma + 1) != std::string::npos)
    throw UsageError(concat(option, ": expected LO,HI, for example 0.1,1, got '", text, "'"));
  const auto end = [&](const std::string& word) {
    return static_cast<float>(parse_real(option, word, {0, 1}));
  };
  return {end(text.substr(0, comma)), end(text.substr(comma + 1))};
}

/// The guidance with the given values changed.
template <class G>
G changed(G guidance, std::optional<float> scale, std::optional<std::array<float, 2>> interval) {
  if (scale) guidance.scale = *scale;
  if (interval) std::tie(guidance.t_min, guidance.t_max) = std::tie((*interval)[0], (*interval)[1]);
  require_guidance(guidance);
  return guidance;
}

/// Sets internal guidance; changes nothing if no option of it is given. It may be combined with
/// classifier-free guidance, which is off unless it is requested, too.
void set_internal_guidance(GenerateOptions& options, const ModelConfig& model,
                           const GenerateCommand& command) {
  if (!command.ig && !command.ig_interval && !command.ig_unconditional) return;
  InternalGuidance guidance = changed(model.sampling.internal_guidance.value_or(InternalGuidance{}),
                                      command.ig, command.ig_interval);
  if (command.ig_unconditional) guidance.unconditional_scale = *command.ig_unconditional;
  require_internal_guidance(guidance);
  options.internal_guidance = guidance;
  if (guidance.enabled() && (!model.dit || !model.dit->has_base_head()))
    raise<ArgumentError>("--ig: '", model.name,
                         "' has no head on an intermediate layer, which internal guidance needs");
}

/// Sets the requested kind of guidance, or else that of the model; changes nothing if no option of
/// guidance is given. A kind that the model does not use by default takes the interval of the one
/// that it uses.
void set_guidance(GenerateOptions& options, const ModelConfig& model,
                  const GenerateCommand& command) {
  const auto& interval = command.cfg_interval;
  if (!command.cfg && !command.autoguidance && !interval) return;
  const SamplingDefaults& defaults = model.sampling;
  const Cfg& cfg = defaults.guidance;
  const bool by_guide = defaults.autoguidance.has_value();
  const AutoGuidance autoguidance =
      defaults.autoguidance.value_or(AutoGuidance{1.0f, cfg.t_min, cfg.t_max});
  if (command.autoguidance || (!command.cfg && by_guide))
    options.autoguidance = changed(autoguidance, command.autoguidance, interval);
  else
    options.guidance = changed(by_guide ? Cfg{1.0f, autoguidance.t_min, autoguidance.t_max} : cfg,
                               command.cfg, interval);
  if (options.autoguidance && options.autoguidance->scale != 1.0f && !model.guide)
    raise<ArgumentError>("--autoguidance: '", model.name,
                         "' has no guide (the weaker network of autoguidance)");
}

/// The files of the model. Weights of an official model that these options do not need are not
/// opened.
ModelFiles open_files(const GenerateCommand& command) {
  OfficialOptions wanted{.encoder = !command.start.init.empty()};
  if (command.autoguidance || command.cfg)
    wanted.guide = command.autoguidance && *command.autoguidance != 1.0f;
  return open_model(command.model, wanted);
}

/// Settings of the whole set of pictures with these labels: those of the first picture, with all
/// classes; `in_turn` if each picture has the next class.
std::map<std::string, std::string> settings_of_all(const Generator& generator,
                                                   const GenerateOptions& options,
                                                   std::span<const std::int64_t> labels,
                                                   std::span<const std::int64_t> classes,
                                                   bool in_turn) {
  auto text = generator.png_text(options, 0);
  const std::size_t count = labels.size(), period = classes.size();
  if (count == 1) return text;
  constexpr std::size_t kMostNames = 100;
  std::string names;
  for (std::size_t i = 0; i < std::min({count, period, kMostNames}); ++i)
    names += (i == 0 ? "" : ", ") + class_name(generator, in_turn ? labels[i] : classes[i]);
  if (std::min(count, period) > kMostNames) names += ", ...";
  text.erase("label");
  text["class"] = names + (in_turn && count > period ? ", in turn" : "");
  text["pictures"] = std::to_string(count);
  if (text.count("index")) text["index"] = concat(0, " to ", options.labels.size() - 1);
  return text;
}

void run(GenerateCommand& command) {
  Communicator& all = patient_ranks();
  if (!command.bulk.join.empty()) return all.on_root([&] { join(command); });
  constexpr index_t kDefaultCount = 10;
  GenerateOptions options{.seed = command.seed,
                          .steps = command.steps.value_or(0),
                          .batch_size = command.batch.value_or(0)};
  options.rng = parse_rng(command.rng);
  options.reuse_error = command.reuse_error;
  SamplingReport report;
  options.report = &report;
  if (command.official_grid) options.grid = TimeGridKind::official;
  if (command.sampler)
    set_sampler(options, *command.sampler,
                {});  // a wrong name is reported before the model is opened
  const LabelSampling sampling = command.bulk.labels();
  const Shard shard = command.bulk.part();
  CommandFiles paths;
  SampleOutput out;
  bool streamed = false;
  all.agree([&] {
    if (all.is_root()) streamed = is_streamed(command);
    if (command.bulk.shard && all.is_root() && !streamed)
      throw UsageError(
          "--shard: --out must name an .npz file, without --latent-out, --images-out, "
          "--noise-in, --init, --variations, --best-of and --preview");
    declare_model(paths, command.model);
    declare_start(paths, command.start);
    declare_best_of(paths, command.best, !command.start.init.empty());
    declare_preview(paths, command.preview, all.size());
    if (!command.noise_in.empty()) command.noise_in = paths.input("--noise-in", command.noise_in);
    if (all.is_root()) out = declare_samples(paths, "--out", command.out, command.overwrite);
    for (auto& [option, file] : {std::pair("--latent-out", &command.latent_out),
                                 std::pair("--images-out", &command.images_out)})
      if (!file->empty()) *file = paths.output(option, *file, {".safetensors"});
  });
  all.broadcast(std::span(&streamed, 1));
  std::optional<ModelFiles> opened;
  std::optional<Generator> loaded;
  all.agree([&] {
    opened.emplace(open_files(command));
    if (only_to_look_at(command)) prefer_fastest_dtype(command.model);
    // Work in batches alternates between sampling and decoding, so all networks stay loaded.
    loaded.emplace(*opened,
                   load_options(command.model, command.keep_loaded || streamed || all.size() > 1 ||
                                                   !command.preview.file.empty()));
  });
  const ModelFiles& files = *opened;
  require_same_on_all_ranks(files.origin, [&] {
    return concat("checksum ", fingerprint(files), ", type ", loaded->type_name());
  });
  const Generator& generator = *loaded;
  if (command.sampler) set_sampler(options, *command.sampler, generator.config().sampling);
  const auto classes = requested_classes(command, generator);
  set_guidance(options, generator.config(), command);
  set_internal_guidance(options, generator.config(), command);
  apply_preset(command.preset, generator.config(), options);
  const auto period = static_cast<index_t>(classes.size());
  index_t count =
      command.count.value_or(command.classes.empty() ? std::min(period, kDefaultCount) : period);
  if (!command.noise_in.empty()) {
    options.noise = read_latents(command.noise_in, {"noise"}, generator.config().latent_shape());
    const index_t given = options.noise.extent(0);
    if (command.count && count != given)
      raise<ArgumentError>("--count: ", count, " pictures do not fit the noise of ", given, " in '",
                           command.noise_in, "'");
    count = given;
  }
  if (command.start.variations) count = period * *command.start.variations;
  if (count > kMostPictures / command.best.candidates)
    raise<ArgumentError>("expected at most ", kMostPictures, " pictures, with all candidates; got ",
                         count, command.best.any() ? concat(" x ", command.best.candidates) : "");
  const index_t columns = command.start.variations && period > 1
                              ? std::min<index_t>(*command.start.variations, 20)
                              : grid_columns(count, period);
  const Shape picture = generator.config().image_shape();  // (channels, H, W)
  all.on_root(
      [&] { require_grid_fits(out, command.grid, count, columns, picture[1], picture[2]); });
  if (command.start.variations)
    options.labels = classes;
  else
    options.labels = choose_labels(sampling, count, classes, options.seed, options.rng);
  std::optional<Classifier<Tensor<float>>> judge;
  all.agree([&] {
    if (!command.best.classifier.empty()) judge = load_judge(command.best.classifier, files);
    set_start(command.start, files, load_options(command.model, false), generator, options);
    repeat_for_candidates(command.best, options);
    (void)generator.png_text(options, 0);  // throws for options that do not fit
  });
  if (!command.preview.file.empty()) options.on_step = previewing(command.preview, generator);

  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const auto print_summary = [&](const std::string& summary) {
    double evaluations[] = {static_cast<double>(report.model.evaluations),
                            static_cast<double>(report.model.backbones)};
    all.all_reduce(std::span<double>(evaluations));
    paths.print(concat(command.out, ": ", summary, "; ", format_fixed(seconds(), 1), " s"));
    if (options.reuse_error > 0 && evaluations[0] > 0)
      paths.print(concat("backbone evaluated in ",
                         format_fixed(100.0 * evaluations[1] / evaluations[0], 1), " % of ",
                         static_cast<index_t>(evaluations[0]), " evaluations of the model"));
  };
  if (streamed) {
    // Pixels of official models are rounded down in archives, as sample_ddp.py does.
    const BulkSampling bulk{
        .out = command.out,
        .shard = shard,
        .rounding = command.model.config.empty() ? Rounding::nearest : Rounding::truncate,
        .settings = {{"label sampling", std::string(name_of(sampling))},
                     {"weights", fingerprint(files)}}};
    return print_summary(sample_to_npz(generator, options, bulk));
  }
  SampledSet sampled = sample_set(generator, options,
                                  {.latents = !command.latent_out.empty() || command.best.any(),
                                   .pixels = !command.images_out.empty()});
  std::string summary;
  all.on_root([&] {
    stop_if_interrupted();
    std::vector<std::int64_t> labels = options.labels;  // of the pictures that are written
    std::vector<index_t> numbers;                       // of those among all candidates; empty: all
    if (command.best.any()) {
      numbers = best_candidates(command.best, judge, options, sampled);
      sampled = chosen(sampled, numbers);
      labels.clear();
      for (const index_t number : numbers)
        labels.push_back(options.labels[static_cast<std::size_t>(number)]);
    }
    const auto complete = [&](std::map<std::string, std::string> text) {
      complete_text(command.start, options, text);
      if (command.best.any()) text["best_of"] = std::to_string(command.best.candidates);
      return text;
    };
    auto all_text =
        complete(settings_of_all(generator, options, labels, classes, !command.start.variations));
    UnfinishedOutput unfinished;
    if (!command.latent_out.empty()) {
      unfinished.will_create(command.latent_out);
      write_tensor(command.latent_out, "sample_latent", sampled.latents, all_text);
    }
    if (!command.images_out.empty()) {
      unfinished.will_create(command.images_out);
      write_tensor(command.images_out, "sample_image", sampled.pixels, all_text);
    }
    const auto text_of = [&](index_t i) {
      const index_t number = numbers.empty() ? i : numbers[static_cast<std::size_t>(i)];
      return complete(generator.png_text(options, static_cast<std::size_t>(number)));
    };
    const Samples samples{.images = sampled.images,
                          .labels = labels,
                          .label_name = [&](index_t label) { return class_name(generator, label); },
                          .png_text = text_of,
                          .grid_text = all_text,
                          .columns = columns};
    if (out.kind != OutputKind::folder) unfinished.will_create(out.path);
    summary = write_samples(out, samples, command.grid);
    paths.finish();
    unfinished.finish();
  });
  print_summary(summary);
}

}  // namespace

void add_generate(CLI::App& app) {
  const auto options = std::make_shared<GenerateCommand>();
  CLI::App* command = app.add_subcommand("generate", "Generate pictures from noise");
  add_model_options(*command, options->model);
  command
      ->add_option(
          "-c,--class,--labels", options->classes,
          "names or numbers of classes, a comma list or repeated, taken in turn (default: all)")
      ->type_name("NAME")
      ->allow_extra_args(false);
  add_whole_option(*command, "-n,--count", options->count,
                   "number of pictures (default: one of each class, but at most ten unless --class "
                   "names more)",
                   1, kMostPictures);
  command
      ->add_option("-o,--out", options->out,
                   "FILE.png (several pictures form a grid), FILE.npz (uint8 arr_0, N x H x W x "
                   "channels, and labels arr_1), a new or empty folder, or - (a PNG on stdout)")
      ->type_name("OUT")
      ->capture_default_str();
  command->add_flag("--grid", options->grid,
                    "write a grid even of one picture, and add grid.png to a folder");
  add_overwrite_option(*command, options->overwrite);
  add_whole_option(*command, "-s,--steps", options->steps,
                   "number of steps from noise to picture (default: the model's); with --config or "
                   "--official-grid the number of points of the time grid, as num_steps in "
                   "official files: N points make N - 1 steps",
                   1, kMaxSamplingSteps);
  command
      ->add_option("--sampler", options->sampler,
                   concat("sde_euler, sde_heun, ", kOdeSolverNames, " (default: the model's)"))
      ->type_name("NAME");
  add_parsed_option(
      *command, "--preset",
      [options](const std::string& name) {
        try {
          options->preset = parse_preset(name);
        } catch (const ArgumentError& error) {
          throw UsageError(concat("--preset: ", error.what()));
        }
      },
      "exact: the model's own settings; balanced: 16 steps of ab2; fast: 12 steps of ab2, for a "
      "DiT^DH with --reuse-error 0.1. Options beside it take precedence",
      std::string(name_of(Preset::exact)))
      ->type_name("NAME");
  command->add_flag("--official-grid", options->official_grid,
                    "use the time grid of the official samplers, which ends before t = 0 (picture) "
                    "and has one step fewer");
  CLI::Option* cfg = add_real_option(*command, "--cfg", options->cfg,
                                     "scale of classifier-free guidance: 1 is none, larger values "
                                     "follow the class more closely (default: the model's)")
                         ->type_name("SCALE");
  add_real_option(*command, "--autoguidance", options->autoguidance,
                  "scale of autoguidance by the model's guide, a weaker network: 1 is none "
                  "(default: the model's)")
      ->type_name("SCALE")
      ->excludes(cfg);
  command
      ->add_option_function<std::string>(
          "--cfg-interval",
          [options](const std::string& text) {
            options->cfg_interval = parse_interval("--cfg-interval", text);
          },
          "interval of flow times with guidance, from 0 (picture) to 1 (noise)")
      ->type_name("LO,HI");
  add_real_option(*command, "--ig", options->ig,
                  "scale of internal guidance by the head on an intermediate layer, which models "
                  "of RAEv2 have: 1 is none (default: the model's, unless --cfg is given); may be "
                  "combined with --cfg")
      ->type_name("SCALE");
  command
      ->add_option_function<std::string>(
          "--ig-interval",
          [options](const std::string& text) {
            options->ig_interval = parse_interval("--ig-interval", text);
          },
          "interval of flow times with internal guidance")
      ->type_name("LO,HI");
  add_real_option(*command, "--ig-unconditional", options->ig_unconditional,
                  "scale of internal guidance without the label, where --cfg is used (default: "
                  "that of --ig)")
      ->type_name("SCALE");
  add_seed_option(*command, options->seed, "seed of the noise");
  command
      ->add_option("--rng", options->rng,
                   "random numbers of the noise: philox, or torch-cpu for those of PyTorch on CPUs")
      ->type_name("NAME")
      ->check(CLI::IsMember({"philox", "torch-cpu"}))
      ->capture_default_str();
  add_real_option(*command, "--reuse-error", options->reuse_error,
                  "reuse the output of the backbone of a DiT^DH while its estimated relative "
                  "change is at most this share, for example 0.1; faster and less exact; 0: never")
      ->type_name("SHARE");
  command->add_flag("--keep-loaded", options->keep_loaded,
                    "keep all networks in memory; by default the decoder is loaded after the "
                    "diffusion transformer is released");
  add_whole_option(*command, "--batch", options->batch,
                   "pictures per batch; without effect on results, except that adaptive solvers "
                   "and implicit_adams choose their steps or iterations for a whole batch, unless "
                   "an .npz file is written",
                   1, kMostPictures);
  command
      ->add_option("--latent-out", options->latent_out,
                   "also write the latents: safetensors, tensor 'sample_latent' (B, C, h, w)")
      ->type_name("FILE");
  command
      ->add_option("--images-out", options->images_out,
                   "also write the pixels, neither clamped nor rounded: safetensors, tensor "
                   "'sample_image' (B, channels, H, W)")
      ->type_name("FILE");
  command
      ->add_option("--noise-in", options->noise_in,
                   "start from this noise instead of that of --seed: safetensors, tensor 'noise' "
                   "(B, C, h, w)")
      ->type_name("FILE");
  add_start_options(*command, options->start);
  add_best_of_options(*command, options->best);
  add_preview_options(*command, options->preview);
  add_bulk_options(*command, options->bulk);
  for (const char* other : {"--count", "--noise-in", "--label-sampling"})
    command->get_option("--variations")->excludes(other);
  for (const char* other : {"--variations", "--noise-in"})
    command->get_option("--best-of")->excludes(other);
  add_threads_option(*command);
  command->footer(
      "Picture i depends only on the seed, its number i, its class and the settings, not on the\n"
      "number of threads or pictures. PNG files contain their settings; `rae info FILE.png` shows\n"
      "them. Ctrl-C stops and leaves no file, except for an .npz file: finished pictures are kept\n"
      "in OUT.partial, and the same command continues after the last of them, even if it was\n"
      "killed. The parts of a set (--shard) can be joined to the file that one run would write.\n"
      "Processes that mpirun starts share the work; the files have the same bytes as those of "
      "one.\n"
      "\n"
      "Examples:\n"
      "  rae generate                               samples.png, one of each class\n"
      "  rae generate --class sneaker,bag --count 16 --out both.png\n"
      "  rae generate --class 7 --cfg 2 --cfg-interval 0.1,1 --seed 3 --out sneaker.png\n"
      "  rae generate --preset fast --count 100      at about a quarter of the time\n"
      "  rae generate --init in.png --strength 0.6 --class bag\n"
      "  rae generate --init in.png --mask mask.png --class bag       only where the mask is "
      "white\n"
      "  rae generate --class bag --variations 9 --strength 0.3\n"
      "  rae generate --class bag --best-of 8 --classifier evaluation/classifier.safetensors\n"
      "  rae generate --preview now.png --preview-interval 5          to watch the steps\n"
      "  rae generate --count 50000 --label-sampling equal --out samples.npz\n"
      "  mpirun -n 8 rae generate --count 50000 --out samples.npz\n"
      "  rae generate --count 50000 --shard 2/4 --out part2.npz      on another machine, then:\n"
      "  rae generate --join part1.npz part2.npz part3.npz part4.npz --out samples.npz\n"
      "  rae generate --model run/model.safetensors --count 64 --out pictures/\n"

      "  rae generate --config DiTDHXL-DINOv2-B_AG.yaml --class 207,360 --seed 42 --out grid.png");
  command->callback([options] { run(*options); });
}

}  // namespace rae::tool
