#include "train/pretrained_encoder.hpp"

#include <filesystem>
#include <utility>

#include "rae/formats/huggingface_encoder.hpp"

namespace rae::detail {

TakenEncoder open_pretrained(const std::string& path) {
  std::error_code none;
  if (!std::filesystem::is_regular_file(path, none)) {
    PretrainedEncoder folder = open_encoder_folder(path);
    return {folder.config, folder.pixels, std::move(folder.file)};
  }
  ModelFiles bundle = ModelFiles::open(path);
  if (!bundle.encoder)
    raise<FormatError>(path, ": has no encoder, which encoder.pretrained of a recipe needs");
  if (bundle.packed)
    raise<FormatError>(path,
                       ": its weights are packed for the kernels of one machine; use the bundle "
                       "that it was packed from");
  return {std::move(bundle.config.encoder), bundle.config.pixels, std::move(*bundle.encoder)};
}

}  // namespace rae::detail
