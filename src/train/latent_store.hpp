// Latents of pictures in a file, so that later epochs and later runs need no encoder for them.
//
// Diffusion Transformers with Representation Autoencoders, section 4: the flow is trained on the
// latents of a frozen encoder, so that a picture has the same latent in every epoch.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "rae/core/dtype.hpp"
#include "rae/core/shape.hpp"

namespace rae::detail {

/// A safetensors file with the tensors "check" (N), int64, and "latent" (N, C, h, w). It has its
/// full size from the beginning, and latents are added in any order. A latent is valid when its
/// check is its CRC-32 plus 2^32, so a file of a run that was killed, or of a machine that lost its
/// power, gives no wrong numbers: latents that were not written completely count as missing.
///
/// The file is read by calls instead of a memory map, because a disk that fails is then an error
/// and not a signal; pages that were read stay in the cache of the system in both cases.
class LatentStore {
 public:
  /// Opens the file at `path`, or makes it where it is missing or belongs to another `identity`,
  /// number or shape of latents, or type. `latent` is (C, h, w), `stored_as` f32 or bf16. Throws
  /// FileError, also when the disk has no room for all latents.
  LatentStore(const std::string& path, const std::string& identity, index_t count,
              const Shape& latent, DType stored_as);
  LatentStore(const LatentStore&) = delete;
  LatentStore& operator=(const LatentStore&) = delete;
  ~LatentStore();

  /// Bytes of a file.
  [[nodiscard]] static std::uint64_t bytes_of(index_t count, const Shape& latent, DType stored_as);

  /// True when latent `i` was written.
  [[nodiscard]] bool contains(index_t i) const;
  /// Reads latent `i` into `out`, C * h * w floats; false when it is missing or damaged. May be
  /// called from several threads, but not while `put` runs. Throws FileError.
  [[nodiscard]] bool get(index_t i, std::span<float> out) const;
  /// Writes latent `i`, rounded to the type of the file. Throws FileError.
  void put(index_t i, std::span<const float> latent);

 private:
  void make(const std::string& header, std::uint64_t size);

  std::string path_;
  DType stored_as_;
  std::uint64_t checks_begin_ = 0, latents_begin_ = 0, latent_bytes_ = 0;
  int descriptor_ = -1;
  std::vector<std::uint64_t> checks_;  // (N)
};

}  // namespace rae::detail
