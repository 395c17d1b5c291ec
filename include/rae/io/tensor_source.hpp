// Named tensors, whatever file they are in: safetensors, several of them with an index, a
// checkpoint of PyTorch, or a folder with one of these. The layouts are those of
// huggingface/transformers and diffusers (save_pretrained) and of the official save_checkpoint().
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/io/torch_checkpoint.hpp"

namespace rae {

/// Tensors by name, to be read one by one. A value; copies share the memory maps, and nothing is
/// read until it is asked for.
class TensorSource {
 public:
  /// Opens and validates
  /// - a safetensors file or a checkpoint of PyTorch, told apart by their first bytes;
  /// - an index of shards, a file NAME.index.json with a `weight_map` from tensors to files of the
  /// same folder. A file's name with a
  ///   separator or ".." is refused; each must hold the tensors that the index expects of it, and
  ///   all the bytes of `total_size`;
  /// - a folder that holds `model` or `diffusion_pytorch_model` as .safetensors or
  /// .safetensors.index.json, else `pytorch_model` or
  ///   `diffusion_pytorch_model` as .bin or .bin.index.json, else `model.pt`: the first of these.
  ///
  /// Throws FileError when a file is missing or cannot be opened, FormatError or ConfigError when
  /// its contents are wrong.
  [[nodiscard]] static TensorSource open(const std::string& path);

  /// The tensors of a file that is open already.
  TensorSource(SafetensorsFile file);
  /// The tensors of a checkpoint that is open already, by the names that it has.
  TensorSource(TorchCheckpoint file);

  /// Tensors in memory, which are shared. `origin` names them in messages.
  explicit TensorSource(const std::map<std::string, Tensor<float>>& tensors,
                        const std::string& origin = "memory");

  /// The path that was opened; for a folder, that of the file in it.
  [[nodiscard]] const std::string& origin() const noexcept;

  /// Names of all tensors, in the order of the file.
  [[nodiscard]] const std::vector<std::string>& names() const noexcept;

  /// True when there is a tensor of this name.
  [[nodiscard]] bool contains(std::string_view name) const noexcept;

  /// Type and shape of one tensor. Throws FormatError when there is none of this name.
  [[nodiscard]] const TensorInfo& info(std::string_view name) const;

  /// Reads a tensor in row-major order. Stored floats of any width become any float type (rounded
  /// to nearest even through f32), stored integers and booleans any integer type. Throws
  /// FormatError for a missing name, a float asked for as integer or the reverse, or an integer
  /// that does not fit.
  template <Element T>
  [[nodiscard]] Tensor<T> read(std::string_view name) const;

  /// The same; throws ShapeError unless the stored shape is `expected`.
  template <Element T>
  [[nodiscard]] Tensor<T> read(std::string_view name, const Shape& expected) const {
    require(name, expected);
    return read<T>(name);
  }

  /// A checksum of 4 KiB of the stored elements, spread over all of them: it changes when a
  /// training went on, and reads next to nothing. Throws FormatError when there is none of this
  /// name.
  [[nodiscard]] std::uint32_t sampled_checksum(std::string_view name) const;

  /// The stored bytes of a tensor where they lie, of any alignment, as long as this source lives;
  /// empty unless the file is a safetensors file. Throws FormatError for a missing name.
  [[nodiscard]] std::span<const std::byte> bytes(std::string_view name) const;

  /// Lets go of the memory that those bytes take until they are read again. Throws FormatError for
  /// a missing name.
  void release(std::string_view name) const;

  /// The free text pairs of a safetensors file or of the first shard; empty for a checkpoint of
  /// PyTorch.
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const noexcept;

  /// The weights of a model inside a training checkpoint: what lies under `ema` if that holds
  /// tensors, else under `model`, else all; then without leading "module." and "_orig_mod." of
  /// DistributedDataParallel and torch.compile. In a safetensors file, which has no dicts, all
  /// names must begin with "model." for that to count as one. Throws FormatError when two tensors
  /// get the same name.
  [[nodiscard]] TensorSource weights() const;

  /// The tensors whose names begin with `prefix`, named without it; may be empty.
  [[nodiscard]] TensorSource under(std::string_view prefix) const;

  /// What `weights` took of a training checkpoint: "ema", "model", or "" for a whole file.
  [[nodiscard]] const std::string& selected() const noexcept;

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
