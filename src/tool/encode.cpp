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

constexpr const char* kPicture = "a PNG, JPEG, WebP or BMP picture, or - (stdin)";

struct InOut {
  ModelChoice model;
  std::string in, out, images_out;
  bool ignore_exif = false, overwrite = false;
};

/// Names and help of the input and output of a command. A name joins the option and the positional
/// argument, "--image,IN".
struct InOutNames {
  std::string command, description, in, in_help, out, out_help;
};

/// Adds a command of the form `rae NAME IN OUT`.
CLI::App* add_in_out(CLI::App& app, const InOutNames& names, void (*run)(InOut&),
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

void encode(InOut& options) {
  CommandFiles files;
  declare_model(files, options.model);
  const std::string in = files.input("--image", options.in),
                    out = files.output("--out", options.out, {".safetensors"});
  const Image image = Image::open(in, {.exif = !options.ignore_exif});
  const Autoencoder autoencoder(open_model(options.model, {.decoder = false, .dit = false}),
                                {.keep_loaded = false, .dtype = options.model.dtype});
  const Tensor<float> latent = autoencoder.encode(image);  // (1, C, h, w)
  stop_if_interrupted();
  write_tensor(out, "latent", latent, {{"model", autoencoder.config().name}});
  files.finish();
  files.print(concat(options.out, ": latent ", latent.shape()));
}

void decode(InOut& options) {
  CommandFiles files;
  declare_model(files, options.model);
  const std::string in = files.input("--latent", options.in);
  const SampleOutput out = declare_samples(files, "--out", options.out, options.overwrite);
  std::string& images_out = options.images_out;
  if (!images_out.empty()) images_out = files.output("--images-out", images_out, {".safetensors"});
  const Autoencoder autoencoder(open_model(options.model, {.encoder = false, .dit = false}),
                                {.keep_loaded = false, .dtype = options.model.dtype});
  const auto latents = read_latents(in, {"latent", "sample_latent"},
                                    autoencoder.config().latent_shape());  // (B, C, h, w)
  const index_t columns = grid_columns(latents.extent(0), 1);
  const Shape picture = autoencoder.config().image_shape();  // (channels, H, W)
  require_grid_fits(out, false, latents.extent(0), columns, picture[1], picture[2]);
  ProgressBar bar("decoding");
  const Tensor<float> pixels =
      decode_all_pixels(autoencoder, latents, 0, bar);  // (B, channels, H, W)
  stop_if_interrupted();
  const std::vector<Image> images = Image::from_batch(pixels);
  const Samples samples{
      .images = images, .grid_text = {{"model", autoencoder.config().name}}, .columns = columns};
  UnfinishedOutput unfinished;
  if (!images_out.empty()) {
    unfinished.will_create(images_out);
    write_tensor(images_out, "reconstruction", pixels, samples.grid_text);
  }
  if (out.kind != OutputKind::folder) unfinished.will_create(out.path);
  const std::string summary = write_samples(out, samples, false);
  files.finish();
  unfinished.finish();
  bar.clear();
  files.print(concat(options.out, ": ", summary));
}

void reconstruct(InOut& options) {
  CommandFiles files;
  declare_model(files, options.model);
  const std::string in = files.input("--image", options.in),
                    out = files.output("--out", options.out, {".png"});
  const Image image = Image::open(in, {.exif = !options.ignore_exif});
  const Autoencoder autoencoder(open_model(options.model, {.dit = false}),
                                {.keep_loaded = false, .dtype = options.model.dtype});
  const Image original = autoencoder.prepare(image), result = autoencoder.reconstruct(image);
  stop_if_interrupted();
  const Shape shape{1, original.height(), original.width(), index_t{original.channels()}};
  const double quality = psnr(View<const std::uint8_t>(result.pixels().data(), shape),
                              View<const std::uint8_t>(original.pixels().data(), shape));
  result.save_png(out, {{"model", autoencoder.config().name}});
  files.finish();
  files.print(concat(options.out, ": ", result.width(), " x ", result.height(), ", PSNR ",
                     format_fixed(quality, 2), " dB"));
}

}  // namespace

void add_encode(CLI::App& app) {
  const auto options = std::make_shared<InOut>();
  CLI::App* command = add_in_out(app,
                                 {"encode", "Turn a picture into a latent", "--image,IN", kPicture,
                                  "-o,--out,OUT", "FILE.safetensors to write, or - (stdout)"},
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
       "FILE.safetensors with a tensor 'latent' or 'sample_latent', (B, C, h, w), or - (stdin)",
       "-o,--out,OUT",
       "FILE.png (several pictures become a grid), FILE.npz, a new or empty folder, or - (a PNG on "
       "stdout)"},
      decode, options);
  add_overwrite_option(*command, options->overwrite);
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
      "  rae encode shirt.png - | rae decode - - > again.png\n"
      "  rae decode --config DINOv2-B.yaml --latent z.safetensors --out out.png");
}

void add_reconstruct(CLI::App& app) {
  const auto options = std::make_shared<InOut>();
  CLI::App* command =
      add_in_out(app,
                 {"reconstruct", "Encode and decode a picture, and print the PSNR", "--image,IN",
                  kPicture, "-o,--out,OUT", "FILE.png to write, or - (stdout)"},
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
