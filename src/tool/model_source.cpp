#include "tool/model_source.hpp"

#include <filesystem>

#include "rae/formats/diffusers_autoencoder.hpp"
#include "rae/formats/huggingface_encoder.hpp"
#include "rae/formats/official/open.hpp"
#include "rae/io/safetensors.hpp"
#include "tool/command.hpp"
#include "tool/output.hpp"

namespace rae::tool {
namespace {

namespace fs = std::filesystem;

/// The official encoders divide pictures of 256 x 256 pixels into 16 x 16 patches.
constexpr index_t kPixelsPerToken = 16;

ModelFiles open_encoder(const std::string& folder, index_t image_size) {
  PretrainedEncoder encoder = open_encoder_folder(folder);
  if (image_size < kPixelsPerToken || image_size % kPixelsPerToken != 0)
    throw UsageError(
        concat("--image-size: expected a multiple of ", kPixelsPerToken, ", got ", image_size));
  ModelFiles out;
  out.origin = folder;
  out.config.name = base_name(folder);
  out.config.encoder = encoder.config;
  out.config.pixels = encoder.pixels;
  out.config.image_size = image_size;
  out.config.encoder_size = image_size / kPixelsPerToken * encoder.config.patch_size;
  out.encoder = std::move(encoder.file);
  return out;
}

}  // namespace

std::string base_name(const std::string& path) {
  const fs::path normal = fs::path(path).lexically_normal();
  return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
}

ModelKind model_kind(const std::string& path) {
  if (has_extension(path, ".yaml") || has_extension(path, ".yml")) return ModelKind::official;
  std::error_code none;
  if (!fs::is_directory(path, none)) return ModelKind::bundle;
  if (const std::string name = diffusers_class(path); !name.empty())
    return name == "AutoencoderRAE" ? ModelKind::diffusers : ModelKind::other_diffusers;
  if (fs::exists(fs::path(path) / "config.json", none)) return ModelKind::encoder;
  raise<FileError>("'", path,
                   "' holds no config.json; expected a folder of diffusers (AutoencoderRAE) or of "
                   "a Hugging Face encoder");
}

ModelSource open_model_source(const std::string& path, const std::string& models_dir,
                              index_t image_size) {
  ModelSource out;
  out.kind = model_kind(path);
  switch (out.kind) {
    case ModelKind::official: out.files = open_official(path, {.models_dir = models_dir}); break;
    case ModelKind::diffusers: out.files = open_diffusers_autoencoder(path); break;
    case ModelKind::encoder: out.files = open_encoder(path, image_size); break;
    case ModelKind::other_diffusers: refuse_diffusers_class(path, diffusers_class(path));
    case ModelKind::bundle:
      out.files = ModelFiles::open(path);
      out.notes = SafetensorsFile::open(path).metadata();
      out.notes.erase("config");
      break;
  }
  return out;
}

}  // namespace rae::tool
