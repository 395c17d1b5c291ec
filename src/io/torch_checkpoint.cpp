// Finds the pickle and the storages in either container, then names the tensors. All sizes and
// offsets are checked by the constructor.
#include "rae/io/torch_checkpoint.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "name_index.hpp"
#include "pickle.hpp"
#include "rae/io/file.hpp"
#include "rae/io/placeholder.hpp"
#include "stored_elements.hpp"
#include "weights_selection.hpp"
#include "zip.hpp"

namespace rae {

static_assert(std::endian::native == std::endian::little,
              "storages are little-endian and are copied as they are");

using detail::Pickle;
using detail::PickleId;
using detail::PickleKind;
using Bytes = std::span<const std::byte>;

namespace {

/// The beginning of a stream, after the two bytes of the protocol: the integer
/// 0x1950a86a20f9469cfc6c, pickled.
constexpr std::string_view kMagic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

constexpr std::string_view kBigEndian =
    "it was written on a big-endian machine, which is not supported; load and save it again on a "
    "little-endian one";

/// Files of fewer bytes contain nothing, which messages then say.
constexpr std::size_t kShortFile = 64;

/// Limit of the number of skipped objects that are remembered; a log of a training may have many.
constexpr std::size_t kMaxUnreadable = 10'000;

/// Limit of the bytes of all names of tensors together.
constexpr std::size_t kMaxNameBytes = std::size_t{1} << 26;

[[noreturn]] void fail(const std::string& origin, const std::string& reason) {
  raise<FormatError>(origin, ": torch checkpoint: ", reason);
}

std::size_t bytes_of(const detail::PickleStorage& storage) {
  return static_cast<std::size_t>(storage.numel) * storage.element_size;
}

constexpr std::string_view kSaveHint =
    "; save the weights alone: torch.save(model.state_dict(), FILE)";

std::string shown(std::string_view key) { return std::string(key.substr(0, 100)); }

void require_size(const std::string& origin, const detail::PickleStorage& storage,
                  std::size_t found) {
  if (found != bytes_of(storage))
    fail(origin, concat("storage '", shown(storage.key), "' has ", found, " bytes; expected ",
                        storage.numel, " elements of ",
                        storage.foreign.empty() ? name_of(storage.dtype)
                                                : std::string_view(storage.foreign),
                        ", which is ", bytes_of(storage), "; is the file truncated?"));
}

}  // namespace

/// The file: its pickle, and the bytes of each storage.
struct TorchCheckpoint::File {
  std::string origin;
  MappedFile mapping;
  Pickle pickle;
  std::vector<Bytes> storages;

  File(Bytes bytes, const std::string& name) : origin(name) {
    require_no_placeholder(bytes, origin);
    const auto text = as_text(bytes);
    if (text.substr(0, 4) == "PK\x03\x04")
      open_zip(bytes);
    else if (text.size() > 2 && text[0] == '\x80' && text.substr(2, kMagic.size()) == kMagic)
      open_stream(bytes);
    else
      fail(origin, concat("it is neither a zip archive nor a stream of torch.save",
                          bytes.size() < kShortFile ? concat(", and has only ", bytes.size(),
                                                             bytes.size() == 1 ? " byte" : " bytes")
                                                    : std::string()));
  }

  /// NAME/data.pkl, NAME/data/KEY, NAME/byteorder; other files (version, .data/serialization_id)
  /// are ignored.
  void open_zip(Bytes bytes) {
    const detail::ZipReader zip(bytes, origin);
    std::unordered_map<std::string_view, const detail::ZipEntry*> entries;
    std::string folder;
    const auto is_top = [](std::string_view path, std::string_view file) {
      return path.ends_with(file) && path.find('/') == path.size() - file.size();
    };
    for (const auto& entry : zip.entries()) {
      const std::string parts = "/" + entry.name + "/";
      if (parts.find("/../") != std::string::npos || parts.starts_with("//"))
        fail(origin, concat("the archive contains the path '", shown(entry.name), "'"));
      if (is_top(entry.name, "/constants.pkl"))
        fail(origin, "it is a TorchScript archive; expected a file of torch.save");
      if (is_top(entry.name, "/data.pkl")) {
        if (!folder.empty()) fail(origin, "the archive contains two data.pkl");
        folder = entry.name.substr(0, entry.name.find('/') + 1);
      }
      entries.emplace(entry.name, &entry);
    }
    if (folder.empty()) {
      std::string found;
      for (const auto& entry : zip.entries()) {
        if (found.size() > 200) break;
        found += (found.empty() ? "" : ", ") + shown(entry.name);
      }
      fail(origin, concat("the archive contains no NAME/data.pkl, so it is not a file of "
                          "torch.save; it contains ",
                          found.empty() ? "nothing" : found));
    }
    if (const auto order = entries.find(folder + "byteorder"); order != entries.end()) {
      const auto value = as_text(zip.stored(*order->second));
      if (value == "big") fail(origin, std::string(kBigEndian));
      if (value != "little") fail(origin, concat("unknown byteorder '", shown(value), "'"));
    }
    const auto& description = *entries.at(folder + "data.pkl");
    const Bytes contents = zip.stored(description);
    zip.require_checksum(description, contents);
    pickle = detail::read_pickle(contents, origin);
    if (pickle.size != contents.size()) fail(origin, "data.pkl has bytes after its pickle");
    for (const auto& storage : pickle.storages) {
      const auto found = entries.find(concat(folder, "data/", storage.key));
      if (!storage.foreign.empty()) {  // no tensor can be read from it
        storages.emplace_back();
        continue;
      }
      if (found == entries.end())
        fail(origin, concat("storage '", shown(storage.key), "' is not in the archive"));
      const Bytes data = zip.stored(*found->second);
      require_size(origin, storage, data.size());
      storages.push_back(data);
    }
  }

  /// The format before torch 1.6: magic number, protocol 1001, system, object, keys of the
  /// storages; then each storage as a 64-bit count and its elements.
  void open_stream(Bytes bytes) {
    Bytes rest = bytes.subspan(2 + kMagic.size());
    const auto next = [&] {
      Pickle out = detail::read_pickle(rest, origin);
      rest = rest.subspan(out.size);
      return out;
    };
    const Pickle protocol = next();
    if (protocol[protocol.root].kind != PickleKind::integer ||
        protocol[protocol.root].integer != 1001)
      fail(origin, "unknown protocol; expected 1001");
    const Pickle system = next();
    const auto& facts = system[system.root];
    if (facts.kind != PickleKind::dict) fail(origin, "the description of the system is not a dict");
    for (std::size_t i = 0; i + 1 < facts.items.size(); i += 2) {
      const auto& value = system[facts.items[i + 1]];
      if (system[facts.items[i]].text == "little_endian" && value.kind == PickleKind::boolean &&
          value.integer == 0)
        fail(origin, std::string(kBigEndian));
    }
    pickle = next();
    const Pickle keys = next();
    std::unordered_map<std::string_view, std::size_t> index;
    for (std::size_t i = 0; i < pickle.storages.size(); ++i)
      index.emplace(pickle.storages[i].key, i);
    if (keys[keys.root].kind != PickleKind::list)
      fail(origin, "the keys of the storages are not a list");
    storages.resize(pickle.storages.size());
    for (const PickleId id : keys[keys.root].items) {
      const auto found = index.find(keys[id].text);
      if (found == index.end())
        fail(origin, concat("no tensor uses the storage '", shown(keys[id].text),
                            "', or it is listed twice"));
      const auto& storage = pickle.storages[found->second];
      if (storage.element_size == 0)
        fail(origin, concat("storage '", shown(storage.key), "' has elements of '", storage.foreign,
                            "', whose size is unknown", kSaveHint));
      std::uint64_t count = 0;
      if (rest.size() < sizeof count)
        fail(origin,
             concat("storage '", shown(storage.key), "' is missing; is the file truncated?"));
      std::memcpy(&count, rest.data(), sizeof count);
      rest = rest.subspan(sizeof count);
      if (count != static_cast<std::uint64_t>(storage.numel))
        fail(origin, concat("storage '", shown(storage.key), "' has ", count,
                            " elements; expected ", storage.numel));
      require_size(origin, storage, std::min(rest.size(), bytes_of(storage)));
      storages[found->second] = rest.subspan(0, bytes_of(storage));
      rest = rest.subspan(bytes_of(storage));
      index.erase(found);
    }
    if (!index.empty())
      fail(origin,
           concat("the list of storages does not contain '", shown(index.begin()->first), "'"));
    if (!rest.empty()) fail(origin, concat(rest.size(), " bytes after the last storage"));
  }

  /// The value under a key of a dict.
  std::optional<PickleId> find(PickleId dict, std::string_view key) const {
    const auto& value = pickle[dict];
    if (value.kind != PickleKind::dict) return std::nullopt;
    for (std::size_t i = 0; i < value.items.size(); i += 2)
      if (detail::pickle_key(pickle[value.items[i]]) == key) return value.items[i + 1];
    return std::nullopt;
  }

  /// The value under a key if it is a dict that contains tensors.
  std::optional<PickleId> find_weights(PickleId dict, std::string_view key) const {
    const auto found = find(dict, key);
    if (!found || pickle[*found].kind != PickleKind::dict || !has_tensor(*found)) return {};
    return found;
  }

  bool has_direct_tensor(PickleId dict) const {
    const auto& items = pickle[dict].items;
    return std::any_of(items.begin(), items.end(),
                       [&](PickleId item) { return pickle[item].kind == PickleKind::tensor; });
  }

  bool has_tensor(PickleId id) const {
    const auto& value = pickle[id];
    return value.kind == PickleKind::tensor ||
           std::any_of(value.items.begin(), value.items.end(),
                       [&](PickleId item) { return has_tensor(item); });
  }

  ConfigNode node(PickleId id) const {
    const auto& value = pickle[id];
    switch (value.kind) {
      case PickleKind::boolean: return value.integer != 0;
      case PickleKind::integer: return value.integer;
      case PickleKind::real: return value.real;
      case PickleKind::text: return value.text;
      case PickleKind::list:
      case PickleKind::tuple: {
        ConfigNode::List list;
        for (const PickleId item : value.items) list.push_back(node(item));
        return ConfigNode::list(std::move(list));
      }
      case PickleKind::dict: {
        ConfigNode::Map map;
        for (std::size_t i = 0; i < value.items.size(); i += 2)
          map.emplace_back(detail::pickle_key(pickle[value.items[i]]), node(value.items[i + 1]));
        return ConfigNode::map(std::move(map));
      }
      case PickleKind::tensor: {
        const auto& tensor = pickle.tensors[static_cast<std::size_t>(value.integer)];
        return concat(name_of(pickle.storages[tensor.storage].dtype), " ", tensor.shape);
      }
      case PickleKind::opaque: {
        const auto& [name, reason] = pickle.opaques[static_cast<std::size_t>(value.integer)];
        return "skipped: " + (name.empty() ? reason : name);
      }
      default: return {};
    }
  }
};

/// The named tensors of a file, or of a part of it.
struct TorchCheckpoint::Contents {
  /// How names are made: as in the file, without wrappers, or also without keys in flat names.
  enum class Naming { as_stored, without_wrappers, selected };

  std::shared_ptr<const File> file;
  std::string selected;
  std::vector<std::string> alternatives;
  PickleId root = 0;
  std::vector<const detail::PickleTensor*> tensors;
  std::vector<TensorInfo> infos;
  detail::NameIndex index;

  Contents(std::shared_ptr<const File> whole, PickleId from, Naming naming,
           detail::WeightsPath keys = {})
      : file(std::move(whole)), root(from) {
    Names names;
    collect(from, {}, names);
    detail::WeightsPath flat;
    if (naming == Naming::selected) flat = detail::select_weights(names.tensors);
    std::vector<std::string> kept;
    for (std::size_t i = 0; i < names.tensors.size(); ++i) {
      std::optional<std::string> name = names.tensors[i];
      if (naming != Naming::as_stored) name = detail::name_in_part(flat, *name);
      if (!name) continue;
      kept.push_back(std::move(*name));
      const auto& tensor = *names.values[i];
      tensors.push_back(&tensor);
      infos.push_back({file->pickle.storages[tensor.storage].dtype, tensor.shape});
    }
    UnreadableTensors unreadable;
    for (const auto& [name, reason] : names.unreadable)
      if (auto in_part =
              naming == Naming::as_stored ? std::optional(name) : detail::name_in_part(flat, name))
        unreadable.emplace(std::move(*in_part), *reason);
    keys.insert(keys.end(), flat.begin(), flat.end());
    selected = detail::to_string(keys);
    index.assign(std::move(kept), file->origin, std::move(unreadable));
  }

  /// The tensors and skipped objects of a tree, by their names.
  struct Names {
    std::vector<std::string> tensors;
    std::vector<const detail::PickleTensor*> values;
    std::vector<std::pair<std::string, const std::string*>> unreadable;
    std::size_t bytes = 0;
  };

  void collect(PickleId id, const std::string& name, Names& names) const {
    const auto& value = file->pickle[id];
    const auto below = [&](const std::string& part, PickleId item) {
      collect(item, name.empty() ? part : concat(name, ".", part), names);
    };
    if (value.kind == PickleKind::dict) {
      for (std::size_t i = 0; i < value.items.size(); i += 2)
        below(detail::pickle_key(file->pickle[value.items[i]]), value.items[i + 1]);
      return;
    }
    if (value.kind == PickleKind::list || value.kind == PickleKind::tuple) {
      for (std::size_t i = 0; i < value.items.size(); ++i) below(std::to_string(i), value.items[i]);
      return;
    }
    if (value.kind != PickleKind::tensor && value.kind != PickleKind::opaque) return;
    if (value.kind == PickleKind::opaque && names.unreadable.size() == kMaxUnreadable) return;
    names.bytes += name.size();
    if (names.bytes > kMaxNameBytes)
      fail(file->origin,
           concat("the names of its tensors take more than ", kMaxNameBytes, " bytes"));
    const auto at = static_cast<std::size_t>(value.integer);
    if (value.kind == PickleKind::opaque) {
      names.unreadable.emplace_back(name, &file->pickle.opaques[at].reason);
      return;
    }
    names.tensors.push_back(name);
    names.values.push_back(&file->pickle.tensors[at]);
  }

  /// The elements of a tensor in place, when they are stored contiguously in row-major order.
  std::optional<Bytes> in_place(std::size_t i) const {
    const auto& tensor = *tensors[i];
    const Shape& shape = tensor.shape;
    const auto count = static_cast<std::size_t>(shape.numel());
    if (count == 0) return Bytes();
    index_t dense = 1;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      if (shape[d] != 1 && tensor.strides[static_cast<std::size_t>(d)] != dense)
        return std::nullopt;
      dense *= shape[d];
    }
    const std::size_t size = size_of(infos[i].dtype);
    return file->storages[tensor.storage].subspan(static_cast<std::size_t>(tensor.offset) * size,
                                                  count * size);
  }

  /// The elements of a tensor in row-major order: in place if they are stored so, else gathered
  /// into `buffer`.
  Bytes elements(std::size_t i, std::vector<std::byte>& buffer) const {
    if (const auto stored = in_place(i)) return *stored;
    const auto& tensor = *tensors[i];
    const Shape& shape = tensor.shape;
    const std::size_t size = size_of(infos[i].dtype),
                      count = static_cast<std::size_t>(shape.numel());
    const Bytes data = file->storages[tensor.storage];
    buffer.resize(count * size);
    std::array<index_t, kMaxRank> at{};
    index_t from = tensor.offset;
    for (std::size_t to = 0; to < count; ++to) {
      std::memcpy(buffer.data() + to * size, data.data() + static_cast<std::size_t>(from) * size,
                  size);
      for (int d = shape.rank() - 1; d >= 0; --d) {
        const auto dimension = static_cast<std::size_t>(d);
        from += tensor.strides[dimension];
        if (++at[dimension] < shape[d]) break;
        from -= tensor.strides[dimension] * shape[d];
        at[dimension] = 0;
      }
    }
    return buffer;
  }

  /// Throws FormatError with the reason why there is no tensor.
  [[noreturn]] void fail_without_tensor(const std::string& subject) const {
    const auto& value = file->pickle[root];
    std::string why;
    if (value.kind == PickleKind::opaque)
      why = ": it " + file->pickle.opaques[static_cast<std::size_t>(value.integer)].reason;
    else if (const auto& skipped = index.unreadable(); !skipped.empty())
      why = concat(": '", shown(skipped.begin()->first), "' ", skipped.begin()->second);
    fail(file->origin, concat(subject, " contains no tensor", why, kSaveHint));
  }
};

TorchCheckpoint TorchCheckpoint::open(const std::string& path) {
  MappedFile mapping(path);
  auto file = std::make_shared<File>(mapping.bytes(), path);
  file->mapping = std::move(mapping);
  const PickleId root = file->pickle.root;
  return TorchCheckpoint(
      std::make_shared<Contents>(std::move(file), root, Contents::Naming::as_stored));
}

TorchCheckpoint TorchCheckpoint::parse(Bytes bytes, const std::string& origin) {
  auto file = std::make_shared<File>(bytes, origin);
  const PickleId root = file->pickle.root;
  return TorchCheckpoint(
      std::make_shared<Contents>(std::move(file), root, Contents::Naming::as_stored));
}

const std::string& TorchCheckpoint::origin() const noexcept { return contents_->file->origin; }

const std::vector<std::string>& TorchCheckpoint::names() const noexcept {
  return contents_->index.names();
}

bool TorchCheckpoint::contains(std::string_view name) const noexcept {
  return contents_->index.contains(name);
}

const TensorInfo& TorchCheckpoint::info(std::string_view name) const {
  return contents_->infos[contents_->index.find(name)];
}

Bytes TorchCheckpoint::bytes(std::string_view name) const {
  return contents_->in_place(contents_->index.find(name)).value_or(Bytes());
}

void TorchCheckpoint::release(std::string_view name) const {
  const auto& tensor = *contents_->tensors[contents_->index.find(name)];
  contents_->file->mapping.release(contents_->file->storages[tensor.storage]);
}

std::uint32_t TorchCheckpoint::sampled_checksum(std::string_view name) const {
  std::vector<std::byte> buffer;
  const std::uint32_t sum =
      detail::sampled_checksum(contents_->elements(contents_->index.find(name), buffer));
  release(name);
  return sum;
}

const UnreadableTensors& TorchCheckpoint::unreadable() const noexcept {
  return contents_->index.unreadable();
}

const std::map<std::string, std::string>& TorchCheckpoint::metadata() const noexcept {
  return detail::no_metadata();
}

ConfigNode TorchCheckpoint::tree() const { return contents_->file->node(contents_->root); }

const std::string& TorchCheckpoint::selected() const noexcept { return contents_->selected; }

const std::vector<std::string>& TorchCheckpoint::alternatives() const noexcept {
  return contents_->alternatives;
}

TorchCheckpoint TorchCheckpoint::state_dict() const {
  const auto& file = *contents_->file;
  std::vector<std::string> keys(std::begin(detail::kAverageKeys), std::end(detail::kAverageKeys));
  keys.insert(keys.end(), std::begin(detail::kWeightKeys), std::end(detail::kWeightKeys));
  PickleId root = contents_->root;
  detail::WeightsPath path;
  std::vector<std::string> alternatives;
  for (bool again = true; again;) {
    again = false;
    // A dict below a selected one is part of the names, unless there are only such dicts.
    if (!path.empty() && file.has_direct_tensor(root)) break;
    for (const std::string& key : keys) {
      const auto found = file.find_weights(root, key);
      if (!found) continue;
      if (again) {
        if (path.size() == 1) alternatives.push_back(key);
        continue;
      }
      again = true;
      path.push_back(key);
    }
    if (again) root = *file.find(root, path.back());
  }
  auto contents = std::make_shared<Contents>(contents_->file, root, Contents::Naming::selected,
                                             std::move(path));
  if (contents->index.names().empty()) contents->fail_without_tensor("it");
  contents->alternatives = std::move(alternatives);
  if (contents->selected.empty()) contents->selected = contents_->selected;
  return TorchCheckpoint(std::move(contents));
}

TorchCheckpoint TorchCheckpoint::state_dict(std::string_view key) const {
  const auto& file = *contents_->file;
  const auto found = file.find(contents_->root, key);
  if (!found) fail(file.origin, concat("it has no key '", key, "'"));
  auto contents =
      std::make_shared<Contents>(contents_->file, *found, Contents::Naming::without_wrappers,
                                 detail::WeightsPath{std::string(key)});
  if (contents->index.names().empty()) contents->fail_without_tensor(concat("'", key, "'"));
  return TorchCheckpoint(std::move(contents));
}

void TorchCheckpoint::require(std::string_view name, const Shape& expected) const {
  detail::require_stored_shape(name, origin(), info(name).shape, expected);
}

template <Element T>
Tensor<T> TorchCheckpoint::read(std::string_view name) const {
  const std::size_t i = contents_->index.find(name);
  std::vector<std::byte> buffer;
  Tensor<T> out = detail::read_stored<T>(name, origin(), contents_->infos[i], [&] {
    return contents_->elements(i, buffer);
  });  // info(name).shape
  release(name);
  return out;
}

static_assert(TensorReader<TorchCheckpoint>);

template Tensor<float> TorchCheckpoint::read(std::string_view) const;
template Tensor<double> TorchCheckpoint::read(std::string_view) const;
template Tensor<bf16> TorchCheckpoint::read(std::string_view) const;
template Tensor<f16> TorchCheckpoint::read(std::string_view) const;
template Tensor<std::int64_t> TorchCheckpoint::read(std::string_view) const;
template Tensor<std::int32_t> TorchCheckpoint::read(std::string_view) const;
template Tensor<std::uint8_t> TorchCheckpoint::read(std::string_view) const;

}  // namespace rae
