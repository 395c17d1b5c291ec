// `rae neighbours`: the pictures of a folder that are nearest to one, by their tokens.
#include <filesystem>
#include <memory>

#include "rae/metrics/nearest_neighbours.hpp"
#include "tool/command.hpp"
#include "tool/interrupt.hpp"
#include "tool/model.hpp"
#include "tool/numbers.hpp"
#include "tool/output.hpp"
#include "tool/picture_set.hpp"
#include "tool/sample_output.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

struct NeighboursCommand {
  ModelChoice model;
  std::string in, folder, out = "neighbours.png", distance = "cosine";
  index_t count = 9;
};

/// The latents (N, C, h, w) of all pictures, encoded in batches.
Tensor<float> encode_all(const Autoencoder& autoencoder, const PictureSet& pictures) {
  constexpr index_t kBatch = 64;
  Tensor<float> out;  // (N, C, h, w)
  ProgressBar bar("encoding");
  for (index_t first = 0; first < pictures.size(); first += kBatch) {
    stop_if_interrupted();
    const index_t count = std::min(kBatch, pictures.size() - first);
    const Tensor<float> z = autoencoder.encode(pictures.read(first, count));  // (b, C, h, w)
    if (out.empty()) out = Tensor<float>(z.shape().with(0, pictures.size()));
    copy_elements(z.data(), z.numel(), out.data() + first * (z.numel() / count));
    bar.update(static_cast<double>(first + count), static_cast<double>(pictures.size()));
  }
  return out;
}

/// Latents (N, C, h, w) as a matrix (N, C h w).
View<const float> rows_of(const Tensor<float>& latents) {
  const index_t n = latents.extent(0);
  return {latents.data(), Shape{n, latents.numel() / n}};
}

void run(NeighboursCommand& command) {
  Distance distance{};
  try {
    distance = parse_distance(command.distance);
  } catch (const ArgumentError& error) {
    throw UsageError(concat("--distance: ", error.what()));
  }
  CommandFiles files;
  declare_model(files, command.model);
  command.in = files.input("IN", command.in);
  std::error_code none;
  std::string set = command.folder;
  if (std::filesystem::is_directory(set, none))
    files.input_folder("FOLDER", set);
  else
    set = files.input("FOLDER", set);
  const std::string sheet = files.output("--out", command.out, {".png"});
  const Image query = Image::open(command.in);
  const PictureSet pictures = PictureSet::open(set);
  if (pictures.size() == 0) raise<ArgumentError>("'", command.folder, "' contains no pictures");
  const index_t count = std::min(command.count, pictures.size());
  const Autoencoder autoencoder(open_model(command.model, {.decoder = false, .dit = false}),
                                load_options(command.model, true));
  const Tensor<float> z = autoencoder.encode(query);            // (1, C, h, w)
  const Tensor<float> all = encode_all(autoencoder, pictures);  // (N, C, h, w)
  const Neighbours found = nearest_neighbours(rows_of(z), rows_of(all), count, distance);
  std::vector<Image> images{autoencoder.prepare(query)};
  std::map<std::string, std::string> text{{"model", autoencoder.config().name},
                                          {"distance", command.distance}};
  for (index_t i = 0; i < count; ++i) {
    images.push_back(autoencoder.prepare(pictures[found.indices[i]]));
    text[concat("neighbour ", i + 1)] =
        concat(format_fixed(static_cast<double>(found.distances[i]), 4), "  ",
               pictures.where(found.indices[i]));
  }
  stop_if_interrupted();
  Image::grid(images, std::min<index_t>(count + 1, 10)).save_png(sheet, text);
  files.finish();
  for (index_t i = 0; i < count; ++i) files.print(text[concat("neighbour ", i + 1)]);
  files.print(
      concat(command.out, ": the picture and its ", count, " nearest of ", pictures.size()));
}

}  // namespace

void add_neighbours(CLI::App& app) {
  const auto options = std::make_shared<NeighboursCommand>();
  CLI::App* command =
      app.add_subcommand("neighbours", "The pictures of a folder that are nearest to a picture");
  command->add_option("IN", options->in, "a PNG, JPEG, WebP or BMP picture, or - (stdin)")
      ->type_name("")
      ->required();
  command->add_option("FOLDER", options->folder, "a folder or .npz archive of pictures")
      ->type_name("")
      ->required();
  add_model_options(*command, options->model);
  add_whole_option(*command, "-n,--count", options->count, "number of neighbours", 1, 1000);
  command
      ->add_option("--distance", options->distance,
                   "of the tokens of two pictures: cosine or euclidean")
      ->type_name("NAME")
      ->capture_default_str();
  command
      ->add_option("-o,--out", options->out,
                   "contact sheet: the picture, then its neighbours, nearest first; FILE.png or -")
      ->type_name("OUT")
      ->capture_default_str();
  add_threads_option(*command);
  command->footer(
      "A distance of the tokens compares what is where in two pictures. Generated pictures whose\n"
      "nearest training picture is as near as a copy would show that a model repeats its data.\n"
      "\n"
      "Examples:\n"
      "  rae neighbours sample.png pictures/ --out nearest.png\n"
      "  rae neighbours sample.png set.npz --count 4 --distance euclidean");
  command->callback([options] { run(*options); });
}

}  // namespace rae::tool
