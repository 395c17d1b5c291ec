// `rae encode`, `rae decode`, `rae reconstruct`: pictures to latents and back.
#include <cstdio>
#include <memory>

#include "rae/io/safetensors.hpp"
#include "rae/metrics/psnr.hpp"
#include "tool/command.hpp"
#include "tool/model.hpp"
#include "tool/output.hpp"
#include "tool/sample_output.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

struct InOut {
  std::string model = "builtin", in, out;
};

/// Adds a command of the form `rae NAME IN OUT`.
CLI::App* add_in_out(CLI::App& app, const std::string& name, const std::string& description, const std::string& in, const std::string& out,
                     void (*run)(const InOut&)) {
  const auto options = std::make_shared<InOut>();
  CLI::App* command = app.add_subcommand(name, description);
  command->add_option("IN", options->in, in)->type_name("")->required();
  command->add_option("OUT", options->out, out)->type_name("")->required();
  add_model_option(*command, options->model);
  add_threads_option(*command);
  command->callback([options, run] { run(*options); });
  return command;
}

void encode(const InOut& options) {
  require_writable_file(options.out);
  const Image image = Image::open(options.in);
  const auto autoencoder = Autoencoder::load(model_path(options.model));
  const SafetensorsEntry entry{"latent", autoencoder.encode(image)};  // (1, C, h, w)
  stop_if_interrupted();
  write_safetensors(options.out, {&entry, 1}, {{"model", autoencoder.config().name}});
  std::printf("%s: latent %s\n", printable(options.out).c_str(), shape_of(entry.tensor).to_string().c_str());
}

void decode(const InOut& options) {
  require_writable_output(options.out);
  const auto autoencoder = Autoencoder::load(model_path(options.model));
  const auto latents = read_latents(options.in, {"latent", "sample_latent"}, autoencoder.config().latent_shape());  // (B, C, h, w)
  ProgressBar bar("decoding");
  const auto images = decode_all(autoencoder, latents, 0, bar);
  stop_if_interrupted();
  const Samples samples{.images = images,
                        .grid_text = {{"model", autoencoder.config().name}},
                        .columns = grid_columns(static_cast<index_t>(images.size()), 1)};
  const std::string what = write_samples(options.out, samples, false);
  bar.clear();
  std::printf("%s: %s\n", printable(options.out).c_str(), what.c_str());
}

void reconstruct(const InOut& options) {
  require_writable_file(options.out);
  const Image image = Image::open(options.in);
  const auto autoencoder = Autoencoder::load(model_path(options.model));
  const Image original = autoencoder.prepare(image), result = autoencoder.reconstruct(image);
  stop_if_interrupted();
  const Shape shape{1, original.height(), original.width(), index_t{original.channels()}};
  const double quality =
      psnr(View<const std::uint8_t>(result.pixels().data(), shape), View<const std::uint8_t>(original.pixels().data(), shape));
  result.save_png(options.out, {{"model", autoencoder.config().name}});
  std::printf("%s: %lld x %lld, PSNR %.2f dB\n", printable(options.out).c_str(), static_cast<long long>(result.width()),
              static_cast<long long>(result.height()), quality);
}

}  // namespace

void add_encode(CLI::App& app) {
  add_in_out(app, "encode", "Turn a picture into a latent", "a PNG, JPEG or BMP picture", "FILE.safetensors to write", encode)
      ->footer(
          "The middle square of the picture is brought to the model's size. The file gets\n"
          "one tensor: 'latent', (1, C, h, w), f32, normalised as the diffusion model sees it.\n"
          "\n"
          "Examples:\n"
          "  rae encode shirt.png shirt.safetensors\n"
          "  rae info shirt.safetensors");
}

void add_decode(CLI::App& app) {
  add_in_out(app, "decode", "Turn latents into pictures", "FILE.safetensors with a tensor 'latent' or 'sample_latent', (B, C, h, w)",
             "FILE.png (several pictures become a grid), FILE.npz, or a folder", decode)
      ->footer(
          "Examples:\n"
          "  rae decode shirt.safetensors shirt.png\n"
          "  rae generate --count 4 --latent-out l.safetensors\n"
          "  rae decode l.safetensors pictures/");
}

void add_reconstruct(CLI::App& app) {
  add_in_out(app, "reconstruct", "Encode a picture, decode it again, and say how close it is", "a PNG, JPEG or BMP picture",
             "FILE.png to write", reconstruct)
      ->footer(
          "The middle square of the picture is brought to the model's size first; PSNR\n"
          "compares with that.\n"
          "\n"
          "Examples:\n"
          "  rae reconstruct shirt.png shirt_again.png");
}

}  // namespace rae::tool
