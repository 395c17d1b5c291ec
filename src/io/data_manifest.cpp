#include "rae/io/data_manifest.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <string_view>

#include "deflate.hpp"
#include "escaped_name.hpp"
#include "rae/io/file.hpp"

namespace rae {
namespace {

constexpr std::size_t kSample = 4096;                      // bytes
constexpr std::size_t kMostListed = std::size_t{1} << 20;  // bytes of all lists

constexpr std::array kExtents = {std::pair{ChecksumExtent::sampled, "sampled"},
                                 std::pair{ChecksumExtent::full, "full"}};

/// A CRC-32 of strings and numbers, each with an end so that their borders count.
class RunningChecksum {
 public:
  /// Continues from a value of `value()`.
  explicit RunningChecksum(std::uint32_t before = 0) : value_(before) {}

  void add(std::string_view text) {
    add(static_cast<std::uint64_t>(text.size()));
    value_ = detail::crc32_of(as_byte_span(text), value_);
  }
  void add(std::uint64_t number) {
    std::array<char, 8> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<char>(number >> (8 * i) & 0xff);
    value_ = detail::crc32_of(as_byte_span({bytes.data(), bytes.size()}), value_);
  }
  void add(std::span<const std::byte> bytes) { value_ = detail::crc32_of(bytes, value_); }
  [[nodiscard]] std::uint32_t value() const noexcept { return value_; }

 private:
  std::uint32_t value_;
};

/// A number in base 16 or 10 that takes the whole of `text`.
std::optional<std::uint64_t> whole_number(std::string_view text, unsigned base) {
  if (text.empty() || text.size() > (base == 16 ? 8u : 19u)) return std::nullopt;
  std::uint64_t out = 0;
  for (const char c : text) {
    const unsigned digit = c >= '0' && c <= '9'   ? static_cast<unsigned>(c - '0')
                           : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a' + 10)
                                                  : base;
    if (digit >= base) return std::nullopt;
    out = out * base + digit;
  }
  return out;
}

std::string hexadecimal(std::uint32_t value) {
  std::array<char, 9> text;
  std::snprintf(text.data(), text.size(), "%08x", value);
  return text.data();
}

std::uint32_t read_checksum(const ConfigNode& node) {
  const std::string& text = node.as_string();
  const auto value = whole_number(text, 16);
  if (!value || text.size() != 8) node.fail_expected("a checksum of eight hexadecimal digits");
  return static_cast<std::uint32_t>(*value);
}

/// One line "checksum size name" per file.
std::string list_of(const std::vector<ManifestFile>& files) {
  std::string out;
  for (const ManifestFile& file : files)
    out += concat(hexadecimal(file.checksum), " ", file.bytes, " ", detail::escaped_name(file.name),
                  "\n");
  return out;
}

std::vector<ManifestFile> read_list(const ConfigNode& node) {
  std::vector<ManifestFile> out;
  std::string_view text = node.as_string();
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    const std::size_t first = line.find(' '), second = line.find(' ', first + 1);
    if (line.size() == text.size() || second == std::string_view::npos)
      raise<ConfigError>(node.where(), ": expected lines of checksum, size and name");
    const auto checksum = whole_number(line.substr(0, first), 16),
               bytes = whole_number(line.substr(first + 1, second - first - 1), 10);
    if (!checksum || !bytes)
      raise<ConfigError>(node.where(), ": expected lines of checksum, size and name");
    out.push_back({detail::unescaped_name(line.substr(second + 1), node), *bytes,
                   static_cast<std::uint32_t>(*checksum)});
    text.remove_prefix(line.size() + 1);
  }
  return out;
}

}  // namespace

std::string_view name_of(ChecksumExtent extent) noexcept {
  return kExtents[extent == ChecksumExtent::full ? 1 : 0].second;
}

void ManifestClass::add(index_t position, std::span<const std::byte> pixels) {
  RunningChecksum sum(checksum);
  sum.add(static_cast<std::uint64_t>(position));
  sum.add(pixels);
  checksum = sum.value();
  ++pictures;
}

index_t DataManifest::pictures() const noexcept {
  index_t sum = 0;
  for (const ManifestClass& c : classes) sum += c.pictures;
  return sum;
}

std::uint32_t DataManifest::checksum() const {
  RunningChecksum sum;
  for (const ManifestClass& c : classes) {
    sum.add(c.name);
    sum.add(static_cast<std::uint64_t>(c.pictures));
    sum.add(std::uint64_t{c.checksum});
  }
  for (const index_t number : {options.size, options.width, index_t{options.channels},
                               index_t{options.random_crop}, index_t{options.flip}})
    sum.add(static_cast<std::uint64_t>(number));
  sum.add(options.seed);
  sum.add(std::uint64_t{options.ignore_exif});
  sum.add(name_of(extent));
  if (held_out > 0) sum.add(static_cast<std::uint64_t>(held_out));
  return sum.value();
}

DataManifest DataManifest::without_class_names() const {
  DataManifest out = *this;
  for (ManifestClass& c : out.classes) c.name.clear();
  return out;
}

ConfigNode DataManifest::to_config() const {
  std::vector<std::string> lists;
  std::size_t bytes = 0;
  for (const ManifestClass& c : classes) bytes += lists.emplace_back(list_of(c.files)).size();
  ConfigNode::List nodes;
  for (std::size_t k = 0; k < classes.size(); ++k) {
    const ManifestClass& c = classes[k];
    ConfigNode node = ConfigNode::map({{"name", detail::escaped_name(c.name)},
                                       {"pictures", c.pictures},
                                       {"checksum", hexadecimal(c.checksum)}});
    if (!c.files.empty() && bytes <= kMostListed) node.set("files", std::move(lists[k]));
    nodes.push_back(std::move(node));
  }
  ConfigNode out =
      ConfigNode::map({{"classes", ConfigNode::list(std::move(nodes))},
                       {"options", ConfigNode::map({{"size", options.size},
                                                    {"width", options.width},
                                                    {"channels", options.channels},
                                                    {"random_crop", options.random_crop},
                                                    {"flip", options.flip},
                                                    {"seed", std::to_string(options.seed)},
                                                    {"ignore_exif", options.ignore_exif}})},
                       {"extent", name_of(extent)}});
  if (held_out > 0) out.set("held_out", held_out);
  return out;
}

DataManifest DataManifest::from_config(const ConfigNode& node) {
  require_keys_known(node, {"classes", "options", "extent", "held_out"});
  DataManifest out;
  for (const ConfigNode& item : node.at("classes").elements()) {
    require_keys_known(item, {"name", "pictures", "checksum", "files"});
    ManifestClass c{detail::unescaped_name(item.at("name").as_string(), item.at("name")),
                    item.at("pictures").as_integer(0), read_checksum(item.at("checksum"))};
    if (const ConfigNode* files = item.find("files")) {
      c.files = read_list(*files);
      if (static_cast<index_t>(c.files.size()) != c.pictures)
        raise<ConfigError>(files->where(), ": expected ", c.pictures, " files, got ",
                           c.files.size());
    }
    out.classes.push_back(std::move(c));
  }
  const ConfigNode& options = node.at("options");
  require_keys_known(options,
                     {"size", "width", "channels", "random_crop", "flip", "seed", "ignore_exif"});
  out.options.size = options.at("size").as_integer(0);
  out.options.width = options.at("width").as_integer(0);
  out.options.channels = static_cast<int>(options.at("channels").as_integer(0, 3));
  out.options.random_crop = options.at("random_crop").as_bool();
  out.options.flip = options.at("flip").as_bool();
  out.options.ignore_exif = options.at("ignore_exif").as_bool();
  // As text, since a 64-bit seed may exceed the integers of a configuration.
  const std::string& seed = options.at("seed").as_string();
  std::size_t used = 0;
  try {
    out.options.seed = std::stoull(seed, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || std::to_string(out.options.seed) != seed)
    options.at("seed").fail_expected("a whole number below 2^64 as text");
  const ConfigNode& extent = node.at("extent");
  const auto found = std::find_if(kExtents.begin(), kExtents.end(), [&](const auto& named) {
    return named.second == extent.as_string();
  });
  if (found == kExtents.end()) extent.fail_expected("sampled or full");
  out.extent = found->first;
  if (const ConfigNode* held_out = node.find("held_out")) out.held_out = held_out->as_integer(1);
  return out;
}

ManifestFile manifest_file(const std::string& path, std::string name, ChecksumExtent extent) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  RunningChecksum sum;
  sum.add(static_cast<std::uint64_t>(bytes.size()));
  if (extent == ChecksumExtent::full || bytes.size() <= 3 * kSample)
    sum.add(bytes);
  else
    for (const std::size_t at :
         {std::size_t{0}, (bytes.size() - kSample) / 2, bytes.size() - kSample})
      sum.add(bytes.subspan(at, kSample));
  return {std::move(name), bytes.size(), sum.value()};
}

std::uint32_t checksum_of(const std::vector<ManifestFile>& files) {
  RunningChecksum sum;
  for (const ManifestFile& file : files) {
    sum.add(file.name);
    sum.add(file.bytes);
    sum.add(std::uint64_t{file.checksum});
  }
  return sum.value();
}

}  // namespace rae
