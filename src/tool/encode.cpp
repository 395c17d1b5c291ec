// `rae encode`, `rae decode`, `rae reconstruct`: pictures to latents and back.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "rae/metrics/psnr.hpp"
#include "tool/folder_encoding.hpp"
#include "tool/model.hpp"
#include "tool/output.hpp"
#include "tool/sample_output.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

constexpr const char* kPicture =
    "a PNG, JPEG, WebP or BMP picture, or a folder or .npz archive of pictures";

struct InOut {
  ModelChoice model;
  std::string in, out, images_out, originals_out;
  index_t batch = FolderEncoding{}.batch, per_file = 0;
  bool ignore_exif = false;
};

/// Names and help of the input and output of a command. A name joins the option and the positional
/// argument, "--image,IN".
struct InOutNames {
  std::string command, description, in, in_help, out, out_help;
};

/// Adds a command of the form `rae NAME IN OUT`.
CLI::App* add_in_out(CLI::App& app, const InOutNames& names, void (*run)(const InOut&),
                     const std::shared_ptr<InOut>& options) {
  CLI::App* command = app.add_subcommand(names.command, names.description);
  command->add_option(names.in, options->in, names.in_help)->type_name("")->required();
  command->add_option(names.out, options->out, names.out_help)->type_name("")->required();
  add_model_options(*command, options->model);
  add_threads_option(*command);
  command->callback([options, run] { run(*options); });
  return command;
}

/// Adds the option of commands that read a picture.
void add_ignore_exif(CLI::App& command, InOut& options) {
  command.add_flag("--ignore-exif", options.ignore_exif,
                   "take the picture as it is stored, also if its EXIF data say that it is turned");
}

/// Adds the options of commands that read a folder of pictures.
void add_folder_options(CLI::App& command, InOut& options) {
  add_ignore_exif(command, options);
  command.add_option("--batch", options.batch, "pictures of a folder that are encoded together")
      ->type_name("N")
      ->check(CLI::Range(index_t{1}, index_t{4096}))
      ->capture_default_str();
}

/// The pictures of a folder or archive.
FolderEncoding pictures_of(const InOut& options) {
  return {.in = options.in,
          .out = options.out,
          .originals = options.originals_out,
          .batch = options.batch,
          .per_file = options.per_file,
          .image = {.exif = !options.ignore_exif}};
}

/// Throws UsageError unless the ending of a file is `ending`.
void require_ending(const char* option, const std::string& path, const std::string& ending) {
  if (std::filesystem::path(path).extension() != ending)
    throw UsageError(concat(option, ": expected a file NAME", ending,
                            " for several pictures, got '", path, "'"));
}

void encode(const InOut& options) {
  if (is_picture_set(options.in)) require_ending("--out", options.out, ".safetensors");
  require_writable_file(options.out);
  if (is_picture_set(options.in)) {
    std::printf("%s: %s\n", printable(options.out).c_str(),
                encode_pictures(options.model, pictures_of(options)).c_str());
    return;
  }
  const Image image = Image::open(options.in, {.exif = !options.ignore_exif});
  const Autoencoder autoencoder(open_model(options.model, {.decoder = false, .dit = false}),
                                {.keep_loaded = false, .dtype = options.model.dtype});
  const Tensor<float> latent = autoencoder.encode(image);  // (1, C, h, w)
  stop_if_interrupted();
  write_tensor(options.out, "latent", latent, {{"model", autoencoder.config().name}});
  std::printf("%s: latent %s\n", printable(options.out).c_str(),
              latent.shape().to_string().c_str());
}

void decode(const InOut& options) {
  if (!options.images_out.empty() && options.images_out == options.out)
    throw UsageError("--images-out: names the same file as --out");
  require_writable_output(options.out);
  if (!options.images_out.empty()) require_writable_file(options.images_out);
  const Autoencoder autoencoder(open_model(options.model, {.encoder = false, .dit = false}),
                                {.keep_loaded = false, .dtype = options.model.dtype});
  const auto latents = read_latents(options.in, {"latent", "sample_latent"},
                                    autoencoder.config().latent_shape());  // (B, C, h, w)
  ProgressBar bar("decoding");
  const Tensor<float> pixels =
      decode_all_pixels(autoencoder, latents, 0, bar);  // (B, channels, H, W)
  stop_if_interrupted();
  const std::vector<Image> images = Image::from_batch(pixels);
  const Samples samples{.images = images,
                        .grid_text = {{"model", autoencoder.config().name}},
                        .columns = grid_columns(static_cast<index_t>(images.size()), 1)};
  UnfinishedOutput unfinished;
  if (!options.images_out.empty()) {
    unfinished.will_create(options.images_out);
    write_tensor(options.images_out, "reconstruction", pixels, samples.grid_text);
  }
  const std::string summary = write_samples(options.out, samples, false);
  unfinished.finish();
  bar.clear();
  std::printf("%s: %s\n", printable(options.out).c_str(), summary.c_str());
}

void reconstruct(const InOut& options) {
  const bool several = is_picture_set(options.in);
  if (!several && !options.originals_out.empty())
    throw UsageError("--originals-out: expected a folder of pictures as the input");
  if (several) require_ending("--out", options.out, ".npz");
  require_writable_file(options.out);
  if (several) {
    if (!options.originals_out.empty()) {
      require_ending("--originals-out", options.originals_out, ".npz");
      if (options.originals_out == options.out)
        throw UsageError("--originals-out: names the same file as --out");
      require_writable_file(options.originals_out);
    }
    std::printf("%s: %s\n", printable(options.out).c_str(),
                reconstruct_pictures(options.model, pictures_of(options)).c_str());
    return;
  }
  const Image image = Image::open(options.in, {.exif = !options.ignore_exif});
  const Autoencoder autoencoder(open_model(options.model, {.dit = false}),
                                {.keep_loaded = false, .dtype = options.model.dtype});
  const Image original = autoencoder.prepare(image), result = autoencoder.reconstruct(image);
  stop_if_interrupted();
  const Shape shape{1, original.height(), original.width(), index_t{original.channels()}};
  const double quality = psnr(View<const std::uint8_t>(result.pixels().data(), shape),
                              View<const std::uint8_t>(original.pixels().data(), shape));
  result.save_png(options.out, {{"model", autoencoder.config().name}});
  std::printf("%s: %lld x %lld, PSNR %.2f dB\n", printable(options.out).c_str(),
              static_cast<long long>(result.width()), static_cast<long long>(result.height()),
              quality);
}

}  // namespace

void add_encode(CLI::App& app) {
  const auto options = std::make_shared<InOut>();
  CLI::App* command = add_in_out(app,
                                 {"encode", "Turn pictures into latents", "--image,IN", kPicture,
                                  "-o,--out,OUT", "FILE.safetensors to write"},
                                 encode, options);
  add_folder_options(*command, *options);
  command
      ->add_option("--per-file", options->per_file,
                   "latents of a folder in one file (default: as many as fit into 256 MiB)")
      ->type_name("N")
      ->check(CLI::Range(index_t{1}, index_t{1} << 40));
  command->footer(
      "The central square of the picture is resized to the model's size. The file holds\n"
      "one tensor: 'latent', (1, C, h, w), f32, normalised as the input of the diffusion\n"
      "model.\n"
      "\n"
      "For a folder it holds (N, C, h, w), in the order of the pictures' names, which are in the\n"
      "metadata. More latents than --per-file are written to NAME-00001-of-00004.safetensors and\n"
      "so on, beside NAME.safetensors.index.json. After an interruption, the same command keeps\n"
      "the complete files.\n"
      "\n"
      "Examples:\n"
      "  rae encode shirt.png shirt.safetensors\n"
      "  rae encode pictures/ latents.safetensors\n"
      "  rae encode --config DINOv2-B.yaml --image in.png --out z.safetensors\n"
      "  rae info shirt.safetensors");
}

void add_decode(CLI::App& app) {
  const auto options = std::make_shared<InOut>();
  CLI::App* command = add_in_out(
      app,
      {"decode", "Turn latents into pictures", "--latent,IN",
       "FILE.safetensors with a tensor 'latent' or 'sample_latent', (B, C, h, w)", "-o,--out,OUT",
       "FILE.png (several pictures become a grid), FILE.npz, or a folder"},
      decode, options);
  command
      ->add_option("--images-out", options->images_out,
                   "also write the pixels, neither clamped nor rounded: safetensors, tensor "
                   "'reconstruction' (B, channels, H, W)")
      ->type_name("FILE");
  command->footer(
      "Examples:\n"
      "  rae decode shirt.safetensors shirt.png\n"
      "  rae generate --count 4 --latent-out l.safetensors\n"
      "  rae decode l.safetensors pictures/\n"
      "  rae decode --config DINOv2-B.yaml --latent z.safetensors --out out.png");
}

void add_reconstruct(CLI::App& app) {
  const auto options = std::make_shared<InOut>();
  CLI::App* command =
      add_in_out(app,
                 {"reconstruct", "Encode and decode pictures", "--image,IN", kPicture,
                  "-o,--out,OUT", "FILE.png to write; FILE.npz for several pictures"},
                 reconstruct, options);
  add_folder_options(*command, *options);
  command
      ->add_option("--originals-out", options->originals_out,
                   "also write the pictures of a folder before their reconstruction, cut to the "
                   "model's size: FILE.npz")
      ->type_name("FILE");
  command->footer(
      "The central square of the picture is resized to the model's size first; the PSNR\n"
      "compares with that square.\n"
      "\n"
      "For a folder, the archive holds arr_0 (N, H, W, channels), in the order of the pictures'\n"
      "names. After an interruption, the same command continues. The quality of the\n"
      "reconstructions is then measured by 'rae evaluate'.\n"
      "\n"
      "Examples:\n"
      "  rae reconstruct shirt.png shirt_again.png\n"
      "  rae reconstruct pictures/ --out recon.npz --originals-out originals.npz\n"
      "  rae evaluate recon.npz originals.npz --inception-weights inception.pth\n"
      "  rae reconstruct --config DINOv2-B.yaml in.png out.png");
}

}  // namespace rae::tool
