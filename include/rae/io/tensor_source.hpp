// Named tensors from any kind of file: a safetensors file, several of them with an index, a
// checkpoint of PyTorch, or a folder with one of these. The layouts are those of
// huggingface/transformers and diffusers (save_pretrained) and of the official save_checkpoint().
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/io/torch_checkpoint.hpp"

namespace rae {

/// Tensors by name from any file or from memory: a TensorReader (see tensor_reader.hpp for its
/// members). A value; copies share the memory maps, and no tensor is read before `read`.
class TensorSource {
 public:
  /// Opens and validates
  /// - a safetensors file or a checkpoint of PyTorch, recognised by their first bytes;
  /// - an index of shards, a file NAME.index.json with a `weight_map` from tensors to files of the
  ///   same folder. A file name with a separator or ".." is refused; tensors that a file does not
  ///   have are `unreadable`, and if there are none, all must have `total_size` bytes together;
  /// - a folder that contains `model` or `diffusion_pytorch_model` as .safetensors or
  ///   .safetensors.index.json, else `pytorch_model` or `diffusion_pytorch_model` as .bin or
  ///   .bin.index.json, else `model.pt`: the first of these.
  ///
  /// Throws FileError when a file is missing or cannot be opened, FormatError or ConfigError when
  /// its contents are wrong.
  [[nodiscard]] static TensorSource open(const std::string& path);

  /// The tensors of a file that is open already.
  TensorSource(SafetensorsFile file);
  /// The tensors of a checkpoint that is open already, under its names.
  TensorSource(TorchCheckpoint file);

  /// Tensors in memory, which are shared. `origin` names them in messages.
  explicit TensorSource(const std::map<std::string, Tensor<float>>& tensors,
                        const std::string& origin = "memory");

  /// The path that was opened; for a folder, that of the file in it. The following members up to
  /// `read` are those of TensorReader. `metadata` is that of the first file.
  [[nodiscard]] const std::string& origin() const noexcept;
  [[nodiscard]] const std::vector<std::string>& names() const noexcept;
  [[nodiscard]] bool contains(std::string_view name) const noexcept;
  [[nodiscard]] const TensorInfo& info(std::string_view name) const;
  [[nodiscard]] std::span<const std::byte> bytes(std::string_view name) const;
  void release(std::string_view name) const;
  [[nodiscard]] std::uint32_t sampled_checksum(std::string_view name) const;
  [[nodiscard]] const UnreadableTensors& unreadable() const noexcept;
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const noexcept;
  template <Element T>
  [[nodiscard]] Tensor<T> read(std::string_view name) const;
  template <Element T>
  [[nodiscard]] Tensor<T> read(std::string_view name, const Shape& expected) const {
    require(name, expected);
    return read<T>(name);
  }

  /// The weights of a model inside a training checkpoint: see TorchCheckpoint::state_dict, whose
  /// search in names such as "model.x" is used for all other files, which have no dicts. Throws
  /// FormatError when two tensors get the same name.
  [[nodiscard]] TensorSource weights() const;

  /// The tensors whose names begin with `prefix`, named without it; there may be none.
  [[nodiscard]] TensorSource under(std::string_view prefix) const;

  /// These tensors but for those of these names, which need not exist.
  [[nodiscard]] TensorSource without(const std::set<std::string>& names) const;

  /// These tensors and further ones in memory, which are shared. Throws FormatError when a name is
  /// taken.
  [[nodiscard]] TensorSource with(const std::map<std::string, Tensor<float>>& tensors) const;

  /// The part of a training checkpoint that `weights` selected, for example "ema" or "model"; ""
  /// for a whole file.
  [[nodiscard]] const std::string& selected() const noexcept;

  /// Other parts with weights, which `weights` did not select.
  [[nodiscard]] const std::vector<std::string>& alternatives() const noexcept;

 private:
  struct Contents;
  explicit TensorSource(OwnedPointer<const Contents> contents) : contents_(std::move(contents)) {}
  static TensorSource open_index(const std::string& path);
  void require(std::string_view name, const Shape& expected) const;

  OwnedPointer<const Contents> contents_;
};

/// @cond
extern template Tensor<float> TensorSource::read(std::string_view) const;
extern template Tensor<double> TensorSource::read(std::string_view) const;
extern template Tensor<bf16> TensorSource::read(std::string_view) const;
extern template Tensor<f16> TensorSource::read(std::string_view) const;
extern template Tensor<std::int64_t> TensorSource::read(std::string_view) const;
extern template Tensor<std::int32_t> TensorSource::read(std::string_view) const;
extern template Tensor<std::uint8_t> TensorSource::read(std::string_view) const;
/// @endcond

}  // namespace rae
