// Checkpoints of PyTorch (.pt, .pth): the zip archives and the older streams of torch.save, read
// through a memory map by a strict unpickler that executes nothing.
//
// Source: torch/serialization.py; the layout of training checkpoints is that of save_checkpoint()
// in the official code.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/io/config.hpp"
#include "rae/io/tensor_reader.hpp"

namespace rae {

/// A file of torch.save opened for reading: a TensorReader (see tensor_reader.hpp for its members).
/// A value; copies share the mapping.
///
/// The file is a tree of dicts and lists. A tensor's name is made of its keys and indices, joined
/// by dots: "model.blocks.0.attn.qkv.weight", "optimizer.state.12.exp_avg".
///
/// Opening reads only the description and copies no tensor. Nothing in it is ever called: objects
/// of other classes than tensors and containers (argparse.Namespace, NumPy scalars, sets, paths)
/// are skipped with everything that they contain, and so are tensors of types that are not
/// supported or whose elements overlap; `unreadable` lists them. Everything is checked: opcodes
/// against a list, depth and number of values, cycles, repeated names, that each storage is inside
/// the file and has the size that it declares, and that each tensor is inside its storage. Reading
/// a tensor later can therefore not fail because of a damaged description, and takes no more memory
/// than its file is large. Checksums of tensors are not verified.
class TorchCheckpoint {
 public:
  /// Maps and validates a file. Throws FileError when it cannot be opened, FormatError when it is
  /// not a file of torch.save, its description is damaged or beyond the limits, or it was written
  /// on a big-endian machine.
  [[nodiscard]] static TorchCheckpoint open(const std::string& path);

  /// Validates a file in memory, which must outlive the object. `origin` names it in messages.
  /// Throws FormatError.
  [[nodiscard]] static TorchCheckpoint parse(std::span<const std::byte> bytes,
                                             const std::string& origin = "memory");

  /// The path, or the `origin` given to `parse`. The following members up to `read` are those of
  /// TensorReader. Tensors that share a storage have one name each; `read` gathers elements of any
  /// strides, and `metadata` is empty.
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

  /// The whole tree, for values that are not tensors: `checkpoint.tree().get<int>("step")`. Dicts
  /// are maps, tuples are lists; a tensor is a string like "f32 (3, 5)", and a skipped object is
  /// one like "skipped: argparse.Namespace".
  [[nodiscard]] ConfigNode tree() const;

  /// The weights of a model: the first dict with tensors under the keys ema, ema_model, model_ema,
  /// state_dict_ema, teacher (averages), model, model_state_dict, state_dict, module, student. The
  /// search is repeated in that dict as long as all its tensors are in further dicts, and then
  /// among names such as "model.x", where a key other than those of averages counts only if all
  /// names begin with keys. Without any key it is the whole file. Names are without these keys and
  /// without leading "module." and "_orig_mod." of DistributedDataParallel and torch.compile. The
  /// result shares the file. Throws FormatError when no tensor is left or two get the same name.
  [[nodiscard]] TorchCheckpoint state_dict() const;

  /// The same for a given key: the dict under `key`, for example "model". Throws FormatError when
  /// it does not exist or contains no tensor.
  [[nodiscard]] TorchCheckpoint state_dict(std::string_view key) const;

  /// The key that `state_dict` selected, for example "ema", or several, joined by dots; "" for a
  /// whole file.
  [[nodiscard]] const std::string& selected() const noexcept;

  /// Other keys of the file under which `state_dict` found weights.
  [[nodiscard]] const std::vector<std::string>& alternatives() const noexcept;

 private:
  struct File;
  struct Contents;
  explicit TorchCheckpoint(OwnedPointer<const Contents> contents)
      : contents_(std::move(contents)) {}
  void require(std::string_view name, const Shape& expected) const;

  OwnedPointer<const Contents> contents_;
};

/// @cond
extern template Tensor<float> TorchCheckpoint::read(std::string_view) const;
extern template Tensor<double> TorchCheckpoint::read(std::string_view) const;
extern template Tensor<bf16> TorchCheckpoint::read(std::string_view) const;
extern template Tensor<f16> TorchCheckpoint::read(std::string_view) const;
extern template Tensor<std::int64_t> TorchCheckpoint::read(std::string_view) const;
extern template Tensor<std::int32_t> TorchCheckpoint::read(std::string_view) const;
extern template Tensor<std::uint8_t> TorchCheckpoint::read(std::string_view) const;
/// @endcond

}  // namespace rae
