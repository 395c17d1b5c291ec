// `rae interpolate`: pictures between two others, between two seeds, or between two classes.
#include <memory>

#include "rae/generate/interpolation.hpp"
#include "tool/command.hpp"
#include "tool/interrupt.hpp"
#include "tool/model.hpp"
#include "tool/numbers.hpp"
#include "tool/output.hpp"
#include "tool/picture_start.hpp"
#include "tool/sample_output.hpp"
#include "tool/sampled_set.hpp"

namespace rae::tool {
namespace {

struct InterpolateCommand {
  ModelChoice model;
  std::string a, b, out = "interpolation.png", class_name;
  index_t count = 9;
  std::optional<index_t> steps;
  bool grid = false, overwrite = false;
};

/// One end of the interpolation: a file, or a class and a seed.
struct End {
  std::string file;
  std::optional<std::string> class_name;
  std::uint64_t seed = 0;
};

/// Reads "FILE", "SEED", "CLASS@SEED" or "@SEED"; `name` is A or B.
End parse_end(const std::string& name, const std::string& text) {
  if (const auto seed = whole_number(text)) return {{}, {}, *seed};
  const std::size_t at = text.rfind('@');
  std::error_code none;
  if (at == std::string::npos || std::filesystem::exists(text, none)) return {text, {}, 0};
  const std::string class_name = text.substr(0, at);
  return {{},
          class_name.empty() ? std::nullopt : std::optional(class_name),
          parse_whole(name, text.substr(at + 1), 0, std::numeric_limits<std::uint64_t>::max())};
}

/// Shares 0 to 1 in equal steps.
std::vector<double> equal_shares(index_t count) {
  std::vector<double> out;
  for (index_t i = 0; i < count; ++i)
    out.push_back(static_cast<double>(i) / static_cast<double>(count - 1));
  return out;
}

/// Latents (count, C, h, w) from A to B: of each class from the noises between both seeds. Between
/// classes, latents of both from the same noise are mixed.
Tensor<float> sampled_between(const InterpolateCommand& command, const Generator& generator,
                              const End& a, const End& b) {
  const auto label_of = [&](const End& end) {
    const std::string& name = end.class_name ? *end.class_name : command.class_name;
    return generator.label_of(name.empty() ? std::string("0") : name);
  };
  const std::vector<double> shares = equal_shares(command.count);
  GenerateOptions options{.steps = command.steps.value_or(0)};
  options.noise = spherical_path(generator.noise(a.seed, 1), generator.noise(b.seed, 1),
                                 shares);  // (count, C, h, w)
  const auto sampled = [&](std::int64_t label) {
    options.labels.assign(shares.size(), label);
    ProgressBar bar("sampling");
    options.on_step = [&](const StepInfo& info) {
      bar.update(static_cast<double>(info.step), static_cast<double>(info.steps));
      return !interrupted();
    };
    return generator.sample_latents(options);
  };
  const std::int64_t first = label_of(a), second = label_of(b);
  const Tensor<float> of_a = sampled(first);  // (count, C, h, w)
  if (first == second) return of_a;
  const Tensor<float> of_b = sampled(second);  // (count, C, h, w)
  Tensor<float> out(of_a.shape());             // (count, C, h, w)
  const index_t size = out.numel() / command.count;
  for (index_t i = 0; i < command.count; ++i) {
    const double share = shares[static_cast<std::size_t>(i)];
    const Tensor<float> one = linear_path(take_samples(of_a, i, 1), take_samples(of_b, i, 1),
                                          {&share, 1});  // (1, C, h, w)
    copy_elements(one.data(), size, out.data() + i * size);
  }
  return out;
}

void run(InterpolateCommand& command) {
  End a = parse_end("A", command.a), b = parse_end("B", command.b);
  if (a.file.empty() != b.file.empty())
    throw UsageError(
        "A, B: expected two pictures, or two of SEED and CLASS@SEED; one is a file and the other "
        "is not");
  const bool files_given = !a.file.empty();
  if (files_given && (command.steps || !command.class_name.empty()))
    throw UsageError("--steps and --class: pictures between two files are not sampled");
  CommandFiles files;
  declare_model(files, command.model);
  if (files_given) {
    a.file = files.input("A", a.file);
    b.file = files.input("B", b.file);
  }
  const SampleOutput out = declare_samples(files, "--out", command.out, command.overwrite);
  const ModelFiles model = open_model(command.model, {.encoder = files_given, .dit = !files_given});
  const Shape picture = model.config.image_shape();  // (channels, H, W)
  require_grid_fits(out, command.grid, command.count, command.count, picture[1], picture[2]);
  std::map<std::string, std::string> text{
      {"model", model.config.name}, {"from", command.a}, {"to", command.b}};
  Tensor<float> latents;  // (count, C, h, w)
  std::vector<Image> images;
  ProgressBar bar("decoding");
  if (!files_given) prefer_fastest_dtype(command.model);
  const LoadOptions load = load_options(command.model, false);
  if (files_given) {
    const auto one = [&](const std::string& path) {
      const Tensor<float> z = latents_of_file(path, model, load);  // (1, C, h, w)
      if (z.extent(0) != 1)
        raise<ShapeError>("'", path, "': expected the latents of one picture, got ", z.extent(0));
      return z;
    };
    latents = linear_path(one(a.file), one(b.file), equal_shares(command.count));
    images = decode_all(Autoencoder(model, load), latents, 0, bar);
  } else {
    const Generator generator(model, load);
    latents = sampled_between(command, generator, a, b);
    images = decode_all(generator, latents, 0, bar);
  }
  bar.clear();
  stop_if_interrupted();
  const auto with_share = [&](index_t i) {
    auto settings = text;
    settings["share"] = concat(equal_shares(command.count)[static_cast<std::size_t>(i)]);
    return settings;
  };
  const Samples samples{
      .images = images, .png_text = with_share, .grid_text = text, .columns = command.count};
  UnfinishedOutput unfinished;
  if (out.kind != OutputKind::folder) unfinished.will_create(out.path);
  const std::string summary = write_samples(out, samples, command.grid);
  files.finish();
  unfinished.finish();
  files.print(concat(command.out, ": ", summary));
}

}  // namespace

void add_interpolate(CLI::App& app) {
  const auto options = std::make_shared<InterpolateCommand>();
  CLI::App* command =
      app.add_subcommand("interpolate", "Pictures between two pictures, seeds or classes");
  command
      ->add_option("A", options->a,
                   "the first picture: a file, or latents (.safetensors); or the number of a seed, "
                   "or CLASS@SEED, for a picture that is generated")
      ->type_name("")
      ->required();
  command->add_option("B", options->b, "the last picture, of the same kind")
      ->type_name("")
      ->required();
  add_model_options(*command, options->model);
  add_whole_option(*command, "-n,--count", options->count, "number of pictures, with A and B", 2,
                   1000);
  command
      ->add_option("-c,--class", options->class_name,
                   "class of seeds without CLASS, by name or number (default: the first)")
      ->type_name("NAME");
  add_whole_option(*command, "-s,--steps", options->steps,
                   "number of sampling steps (default: the model's)", 1, kMaxSamplingSteps);
  command
      ->add_option("-o,--out", options->out,
                   "FILE.png (a row of pictures), FILE.npz, a new or empty folder, or - (a PNG on "
                   "stdout)")
      ->type_name("OUT")
      ->capture_default_str();
  command->add_flag("--grid", options->grid, "add grid.png to a folder");
  add_overwrite_option(*command, options->overwrite);
  add_threads_option(*command);
  command->footer(
      "Between files, the latents of both are mixed linearly. Between seeds, the noise moves on\n"
      "the great circle through both noises, and each picture is sampled. Between classes, the\n"
      "latents of both classes from the same noise are mixed linearly.\n"
      "\n"
      "Examples:\n"
      "  rae interpolate a.png b.png --count 9 --out strip.png\n"
      "  rae interpolate 3 4 --class sneaker\n"
      "  rae interpolate sneaker@3 bag@3 --count 5");
  command->callback([options] { run(*options); });
}

}  // namespace rae::tool
