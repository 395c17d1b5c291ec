// Loads the networks of a model: all at once, or each when it is needed, in the memory of the
// largest.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/formats/model_files.hpp"
#include "rae/load/load_options.hpp"
#include "rae/models/rae.hpp"

namespace rae::detail {

/// Loads networks from files and packs them for inference; there is one copy of each. All members
/// can be called from several threads; a released network stays alive while a thread computes with
/// it.
class NetworkLoader {
 public:
  /// `used` are the networks that may be requested; an absent one is an error only when it is
  /// requested. Throws ConfigError for a configuration that `validate` refuses, or a matrix without
  /// a type in `LoadOptions::layer_types`; MemoryError when
  /// the networks do not fit, before anything is read; ArgumentError for an unsupported type; with
  /// `keep_loaded` also the errors of loading, FormatError and ShapeError.
  NetworkLoader(ModelFiles files, const LoadOptions& options, std::vector<NetworkRole> used);

  /// Everything about the model except its weights.
  [[nodiscard]] const ModelConfig& config() const noexcept { return config_; }

  /// Statistics of the latents.
  [[nodiscard]] const LatentNorm<float>& latent_norm() const noexcept { return latent_norm_; }

  /// The type of the matrices of all networks, with the exceptions of weight_types.hpp; with a type
  /// for each matrix, the narrowest.
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }

  /// The name of that type, or "mixed" with a type for each matrix.
  [[nodiscard]] std::string_view type_name() const noexcept {
    return name_of(dtype_, layer_types_);
  }

  /// True when the files have this network.
  [[nodiscard]] bool has(NetworkRole role) const noexcept;

  /// A network, which is loaded if necessary. Throws FormatError when the model has none or tensors
  /// are missing, ShapeError.
  [[nodiscard]] std::shared_ptr<const EncoderNetwork<Tensor<float>>> encoder() const;
  /// See `encoder`.
  [[nodiscard]] std::shared_ptr<const Decoder<Tensor<float>>> decoder() const;
  /// See `encoder`.
  [[nodiscard]] std::shared_ptr<const BackboneNetwork<Tensor<float>>> dit() const;
  /// See `encoder`.
  [[nodiscard]] std::shared_ptr<const BackboneNetwork<Tensor<float>>> guide() const;

  /// The autoencoder with only its encoder or only its decoder, by `role`; see `encoder`.
  [[nodiscard]] Rae<float> autoencoder(NetworkRole role) const;

 private:
  struct Loaded {
    std::shared_ptr<const EncoderNetwork<Tensor<float>>> encoder;
    std::shared_ptr<const Decoder<Tensor<float>>> decoder;
    std::shared_ptr<const BackboneNetwork<Tensor<float>>> dit, guide;
  };

  [[nodiscard]] const TensorGroup& group_of(NetworkRole role) const;
  void require_packing(const ModelFiles& files, const LoadOptions& options) const;
  void require_memory(const LoadOptions& options, const std::vector<NetworkRole>& used) const;
  template <class Make>
  [[nodiscard]] auto load(NetworkRole role, Make make) const;

  ModelConfig config_;
  LatentNorm<float> latent_norm_;
  std::string origin_;
  bool packed_, keep_;
  DType dtype_;
  LayerTypes layer_types_;
  bool has_[4] = {};
  mutable std::mutex mutex_;
  mutable std::optional<TensorGroup> groups_[4];  // released when all networks are loaded and kept
  mutable Loaded loaded_;
};

}  // namespace rae::detail
