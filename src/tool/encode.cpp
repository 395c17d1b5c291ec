// `rae encode`, `rae decode`, `rae reconstruct`: pictures to latents and back.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "rae/metrics/psnr.hpp"
#include "tool/folder_encoding.hpp"
#include "tool/model.hpp"
#include "tool/numbers.hpp"
#include "tool/output.hpp"
#include "tool/picture_set.hpp"
#include "tool/ranks.hpp"
#include "tool/sample_output.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

constexpr const char* kPicture =
    "a PNG, JPEG, WebP or BMP picture, or - (stdin), or a folder or .npz archive of pictures";

struct InOut {
  ModelChoice model;
  std::string in, out, images_out, originals_out;
  index_t batch = FolderEncoding{}.batch, per_file = 0;
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

/// Adds the options of commands that read a folder of pictures.
void add_folder_options(CLI::App& command, InOut& options) {
  add_ignore_exif(command, options);
  add_whole_option(command, "--batch", options.batch,
                   "pictures of a folder that are encoded together", 1, 4096);
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

/// Declares the picture or the pictures to read; returns whether there are several.
bool declare_pictures(CommandFiles& files, InOut& options) {
  std::error_code none;
  if (std::filesystem::is_directory(options.in, none)) {
    files.input_folder("--image", options.in);
    return true;
  }
  const bool archive = is_picture_set(options.in);
  options.in = files.input("--image", options.in);
  return archive || is_zip_file(options.in);
}

void encode(InOut& options) {
  Communicator& all = patient_ranks();
  CommandFiles files;
  bool several = false;
  std::string out;
  all.agree([&] {
    declare_model(files, options.model);
    several = declare_pictures(files, options);
    out = files.output("--out", options.out, {".safetensors"});
    if (several && files.writes_stdout())
      throw UsageError(
          "--out: '-' (stdout) cannot be several files; name a file for several pictures");
  });
  if (several)
    return files.print(
        concat(options.out, ": ", encode_pictures(options.model, pictures_of(options))));
  all.on_root([&] {
    const Image image = Image::open(options.in, {.exif = !options.ignore_exif});
    const Autoencoder autoencoder(open_model(options.model, {.decoder = false, .dit = false}),
                                  load_options(options.model, false));
    const Tensor<float> latent = autoencoder.encode(image);  // (1, C, h, w)
    stop_if_interrupted();
    write_tensor(out, "latent", latent, {{"model", autoencoder.config().name}});
    files.finish();
    files.print(concat(options.out, ": latent ", latent.shape()));
  });
}

void decode(InOut& options) {
  CommandFiles files;
  declare_model(files, options.model);
  const std::string in = files.input("--latent", options.in);
  const SampleOutput out = declare_samples(files, "--out", options.out, options.overwrite);
  std::string& images_out = options.images_out;
  if (!images_out.empty()) images_out = files.output("--images-out", images_out, {".safetensors"});
  const Autoencoder autoencoder(open_model(options.model, {.encoder = false, .dit = false}),
                                load_options(options.model, false));
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

/// Reconstructs one picture.
void reconstruct_one(const InOut& options, CommandFiles& files) {
  const std::string out = files.output("--out", options.out, {".png"});
  const Image image = Image::open(options.in, {.exif = !options.ignore_exif});
  const Autoencoder autoencoder(open_model(options.model, {.dit = false}),
                                load_options(options.model, false));
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

void reconstruct(InOut& options) {
  Communicator& all = patient_ranks();
  CommandFiles files;
  bool several = false;
  FolderEncoding pictures;
  all.agree([&] {
    declare_model(files, options.model);
    several = declare_pictures(files, options);
    if (!several && !options.originals_out.empty())
      throw UsageError("--originals-out: expected a folder of pictures as the input");
    if (!several) return;
    pictures = pictures_of(options);
    pictures.out = files.output("--out", options.out, {".npz"});
    if (!options.originals_out.empty())
      pictures.originals = files.output("--originals-out", options.originals_out, {".npz"});
  });
  if (!several) return all.on_root([&] { reconstruct_one(options, files); });
  const std::string summary = reconstruct_pictures(options.model, pictures);
  all.on_root([&] { files.finish(); });
  files.print(concat(options.out, ": ", summary));
}

}  // namespace

void add_encode(CLI::App& app) {
  const auto options = std::make_shared<InOut>();
  CLI::App* command = add_in_out(app,
                                 {"encode", "Turn pictures into latents", "--image,IN", kPicture,
                                  "-o,--out,OUT", "FILE.safetensors to write, or - (stdout)"},
                                 encode, options);
  add_folder_options(*command, *options);
  add_whole_option(*command, "--per-file", options->per_file,
                   "latents of a folder in one file (default: as many as fit into 256 MiB)", 1,
                   std::uint64_t{1} << 40)
      ->default_str("");
  command->footer(
      "The central square of the picture is resized to the model's size. The file holds\n"
      "one tensor: 'latent', (1, C, h, w), f32, normalised as the input of the diffusion\n"
      "model.\n"
      "\n"
      "For a folder it holds (N, C, h, w), in the order of the pictures' names, which are in the\n"
      "metadata. More latents than --per-file are written to NAME-00001-of-00004.safetensors and\n"
      "so on, beside NAME.safetensors.index.json. After an interruption, the same command keeps\n"
      "the complete files. Processes that mpirun starts share the pictures of a folder.\n"
      "\n"
      "Examples:\n"
      "  rae encode shirt.png shirt.safetensors\n"
      "  rae encode pictures/ latents.safetensors\n"
      "  mpirun -n 8 rae encode pictures/ latents.safetensors\n"
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
  CLI::App* command = add_in_out(
      app,
      {"reconstruct", "Encode and decode pictures", "--image,IN", kPicture, "-o,--out,OUT",
       "FILE.png to write, FILE.npz for several pictures, or - (stdout)"},
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
      "names. After an interruption, the same command continues. Processes that mpirun starts\n"
      "share the pictures. The quality of the reconstructions is then measured by 'rae evaluate'.\n"
      "\n"
      "Examples:\n"
      "  rae reconstruct shirt.png shirt_again.png\n"
      "  rae reconstruct pictures/ --out recon.npz --originals-out originals.npz\n"
      "  rae evaluate recon.npz originals.npz --inception-weights inception.pth\n"
      "  rae reconstruct --config DINOv2-B.yaml in.png out.png");
}

}  // namespace rae::tool
