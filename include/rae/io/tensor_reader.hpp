// The interface that all readers of named tensors share: SafetensorsFile, TorchCheckpoint, and
// TensorSource, which is either of these or several files together.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rae/io/any_tensor.hpp"

namespace rae {

/// Element type and shape of a stored tensor.
struct TensorInfo {
  /// Element type in the file.
  DType dtype = DType::f32;
  /// Extents, outermost first.
  Shape shape;
};

/// Names of objects of a file that are not readable tensors, and the reasons.
using UnreadableTensors = std::map<std::string, std::string, std::less<>>;

/// Named tensors in a file or in memory, to be read one by one. A value; copies share the file.
///
/// - `origin()`: the path, or the name that was given for messages.
/// - `names()`: the names of all tensors, in the order of the file.
/// - `contains(name)`: true when there is a tensor of this name.
/// - `info(name)`: its element type and shape.
/// - `read<T>(name)`: the tensor in row-major order. Stored floats of any width are converted to
///   any float type (rounded to nearest even, through f32 for the 16-bit types), stored integers
///   and booleans to any integer type.
/// - `read<T>(name, shape)`: the same for a tensor whose shape must be `shape`.
/// - `bytes(name)`: the stored elements in place, little-endian and of any alignment, valid as long
///   as the reader or a copy of it lives. Empty for a tensor without elements, and where the
///   elements are not stored contiguously in row-major order.
/// - `release(name)`: releases the memory of a mapped tensor until it is read again.
/// - `sampled_checksum(name)`: a checksum of 4 KiB of the stored elements, spread over all of them:
///   it changes when a training continued, and reads very little.
/// - `unreadable()`: names in the file that are not readable tensors, and the reasons: an element
///   type that is not supported, an object that is no tensor. They do not block the file; only
///   reading one throws. A reason completes the sentence "cannot be read: it ...".
/// - `metadata()`: the key-value pairs of a safetensors file; empty for other files.
///
/// A missing name throws a FormatError that names tensor and file and proposes the nearest name; an
/// unreadable one, a FormatError with the reason.
/// `read` also throws FormatError for a float read as an integer or the reverse and for an integer
/// that does not fit, and ShapeError for another shape.
template <class R>
concept TensorReader = std::copyable<R> &&
    requires(const R& reader, std::string_view name, const Shape& shape) {
  { reader.origin() } -> std::same_as<const std::string&>;
  { reader.names() } -> std::same_as<const std::vector<std::string>&>;
  { reader.contains(name) } -> std::same_as<bool>;
  { reader.info(name) } -> std::same_as<const TensorInfo&>;
  { reader.template read<float>(name) } -> std::same_as<Tensor<float>>;
  { reader.template read<double>(name) } -> std::same_as<Tensor<double>>;
  { reader.template read<std::int64_t>(name) } -> std::same_as<Tensor<std::int64_t>>;
  { reader.template read<float>(name, shape) } -> std::same_as<Tensor<float>>;
  { reader.bytes(name) } -> std::same_as<std::span<const std::byte>>;
  { reader.release(name) } -> std::same_as<void>;
  { reader.sampled_checksum(name) } -> std::same_as<std::uint32_t>;
  { reader.unreadable() } -> std::same_as<const UnreadableTensors&>;
  { reader.metadata() } -> std::same_as<const std::map<std::string, std::string>&>;
};

}  // namespace rae
