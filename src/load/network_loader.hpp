// The parts of a model as they are needed: all at once, or one stage after the other in the memory
// of the largest.
#pragma once

#include <memory>
#include <mutex>
#include <variant>
#include <vector>

#include "rae/spec/model_files.hpp"

namespace rae::detail {

/// The network that predicts, whichever the model has.
using DiffusionNetwork = std::variant<DitDh<Tensor<float>>, LightningDit<Tensor<float>>>;

/// What a model consists of.
enum class Part { encoder, decoder, dit, guide };

/// Loads parts from files, packed for inference and held once. All members can be called from
/// several threads; a part that is let go of stays alive while a thread computes with it.
class PartLoader {
 public:
  /// `used` are the parts that will be asked for; what the files do not have of them fails when it
  /// is asked for. Throws MemoryError when they do not fit, before anything is read; with
  /// `keep_loaded` also what loading throws: FormatError, ShapeError.
  PartLoader(ModelFiles files, const LoadOptions& options, std::vector<Part> used);

  /// Everything about the model that is not a weight.
  [[nodiscard]] const ModelConfig& config() const noexcept { return config_; }

  /// Statistics of the latents.
  [[nodiscard]] const LatentNorm<float>& latent_norm() const noexcept { return latent_norm_; }

  /// What the matrices of all parts are held as, but for exceptions (see weight_types.hpp).
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }

  /// True when the files have this part.
  [[nodiscard]] bool has(Part part) const noexcept;

  /// A part, loaded if need be. Throws FormatError when the model has none or tensors are missing,
  /// ShapeError.
  [[nodiscard]] std::shared_ptr<const Encoder<Tensor<float>>> encoder() const;
  /// See `encoder`.
  [[nodiscard]] std::shared_ptr<const Decoder<Tensor<float>>> decoder() const;
  /// See `encoder`.
  [[nodiscard]] std::shared_ptr<const DiffusionNetwork> dit() const;
  /// See `encoder`.
  [[nodiscard]] std::shared_ptr<const DiffusionNetwork> guide() const;

 private:
  struct Loaded {
    std::shared_ptr<const Encoder<Tensor<float>>> encoder;
    std::shared_ptr<const Decoder<Tensor<float>>> decoder;
    std::shared_ptr<const DiffusionNetwork> dit, guide;
  };

  [[nodiscard]] const PartFile& file_of(Part part) const;
  [[nodiscard]] std::uint64_t bytes_of(Part part) const;
  void require_memory(const LoadOptions& options, const std::vector<Part>& used) const;

  ModelConfig config_;
  LatentNorm<float> latent_norm_;
  std::string origin_;
  bool packed_, keep_;
  DType dtype_;
  bool has_[4] = {};
  mutable std::mutex mutex_;
  mutable std::optional<PartFile> files_[4];  // let go of once everything is loaded for good
  mutable Loaded loaded_;
};

}  // namespace rae::detail
