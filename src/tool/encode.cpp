// `rae encode`, `rae decode`, `rae reconstruct`: pictures to latents and back.
#include <cstdio>
#include <memory>

#include "rae/metrics/psnr.hpp"
#include "tool/model.hpp"
#include "tool/output.hpp"
#include "tool/sample_output.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

constexpr const char* kPicture = "a PNG, JPEG, WebP or BMP picture";

struct InOut {
  ModelChoice model;
  std::string in, out, images_out;
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

void encode(const InOut& options) {
  require_writable_file(options.out);
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
  require_writable_file(options.out);
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
                                 {"encode", "Turn a picture into a latent", "--image,IN", kPicture,
                                  "-o,--out,OUT", "FILE.safetensors to write"},
                                 encode, options);
  add_ignore_exif(*command, *options);
  command->footer(
      "The central square of the picture is resized to the model's size. The file holds\n"
      "one tensor: 'latent', (1, C, h, w), f32, normalised as the input of the diffusion\n"
      "model.\n"
      "\n"
      "Examples:\n"
      "  rae encode shirt.png shirt.safetensors\n"
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
  CLI::App* command = add_in_out(app,
                                 {"reconstruct", "Encode and decode a picture, and print the PSNR",
                                  "--image,IN", kPicture, "-o,--out,OUT", "FILE.png to write"},
                                 reconstruct, options);
  add_ignore_exif(*command, *options);
  command->footer(
      "The central square of the picture is resized to the model's size first; the PSNR\n"
      "compares with that square.\n"
      "\n"
      "Examples:\n"
      "  rae reconstruct shirt.png shirt_again.png\n"
      "  rae reconstruct --config DINOv2-B.yaml in.png out.png");
}

}  // namespace rae::tool
