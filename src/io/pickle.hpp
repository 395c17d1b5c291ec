// A strict reader of Python pickles, as torch.save writes them: it knows tensors, containers, text
// and numbers, and executes nothing.
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

/// Most values, stack entries and memo entries of one pickle, and values of its tree when shared
/// ones are counted as often as they appear.
inline constexpr std::size_t kMaxPickleValues = 1'000'000;
/// Deepest nesting of containers.
inline constexpr int kMaxPickleDepth = 64;

/// Index of a value.
using PickleId = std::uint32_t;

/// What a value is. A global, a storage or a part of one never stands in the tree of an accepted
/// pickle.
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
  global,
  storage
};

/// One value. Text points into the pickle.
struct PickleValue {
  PickleKind kind = PickleKind::none;
  std::int64_t integer = 0;  // boolean, integer; tensor and storage: index into their tables; dict:
                             // 1 for an OrderedDict; global: which
  double real = 0;           // real
  std::string_view text;     // text
  std::vector<PickleId> items;  // list, tuple: elements; dict: key, value, key, value, ...
};

/// A storage that the file must hold somewhere: `numel` elements under `key`.
struct PickleStorage {
  std::string_view key;
  DType dtype = DType::f32;
  std::int64_t numel = 0;
};

/// A tensor: elements `offset + sum(index * stride)` of a storage, in elements. Inside its storage,
/// without overlap.
struct PickleTensor {
  std::size_t storage = 0;
  std::int64_t offset = 0;
  Shape shape;
  std::array<std::int64_t, kMaxRank> strides{};
};

/// A whole pickle: values refer to each other by index, so that shared ones cost nothing and
/// nothing is owned in circles.
struct Pickle {
  std::vector<PickleValue> values;
  std::vector<PickleStorage> storages;
  std::vector<PickleTensor> tensors;
  PickleId root = 0;
  std::size_t size = 0;  // bytes up to and with STOP

  [[nodiscard]] const PickleValue& operator[](PickleId id) const noexcept { return values[id]; }
};

/// Reads the pickle at the beginning of `bytes`, which must outlive the result. The tree below the
/// root is free of cycles, of repeated or odd keys, and within the limits. Throws FormatError,
/// beginning with `origin`, for anything that is not on the list: it names the opcode or the
/// global, and the byte.
[[nodiscard]] Pickle read_pickle(std::span<const std::byte> bytes, const std::string& origin);

/// A key of a dict as text; integers in decimal.
[[nodiscard]] std::string pickle_key(const PickleValue& key);

}  // namespace rae::detail
