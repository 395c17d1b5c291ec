// `rae stats`: exact mean and variance of the latents of a data set, which can be computed in parts
// and merged.
//
// Source: appendix of the paper on latent normalisation.
#include <algorithm>
#include <memory>
#include <optional>

#include "load/network_loader.hpp"
#include "rae/formats/bundle.hpp"
#include "rae/io/safetensors.hpp"
#include "tool/bulk_sampling.hpp"
#include "tool/command.hpp"
#include "tool/data_source.hpp"
#include "tool/model.hpp"
#include "tool/numbers.hpp"
#include "tool/ranks.hpp"
#include "tool/text.hpp"
#include "train/shared_statistics.hpp"

namespace rae::tool {
namespace {

struct StatsCommand {
  ModelChoice model;
  std::string data, out;
  Split split = Split::train;
  index_t batch = 64;
  std::vector<std::string> merge;
  DataFlags data_flags;
};

/// Pictures [first, first + count) as (count, channels, H, W).
Tensor<float> read_images(const ImageDataset& data, index_t first, index_t count) {
  const index_t size = data.image_size();
  Tensor<float> images(
      Shape{count, data.channels(), data.height(), data.width()});  // (count, channels, H, W)
  float* out = images.data();
  parallel_for(count, 8, [&](index_t b) {
    data.image(first + b, {out + b * size, static_cast<std::size_t>(size)});
  });
  return images;
}

LatentStatistics statistics_of_data(const StatsCommand& command) {
  std::optional<Rae<float>> autoencoder;
  OwnedPointer<const ImageDataset> data;
  std::string name, checksum;  // of the model
  ranks().agree([&] {
    ModelFiles files = open_model(command.model, {.decoder = false, .dit = false});
    if (!files.encoder)
      raise<FormatError>(command.model.config.empty() ? command.model.model : command.model.config,
                         ": has no encoder");
    const ModelConfig& config = files.config;
    name = files.origin;
    checksum = "checksum " + autoencoder_fingerprint(files);
    files.latent_norm = {};  // the statistics are those of latents before normalisation
    autoencoder =
        detail::NetworkLoader(files, load_options(command.model, true), {NetworkRole::encoder})
            .autoencoder(NetworkRole::encoder);
    data = open_data(command.data, command.split,
                     {.size = config.image_size,
                      .width = config.image_width,
                      .channels = static_cast<int>(config.encoder.channels())},
                     command.data_flags);
  });
  require_same_on_all_ranks(command.data, [&] { return summary_of(*data); });
  require_same_on_all_ranks(name, [&] { return checksum; });
  PictureProgress progress("encoding", 0, data->size());
  return detail::shared_statistics(
      ranks(), data->size(), command.batch, [&](index_t first, index_t count) {
        stop_if_interrupted();
        const Tensor<float> latents =
            autoencoder->encode(read_images(*data, first, count));  // (count, C, h, w)
        // The other ranks encode the next batches at the same time.
        progress(static_cast<double>(std::min(data->size(), first + count * ranks().size())));
        return latents;
      });
}

LatentStatistics read_statistics(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto count = file.read<std::int64_t>("count", Shape{1});
  try {
    return {file.read<double>("mean"), file.read<double>("var"), count[0]};
  } catch (const Error& error) {
    raise<FormatError>(path, ": ", error.what());
  }
}

void run(StatsCommand& command) {
  if (command.data.empty() && command.merge.empty())
    throw UsageError("stats: expected --data, --merge, or both");
  Communicator& all = patient_ranks();
  CommandFiles files;
  std::string out;
  LatentStatistics statistics;
  all.agree([&] {
    if (!command.data.empty()) {
      files.input_folder("--data", command.data);
      declare_model(files, command.model);
    }
    for (std::string& path : command.merge) path = files.input("--merge", path);
    out = files.output("--out", command.out, {".safetensors"});
    for (const auto& path : command.merge) {
      const LatentStatistics part = read_statistics(path);
      try {
        statistics.merge(part);
      } catch (const ShapeError& error) {
        raise<ShapeError>(path, ": ", error.what());
      }
    }
  });
  if (!command.data.empty()) statistics.merge(statistics_of_data(command));
  stop_if_interrupted();
  all.on_root([&] {
    const SafetensorsEntry entries[] = {
        {"mean", statistics.mean<double>()},
        {"var", statistics.variance<double>()},
        {"count", Tensor<std::int64_t>(Shape{1}, statistics.count())}};
    write_safetensors(out, entries);
    files.finish();
    files.print(concat(command.out, ": ", plural(statistics.count(), "picture"), ", latents ",
                       statistics.mean().shape()));
  });
}

}  // namespace

void add_stats(CLI::App& app) {
  const auto options = std::make_shared<StatsCommand>();
  CLI::App* command = app.add_subcommand("stats", "Mean and variance of the latents of a data set");
  add_model_options(*command, options->model);
  command
      ->add_option(
          "-d,--data", options->data,
          "folder of a data set: the files of Fashion-MNIST or CIFAR, or one sub-folder of "
          "pictures per class")
      ->type_name("DIR");
  command
      ->add_option_function<std::string>(
          "--split",
          [options](const std::string& name) {
            if (name != "train" && name != "test")
              throw UsageError(concat("--split: expected train or test, got '", name, "'"));
            options->split = name == "test" ? Split::test : Split::train;
          },
          "train (default) or test, if the data set has both")
      ->type_name("NAME");
  command
      ->add_option(
          "--merge", options->merge,
          "add the statistics of another run from FILE, written by this command; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command->add_option("-o,--out", options->out, "FILE.safetensors to write, or - (stdout)")
      ->type_name("FILE")
      ->required();
  add_whole_option(*command, "--batch", options->batch, "pictures per batch", 1, kMostPictures);
  add_data_flags(*command, options->data_flags);
  add_threads_option(*command);
  command->footer(
      "Writes the tensors 'mean' and 'var' (C, h, w), in f64, of the latents before\n"
      "normalisation, and 'count'; the variance is biased. They are exact, so parts of a data\n"
      "set can be computed separately and merged. Processes that mpirun starts share the work;\n"
      "the results are the same bit for bit.\n"
      "\n"
      "Examples:\n"
      "  rae stats --data /usr/share/datasets/fashion-mnist --out stats.safetensors\n"
      "  mpirun -n 8 rae stats --data pictures --out stats.safetensors\n"
      "  rae stats --config DINOv2-B.yaml --data pictures --out stats.safetensors\n"
      "  rae stats --merge part1.safetensors --merge part2.safetensors --out all.safetensors");
  command->callback([options] { run(*options); });
}

}  // namespace rae::tool
