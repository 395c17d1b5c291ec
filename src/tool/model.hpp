// Opens the models that command lines name, and decodes latents with a progress bar.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rae/formats/official/open.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "tool/command.hpp"
#include "tool/command_files.hpp"
#include "tool/interrupt.hpp"
#include "tool/latents.hpp"
#include "tool/progress.hpp"

namespace rae::tool {

/// The name of the built-in model that is the default, whichever it is.
inline constexpr const char* kDefaultModel = "builtin";

/// The values of `--model`, `--config`, `--models` and `--dtype`.
struct ModelChoice {
  std::string model = kDefaultModel;  ///< as in `model_path`
  std::string config;                 ///< an official configuration instead of `model`
  std::string models;                 ///< folder to search for the files of `config`
  DTypeChoice dtype{};                ///< of matrix products
};

/// Adds `--model`, `--config`, `--models` and `--dtype`.
void add_model_options(CLI::App& command, ModelChoice& choice);

/// Declares the files of `choice` as inputs, and replaces stdin and pipes by copies.
void declare_model(CommandFiles& files, ModelChoice& choice);

/// Path of a model that is named on the command line. An existing file or folder of this name is
/// preferred; a note says so if a model has the same name. Else "builtin" is the default of the
/// built-in models, and the name of one of `named_models` is that model. A path that does not exist
/// is left to its reader. Throws FileError, which lists the names, when a name is unknown.
[[nodiscard]] std::string model_path(const std::string& model);

/// Opens the files of the model. For an official configuration, `wanted` selects the networks, and
/// notes about its interpretation go to stderr. Throws as `ModelFiles::open` and `open_official`.
[[nodiscard]] ModelFiles open_model(const ModelChoice& choice, OfficialOptions wanted = {});

/// Decodes latents (B, C, h, w) in batches of `batch_size` (0: 32), with a progress bar, to 8-bit
/// images. Throws Cancelled on Ctrl-C.
template <class Model>
[[nodiscard]] std::vector<Image> decode_all(const Model& model, const Tensor<float>& latents,
                                            index_t batch_size, ProgressBar& bar) {
  constexpr index_t kDefaultBatch = 32;
  const index_t total = latents.extent(0), part = batch_size > 0 ? batch_size : kDefaultBatch;
  std::vector<Image> images;
  for (index_t first = 0; first < total; first += part) {
    stop_if_interrupted();
    const index_t count = std::min(part, total - first);
    for (Image& image : model.decode(take_samples(latents, first, count)))
      images.push_back(std::move(image));
    bar.update(static_cast<double>(first + count), static_cast<double>(total),
               concat(first + count, "/", total));
  }
  return images;
}

/// Decodes to pixels (B, channels, H, W) that are neither clamped nor rounded.
template <class Model>
[[nodiscard]] Tensor<float> decode_all_pixels(const Model& model, const Tensor<float>& latents,
                                              index_t batch_size, ProgressBar& bar) {
  constexpr index_t kDefaultBatch = 32;
  const index_t total = latents.extent(0), part = batch_size > 0 ? batch_size : kDefaultBatch;
  Tensor<float> out;  // (B, channels, H, W)
  for (index_t first = 0; first < total; first += part) {
    stop_if_interrupted();
    const index_t count = std::min(part, total - first);
    const Tensor<float> pixels =
        model.decode_pixels(take_samples(latents, first, count));  // (b, channels, H, W)
    if (out.empty())
      out = Tensor<float>(Shape{total, pixels.extent(1), pixels.extent(2), pixels.extent(3)});
    std::copy_n(pixels.data(), pixels.numel(), out.data() + first * (pixels.numel() / count));
    bar.update(static_cast<double>(first + count), static_cast<double>(total),
               concat(first + count, "/", total));
  }
  return out;
}

/// The options that load the opened model with the type of `--dtype`.
[[nodiscard]] LoadOptions load_options(const ModelChoice& choice, bool keep_loaded);

/// Chooses `--dtype auto` for pictures of a published model (an official configuration, a folder of
/// diffusers or Hugging Face) unless `--dtype` is given. If this is not f32, a note on stderr says
/// so. Not for commands whose results are numbers to compare or to train with.
void prefer_fastest_dtype(ModelChoice& choice);

/// Writes one tensor, with the metadata `text`, to a safetensors file. Throws FileError.
void write_tensor(const std::string& path, const std::string& name, const Tensor<float>& tensor,
                  const std::map<std::string, std::string>& text);

}  // namespace rae::tool
