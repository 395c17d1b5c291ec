#include "tool/auto_pack.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <optional>

#include "rae/formats/bundle_writer.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/generate/mixed_types.hpp"
#include "rae/spec/weight_types.hpp"
#include "rae/train/classifier_score.hpp"
#include "tool/best_of.hpp"
#include "tool/interrupt.hpp"
#include "tool/numbers.hpp"
#include "tool/progress.hpp"
#include "tool/sensitivity_cache.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

/// "1.25 %".
std::string percent(double share) { return format_number(100 * share, 3) + " %"; }

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

/// Pictures of a data set that are spread evenly over it, encoded by the model.
CalibrationData calibration_of_data(const ModelFiles& files, const AutoPack& options) {
  const ModelConfig& config = files.config;
  const auto data = open_data(options.data, Split::train,
                              {.size = config.image_size,
                               .width = config.image_width,
                               .channels = static_cast<int>(config.encoder.channels())},
                              options.data_flags);
  const index_t count = std::min(options.calibration, data->size());
  CalibrationData out;
  out.images = Tensor<float>(
      Shape{count, data->channels(), data->height(), data->width()});  // (B, channels, H, W)
  const auto size = static_cast<std::size_t>(data->image_size());
  for (index_t i = 0; i < count; ++i) {
    const index_t at = i * data->size() / count;
    data->image(at, out.images.span().subspan(static_cast<std::size_t>(i) * size, size));
    out.labels.push_back(data->label(at));
  }
  const index_t classes = config.dit ? config.num_classes() : 1;
  if (config.dit && classes > 1 && static_cast<index_t>(data->class_names().size()) > classes)
    raise<ConfigError>(options.data, ": has ", data->class_names().size(), " classes, the model ",
                       classes);
  if (classes == 1) std::fill(out.labels.begin(), out.labels.end(), std::int64_t{0});
  out.latents = Autoencoder(files).encode(std::as_const(out.images));
  return out;
}

CalibrationData calibration_for(const ModelFiles& files, const AutoPack& options) {
  if (!options.data.empty()) return calibration_of_data(files, options);
  if (!files.dit || !files.decoder)
    raise<ConfigError>(files.origin,
                       ": cannot generate the latents with which layers are measured; give "
                       "pictures by --data");
  ProgressBar bar("calibration");
  return sampled_calibration(files, options.calibration, 0, [&](const StepInfo& info) {
    bar.update(static_cast<double>(info.step), static_cast<double>(info.steps));
    return !interrupted();
  });
}

std::vector<LayerSensitivity> sensitivities_of(const ModelFiles& files,
                                               const CalibrationData& calibration,
                                               const std::string& model) {
  const std::string path = model.empty() ? "" : sensitivity_file(model);
  const ConfigNode key = sensitivity_key(files, calibration);
  if (!path.empty())
    if (auto known = read_sensitivities(path, key)) return *std::move(known);
  ProgressBar bar("layers");
  const auto out = measure_sensitivities(files, calibration, [&](index_t done, index_t total) {
    bar.update(static_cast<double>(done), static_cast<double>(total),
               concat(format_count(done), "/", format_count(total)));
    return !interrupted();
  });
  bar.clear();
  if (path.empty()) return out;
  try {
    write_sensitivities(path, key, out);
  } catch (const FileError& error) {  // the folder of an installed model may be read-only
    std::fprintf(stderr, "rae: note: the sensitivities are not kept: %s\n",
                 printable(error.what()).c_str());
  }
  return out;
}

/// The share of samples with these types that the classifier assigns to their class.
double consistency(const ModelFiles& files, const Classifier<Tensor<float>>& classifier,
                   const LayerTypes& types, index_t count) {
  const Generator generator(files, {.layer_types = types});
  GenerateOptions how;
  how.seed = 1;
  for (index_t i = 0; i < count; ++i) how.labels.push_back(i % generator.num_classes());
  how.on_step = [](const StepInfo&) { return !interrupted(); };
  Tensor<float> pixels = generator.decode_pixels(generator.sample_latents(how));  // (B, C, H, W)
  for (float& value : pixels.span()) value = std::clamp(value, 0.0f, 1.0f);
  ClassifierScore score(classifier);
  score.add(pixels, how.labels);
  return score.accuracy();
}

/// The judge of --classifier; absent without it.
std::optional<Classifier<Tensor<float>>> judge_of(const ModelFiles& files,
                                                  const AutoPack& options) {
  if (options.classifier.empty()) return std::nullopt;
  if (!files.dit || !files.decoder)
    raise<ConfigError>(files.origin, ": cannot generate pictures for --classifier");
  return load_judge(options.classifier, files);
}

void print_table(const std::vector<LayerCosts>& layers, const LayerTypes& types,
                 const CommandFiles& command) {
  std::size_t width = std::string_view("layer").size();
  for (const LayerCosts& layer : layers) width = std::max(width, layer.name.size());
  command.print(padded("layer", width) + "  type         bytes  sensitivity");
  for (const LayerCosts& layer : layers) {
    const DType type = types.at(layer.name);
    const auto cost = std::find_if(layer.types.begin(), layer.types.end(),
                                   [=](const TypeCost& each) { return each.type == type; });
    const std::string bytes = format_count(static_cast<std::int64_t>(cost->bytes));
    constexpr std::size_t kBytesWidth = 11;
    command.print(concat(padded(layer.name, width), "  ", padded(std::string(name_of(type)), 5),
                         std::string(kBytesWidth - std::min(kBytesWidth, bytes.size()), ' '), bytes,
                         "  ", percent(cost->error)));
  }
}

}  // namespace

void add_auto_pack_options(CLI::App& command, AutoPack& options) {
  command
      .add_option("--budget", options.budget,
                  "--pack auto: most bytes of the file, such as 8MB or 300kB; the types with the "
                  "smallest errors that fit")
      ->type_name("SIZE");
  command
      .add_option("--max-loss", options.max_loss,
                  "--pack auto: most relative error of the output of each network, such as 1%, and "
                  "with --classifier most loss of class consistency; the smallest file within it")
      ->type_name("SHARE")
      ->excludes(command.get_option("--budget"));
  command
      .add_option("--data", options.data,
                  "--pack auto: folder of a data set whose pictures are the inputs with which "
                  "layers are measured (default: samples of the model itself)")
      ->type_name("DIR");
  add_whole_option(command, "--calibration", options.calibration,
                   "--pack auto: number of latents with which layers are measured", 1, 100000);
  command
      .add_option("--classifier", options.classifier,
                  "--pack auto: classifier.safetensors of 'rae evaluate'; measures the share of "
                  "samples that show their class, for f32 and for the result")
      ->type_name("FILE");
  add_data_flags(command, options.data_flags);
}

void declare_auto_pack(const CLI::App& command, CommandFiles& files, AutoPack& options,
                       bool automatic) {
  if (!automatic) {
    for (const char* option : {"--budget", "--max-loss", "--data", "--calibration", "--classifier",
                               "--skip-broken", "--ignore-exif"})
      if (command.get_option(option)->count() > 0)
        throw UsageError(concat(option, ": applies to --pack auto"));
    return;
  }
  if (options.budget.empty() == options.max_loss.empty())
    throw UsageError("--pack auto: give --budget SIZE or --max-loss SHARE");
  if (!options.budget.empty()) (void)parse_bytes("--budget", options.budget);
  if (!options.max_loss.empty()) (void)parse_share("--max-loss", options.max_loss);
  if (!options.data.empty()) files.input_folder("--data", options.data);
  if (!options.classifier.empty())
    options.classifier = files.input("--classifier", options.classifier);
}

void pack_automatically(const ModelFiles& files, const std::string& model, const std::string& out,
                        const std::map<std::string, std::string>& notes, const AutoPack& options,
                        const CommandFiles& command) {
  const InterruptScope reacts;
  MixLimit limit;
  if (!options.budget.empty()) limit.bytes = parse_bytes("--budget", options.budget);
  if (!options.max_loss.empty()) limit.error = parse_share("--max-loss", options.max_loss);
  require_reachable(files, limit, notes);
  const auto judge = judge_of(files, options);
  const CalibrationData calibration = calibration_for(files, options);
  const auto sensitivities = sensitivities_of(files, calibration, model);
  const std::vector<LayerCosts> layers = costs_of(packable_layers(files), sensitivities);
  double exact = 0, mixed = 0;  // class consistency
  const auto consistency_of = [&](const LayerTypes& types) {
    return consistency(files, *judge, types, options.calibration);
  };
  if (judge) exact = consistency_of({});
  const auto accepts = [&](const MixedTypes& mix) {
    stop_if_interrupted();
    if (!judge) return true;
    mixed = consistency_of(mix.types);
    return exact - mixed <= *limit.error;
  };
  const MixedTypes mix = mix_types(files, calibration, sensitivities, limit, notes, accepts);
  if (judge && limit.bytes) mixed = consistency_of(mix.types);
  save_packed_bundle(files, out, mix.types, notes);
  print_table(layers, mix.types, command);
  for (const NetworkRole role : kNetworkRoles) {
    std::uint64_t bytes = 0, before = 0;
    for (const LayerCosts& layer : layers) {
      if (layer.role != role) continue;
      before += layer.types.front().bytes;
      for (const TypeCost& cost : layer.types)
        if (cost.type == mix.types.at(layer.name)) bytes += cost.bytes;
    }
    const auto at = static_cast<std::size_t>(role);
    if (before > 0)
      command.print(concat(name_of(role), ": layers of ", format_bytes(bytes), " instead of ",
                           format_bytes(before), ", relative error of the output ",
                           percent(mix.measured[at]), " (sum over layers ",
                           percent(mix.estimated[at]), ")"));
  }
  if (judge)
    command.print(concat("class consistency of ", plural(options.calibration, "sample"), ": ",
                         percent(mixed), ", f32 ", percent(exact)));
}

}  // namespace rae::tool
