// State dicts for torch.load: the zip archive of torch.save, written tensor by tensor.
//
// Source: torch/serialization.py (zip layout), pickletools of CPython (protocol 2).
#pragma once

#include <string>
#include <vector>

#include "rae/io/safetensors_writer.hpp"
#include "zip.hpp"

namespace rae::detail {

/// Writes an OrderedDict of tensors, each with its own storage. The file appears under its name
/// with `commit`.
class TorchWriter {
 public:
  /// Throws ArgumentError for a slot whose type is not a float type, FileError.
  TorchWriter(const std::string& path, std::vector<SafetensorsSlot> slots);

  /// The next tensor, converted to the slot's type. Throws ArgumentError when no slot is left,
  /// ShapeError when its shape is not that of the slot, FileError.
  void write(const Tensor<float>& tensor);

  /// Completes the archive. Throws ArgumentError when a tensor is still to be written, FileError.
  void commit();

 private:
  std::vector<SafetensorsSlot> slots_;
  ZipWriter zip_;
  std::size_t next_ = 0;
};

}  // namespace rae::detail
