// Bundle: a model in one safetensors file, with its configuration as JSON in the metadata and all
// weights under the parameter names of this library.
#pragma once

#include <map>
#include <string>

#include "rae/core/dtype.hpp"
#include "rae/formats/fill_weights.hpp"
#include "rae/models/rae.hpp"

namespace rae {

/// Configuration and weights of a model. Tensors are named "encoder.*", "decoder.*", "dit.*",
/// "guide.*" (the prefix and the name of the parameter), and "latent_norm.mean", "latent_norm.var"
/// (C, h, w).
struct Bundle {
  ModelConfig config;                            ///< everything except the weights
  std::map<std::string, Tensor<float>> tensors;  ///< parameters and statistics by name
  std::map<std::string, std::string> notes;      ///< further metadata of the file (licence, data,
                                                 ///< training); "config" and "packed" are taken
  std::string origin = "bundle";                 ///< the file that it was loaded from, for messages

  /// Stores all parameters of a model under the names prefix + name, for example `store("dit.",
  /// model)`, in place of all tensors with that prefix. The model may be one for training (Var) or
  /// for inference (Tensor).
  template <class M>
  void store(const std::string& prefix, M& model) {
    remove(prefix);
    visit(prefix, model, [this](const std::string& name, auto& parameter) {
      if (parameter.empty()) return;
      using T = typename std::decay_t<decltype(parameter)>::T;
      if constexpr (std::same_as<T, float>)
        tensors.insert_or_assign(name, parameter.tensor());
      else
        tensors.insert_or_assign(name, convert<float>(parameter.tensor()));
    });
  }

  /// Sets all parameters of a model from the tensors prefix + name; see `fill_weights`. When a
  /// tensor is missing or has another shape, the model stays as it was.
  template <class M>
  void restore(const std::string& prefix, M& model) const {
    const TensorGroup group{TensorSource(tensors, origin), [&prefix](const std::string& name) {
                              return std::vector<std::string>{prefix + name};
                            }};
    fill_weights(model, group);
  }

  /// The autoencoder with the networks and statistics that the bundle has; its weights are not
  /// packed. Throws FormatError and ShapeError as `restore` and `latent_norm`.
  [[nodiscard]] Rae<float> autoencoder() const;

  /// Stores the statistics of the latents, (C, h, w) each, or removes them when both are empty.
  void store_latent_norm(const LatentNorm<float>& norm);
  /// The statistics of the latents, (C, h, w) each; both empty when the bundle has none. Throws
  /// ShapeError for another shape.
  [[nodiscard]] LatentNorm<float> latent_norm() const;

  /// One tensor. Throws FormatError when it is missing, ShapeError when it has another shape.
  [[nodiscard]] const Tensor<float>& tensor(const std::string& name, const Shape& expected) const;

  /// True when the network of this role can be loaded: the bundle has tensors of it, or it is an
  /// encoder without parameters.
  [[nodiscard]] bool has(NetworkRole role) const;

  /// True when a tensor's name begins with `prefix`.
  [[nodiscard]] bool has(const std::string& prefix) const;

  /// Removes all tensors whose names begin with `prefix`.
  void remove(const std::string& prefix);

  /// Rounds the tensors whose names begin with `prefix` to the values that `load` reads after
  /// `save` with this type.
  void round(const std::string& prefix, DType stored_as);

  /// The same model as ModelFiles; the tensors are shared. Throws ShapeError for statistics of
  /// another shape.
  [[nodiscard]] ModelFiles files() const;

  /// Throws ConfigError when `validate` refuses the configuration, FormatError or ShapeError unless
  /// the tensors are those of its networks. A decoder, a diffusion network and a guide in the
  /// configuration need their tensors; the encoder and the statistics may be absent. Throws
  /// FormatError for NaN and infinity, too.
  void check() const;

  /// Reads a file; every float type, and 8-bit integers with scales, become f32. The configuration
  /// is checked against the sizes in the file before any model is made. Throws FileError,
  /// FormatError, ConfigError, ShapeError.
  [[nodiscard]] static Bundle load(const std::string& path);

  /// Writes the file, whole or not at all. Vectors and the statistics of the latents stay f32,
  /// since they are small and need the accuracy. Throws as `check`, ArgumentError for a note named
  /// "config" or "packed", FileError.
  void save(const std::string& path, DType stored_as = DType::f32) const;
};

}  // namespace rae
