#include "train/latent_file.hpp"

#include <filesystem>

#include "spec/model_size.hpp"
#include "train/latent_cache.hpp"

namespace rae::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kReserve = std::uint64_t{64} << 20;  // for checkpoints and pictures

/// Bytes that a file at `path` may have.
std::uint64_t room_for(const std::string& path) {
  std::error_code error;
  const fs::space_info space = fs::space(fs::path(path).parent_path(), error);
  if (error)
    raise<FileError>("cannot measure the room on the disk of '", path, "': ", error.message());
  const auto own = fs::file_size(path, error);
  return static_cast<std::uint64_t>(space.available) + (error ? 0 : own);
}

}  // namespace

LatentFileChoice choose_latent_file(const Recipe& recipe, const ImageDataset& data,
                                    const RankSharing& ranks, const std::string& path,
                                    std::optional<std::uint64_t> free_bytes) {
  const LatentFile wish = recipe.latents.file;
  if (!recipe.model.dit || wish == LatentFile::never) return {};
  if (!latents_repeat(data, recipe.flow.augmentation)) {
    if (wish == LatentFile::always)
      raise<ConfigError>(
          "latents.cache: the pictures vary by more than mirroring, so that their "
          "latents cannot be kept");
    return {};
  }
  if (ranks.several())
    return {false, wish == LatentFile::always
                       ? "latents.cache: several processes keep latents in memory, not in a file"
                       : ""};
  const std::uint64_t needed = LatentStore::bytes_of(
                          repeated_latents(data, recipe.flow.augmentation.flip),
                          recipe.model.latent_shape(), recipe.latents.stored_as),
                      room = free_bytes ? *free_bytes : room_for(path);
  if (wish == LatentFile::always && needed + kReserve > room)
    raise<FileError>(path, ": the latents of ", data.size(), " pictures need ",
                     in_gigabytes(needed), ", and the disk has ", in_gigabytes(room),
                     "; free some, store them as bf16 (latents.dtype), or set latents.cache to "
                     "false");
  if (wish == LatentFile::automatic && needed + kReserve > room / 2)
    return {false, concat("latents are kept in memory, because a file of ", in_gigabytes(needed),
                          " would take more than half of the disk's room")};
  return {true, ""};
}

}  // namespace rae::detail
