// A strict reader of Python pickles, as torch.save writes them: it reads tensors, containers,
// strings and numbers, skips all other objects, and executes nothing.
//
// Source: CPython's pickletools (protocols 2 to 5); torch/_utils.py and torch/serialization.py for
// the meaning of the globals.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rae/core/dtype.hpp"
#include "rae/core/shape.hpp"

namespace rae::detail {

/// Limit of the values, stack entries and memo entries of one pickle, and of the values in its
/// tree, where shared values count as often as they appear.
inline constexpr std::size_t kMaxPickleValues = 1'000'000;
/// Limit of the nesting of containers.
inline constexpr int kMaxPickleDepth = 64;

/// Index of a value.
using PickleId = std::uint32_t;

/// The type of a value. The tree of an accepted pickle contains no globals and no storages. An
/// `opaque` value stands for an object that is skipped: an instance of a class, the result of a
/// function, a tensor that cannot be read.
enum class PickleKind : std::uint8_t {
  none,
  boolean,
  integer,
  real,
  text,
  list,
  tuple,
  dict,
  tensor,
  opaque,
  global,
  storage
};

/// One value. Strings point into the pickle.
struct PickleValue {
  PickleKind kind = PickleKind::none;
  std::int64_t integer = 0;  // boolean, integer; tensor, storage, opaque: index into their tables;
                             // dict: 1 for an OrderedDict or defaultdict; global: its number
  double real = 0;           // real
  std::string_view text;     // string
  std::vector<PickleId> items;  // list, tuple: elements; dict: key, value, key, value, ...
};

/// A storage that the file must contain: `numel` elements of `element_size` bytes under `key`. An
/// element size of 0 is unknown. `foreign` is the name of the class if its elements cannot be read.
struct PickleStorage {
  std::string_view key;
  DType dtype = DType::f32;
  std::int64_t numel = 0;
  std::size_t element_size = 0;
  std::string foreign{};
};

/// An object that is skipped: its class or function ("argparse.Namespace"; may be empty), and the
/// reason why it is not a tensor, which completes a sentence ("is an object of ...").
struct PickleOpaque {
  std::string name, reason;
};

/// A tensor: the elements `offset + sum(index * stride)` of a storage, all inside it and without
/// overlap. Offset and strides count elements.
struct PickleTensor {
  std::size_t storage = 0;
  std::int64_t offset = 0;
  Shape shape;
  std::array<std::int64_t, kMaxRank> strides{};
};

/// A whole pickle. Values refer to each other by index, so that shared values need no copies and
/// there are no cycles of ownership.
struct Pickle {
  std::vector<PickleValue> values;
  std::vector<PickleStorage> storages;
  std::vector<PickleTensor> tensors;
  std::vector<PickleOpaque> opaques;
  PickleId root = 0;
  std::size_t size = 0;  // number of bytes, with the STOP

  [[nodiscard]] const PickleValue& operator[](PickleId id) const noexcept { return values[id]; }
};

/// Reads the pickle at the beginning of `bytes`, which must outlive the result. Unknown classes and
/// functions become opaque values, and so does everything that is built from them; their arguments
/// and attributes are parsed and dropped. The tree below the root has no cycles, no repeated keys,
/// only strings and integers as keys (members with other keys are dropped), and is within the
/// limits. Throws FormatError, whose message begins with `origin`, for everything else; it names
/// the opcode and its position.
[[nodiscard]] Pickle read_pickle(std::span<const std::byte> bytes, const std::string& origin);

/// A key of a dict as a string; integers in decimal.
[[nodiscard]] std::string pickle_key(const PickleValue& key);

}  // namespace rae::detail
