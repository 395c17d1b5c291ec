#include "tool/picture_start.hpp"

#include <filesystem>

#include "rae/generate/interpolation.hpp"
#include "rae/generate/token_mask.hpp"
#include "tool/numbers.hpp"
#include "tool/output.hpp"

namespace rae::tool {
namespace {

std::string file_name(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

/// Noise of all pictures: that of picture 0 of the seed, mixed with that of each variation.
Tensor<float> varied_noise(const Generator& generator, const GenerateOptions& options,
                           index_t variations, double share) {
  const auto classes = static_cast<index_t>(options.labels.size()) / variations;
  const Tensor<float> all =
      generator.noise(options.seed, variations, 0, options.rng);  // (variations, C, h, w)
  const Tensor<float> first = take_samples(all, 0, 1);            // (1, C, h, w)
  Tensor<float> out(all.shape().with(0, classes * variations));   // (B, C, h, w)
  float* target = out.data();
  for (index_t j = 0; j < variations; ++j) {
    const Tensor<float> one =
        spherical_path(first, take_samples(all, j, 1), {&share, 1});  // (1, C, h, w)
    for (index_t i = 0; i < classes; ++i)
      copy_elements(one.data(), one.numel(), target + (i * variations + j) * one.numel());
  }
  return out;
}

}  // namespace

double StartChoice::share() const {
  return strength.value_or(!mask.empty() ? 1.0 : !init.empty() ? 0.6 : 0.3);
}

void add_start_options(CLI::App& command, StartChoice& choice) {
  command
      .add_option("--init", choice.init,
                  "begin with this picture instead of noise: a PNG, JPEG, WebP or BMP file, or "
                  "latents (.safetensors, one for each picture or one for all)")
      ->type_name("IN");
  add_real_option(command, "--strength", choice.strength,
                  "with --init the share of the steps that are taken, from 0 (the picture after "
                  "encoding and decoding) to 1 (as without --init); default 0.6, with --mask 1. "
                  "With --variations alone the share of other noise, default 0.3",
                  {0, 1})
      ->type_name("SHARE");
  command
      .add_option("--mask", choice.mask,
                  "with --init: a picture of the same size, white where the picture changes and "
                  "black where it is kept, token by token")
      ->type_name("IN");
  add_whole_option(command, "--variations", choice.variations,
                   "pictures of each class that differ by their noise: with --init that many from "
                   "the picture, else the picture of --seed and others like it",
                   1, kMostPictures);
}

void declare_start(CommandFiles& files, StartChoice& choice) {
  if (!choice.mask.empty() && choice.init.empty())
    throw UsageError("--mask: needs --init, the picture of which a part is kept");
  if (choice.strength && !choice.any())
    throw UsageError("--strength: needs --init or --variations");
  choice.init_name = file_name(choice.init);
  choice.mask_name = file_name(choice.mask);
  if (!choice.init.empty()) choice.init = files.input("--init", choice.init);
  if (!choice.mask.empty()) choice.mask = files.input("--mask", choice.mask);
}

Tensor<float> latents_of_file(const std::string& path, const ModelFiles& model,
                              const LoadOptions& load) {
  if (has_extension(path, ".safetensors"))
    return read_latents(path, {"latent", "sample_latent"}, model.config.latent_shape());
  const Image image = Image::open(path);
  if (!model.encoder)
    raise<FormatError>(model.origin, ": has no encoder, which the picture '", path, "' needs");
  return Autoencoder(model, load).encode(image);
}

void set_start(const StartChoice& choice, const ModelFiles& model, const LoadOptions& load,
               const Generator& generator, GenerateOptions& options) {
  if (!choice.any()) return;
  if (choice.variations) {
    std::vector<std::int64_t> labels;
    for (const std::int64_t label : options.labels)
      labels.insert(labels.end(), static_cast<std::size_t>(*choice.variations), label);
    options.labels = std::move(labels);
  }
  if (choice.init.empty()) {
    options.noise = varied_noise(generator, options, *choice.variations, choice.share());
    return;
  }
  options.init = latents_of_file(choice.init, model, load);
  options.strength = choice.share();
  if (!choice.mask.empty()) {
    const Image mask = Image::open(choice.mask);
    if (!has_extension(choice.init_name, ".safetensors")) {
      const Image image = Image::open(choice.init);
      if (mask.width() != image.width() || mask.height() != image.height())
        raise<ArgumentError>("--mask: '", choice.mask_name, "' has ", mask.width(), " x ",
                             mask.height(), " pixels, but the picture of --init has ",
                             image.width(), " x ", image.height());
    }
    options.mask = token_mask(mask, model.config);
  }
}

void complete_text(const StartChoice& choice, const GenerateOptions& options,
                   std::map<std::string, std::string>& text) {
  if (!choice.init.empty()) text["init"] = choice.init_name;
  if (!choice.mask.empty()) text["mask"] = choice.mask_name;
  if (choice.init.empty() && choice.variations) {
    text.erase("noise");
    text["seed"] = std::to_string(options.seed);
    text["variation"] = concat(choice.share());
  }
}

}  // namespace rae::tool
