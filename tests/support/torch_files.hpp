// Builds files of torch.save piece by piece, including files that torch would never write.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/zip.hpp"
#include "rae/io/file.hpp"
#include "support/temp_folder.hpp"

namespace rae::test::torch {

/// Little-endian bytes of a number.
template <class N>
std::string raw(N number) {
  std::string out(sizeof number, '\0');
  std::memcpy(out.data(), &number, sizeof number);
  return out;
}

/// Little-endian bytes of several numbers.
template <class N>
std::string raw(const std::vector<N>& numbers) {
  std::string out;
  for (const N number : numbers) out += raw(number);
  return out;
}

inline const std::string kNone = "N", kFalse = "\x89", kTrue = "\x88",
                         kOrderedDict = "ccollections\nOrderedDict\n)R";

inline std::string integer(std::int64_t value) { return "\x8a\x08" + raw(value); }
inline std::string text(std::string_view value) {
  return "X" + raw(static_cast<std::uint32_t>(value.size())) + std::string(value);
}
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}

inline std::string real(double value) {
  const std::string bytes = raw(value);
  return "G" + std::string(bytes.rbegin(), bytes.rend());
}

inline std::string tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const auto& item : items) out += item;
  return out + "t";
}
inline std::string integers(const std::vector<std::int64_t>& values) {
  std::vector<std::string> items;
  for (const auto value : values) items.push_back(integer(value));
  return tuple(items);
}
inline std::string list(const std::vector<std::string>& items) {
  std::string out = "](";
  for (const auto& item : items) out += item;
  return out + "e";
}

/// A dict of pickled keys and values, added to the pickle `empty`.
inline std::string dict_of(const std::vector<std::pair<std::string, std::string>>& members,
                           const std::string& empty = "}") {
  std::string out = empty + "(";
  for (const auto& [key, value] : members) out += key + value;
  return out + "u";
}
inline std::string dict(std::vector<std::pair<std::string, std::string>> members,
                        const std::string& empty = "}") {
  for (auto& [key, value] : members) key = text(key);
  return dict_of(members, empty);
}

inline std::string storage(const std::string& type, const std::string& key, std::int64_t numel) {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), integer(numel)}) +
         "Q";
}
inline std::string tensor(const std::string& storage, std::int64_t offset,
                          const std::vector<std::int64_t>& extents,
                          const std::vector<std::int64_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple({storage, integer(offset), integers(extents), integers(strides), kFalse,
                kOrderedDict}) +
         "R";
}
/// A tensor of f32 in the storage '0', which has six elements.
inline std::string tensor_of_six(std::int64_t offset, const std::vector<std::int64_t>& extents,
                                 const std::vector<std::int64_t>& strides) {
  return tensor(storage("FloatStorage", "0", 6), offset, extents, strides);
}

inline std::string pickle(const std::string& value, char protocol = 2) {
  return std::string("\x80") + protocol + value + ".";
}

using Files = std::vector<std::pair<std::string, std::string>>;

/// A zip archive of these files.
inline std::string archive(const Files& files) {
  const TempFolder folder;
  detail::ZipWriter zip(folder / "archive");
  for (const auto& [name, contents] : files) zip.add(name, {as_byte_span(contents)});
  zip.commit();
  return slurp(folder / "archive");
}

/// A file of torch.save: `value` is the pickle of the object without its frame, `storages` are keys
/// and contents.
inline std::string saved(const std::string& value, const Files& storages = {},
                         const Files& more = {}) {
  Files files = {{"archive/data.pkl", pickle(value)}};
  for (const auto& [key, contents] : storages) files.emplace_back("archive/data/" + key, contents);
  files.insert(files.end(), more.begin(), more.end());
  files.emplace_back("archive/version", "3\n");
  return archive(files);
}

/// The stream format of torch.save before version 1.6. A storage has a key, a number of elements
/// and contents.
struct StreamStorage {
  std::string key;
  std::int64_t numel;
  std::string contents;
};
inline std::string stream(const std::string& value, const std::vector<StreamStorage>& storages,
                          bool little_endian = true) {
  std::vector<std::string> keys;
  for (const auto& storage : storages) keys.push_back(text(storage.key));
  std::string out = pickle("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") +
                    pickle(integer(1001)) +
                    pickle(dict({{"protocol_version", integer(1001)},
                                 {"little_endian", little_endian ? kTrue : kFalse}})) +
                    pickle(value) + pickle(list(keys));
  for (const auto& storage : storages) out += raw(storage.numel) + storage.contents;
  return out;
}

}  // namespace rae::test::torch
