// Configuration: a tree of named values from YAML or JSON, with errors that name the place of the
// value in the file.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/error.hpp"
#include "rae/io/config_place.hpp"

namespace rae {

/// A value of a configuration: null, bool, integer, number, string, list, or a map that keeps its
/// keys in the order of the file.
///
/// Every accessor throws ConfigError with the place, for example
/// "fashion-mnist.yaml: dit.train.lr: expected a number, got 'abc'".
class ConfigNode {
 public:
  /// Elements of a list.
  using List = std::vector<ConfigNode>;
  /// A key and its value.
  using Member = std::pair<std::string, ConfigNode>;
  /// Members of a map, in order.
  using Map = std::vector<Member>;

  /// The type of a node's value.
  enum class Kind { null, boolean, integer, number, string, list, map };

  /// Null.
  ConfigNode() = default;
  /// Copies are deep; places are kept.
  ConfigNode(const ConfigNode& other);
  /// Leaves `other` in a valid but unspecified state.
  ConfigNode(ConfigNode&& other) noexcept;
  /// As the copy constructor.
  ConfigNode& operator=(const ConfigNode& other);
  /// As the move constructor.
  ConfigNode& operator=(ConfigNode&& other) noexcept;
  ~ConfigNode();

  /// True or false.
  ConfigNode(bool value) : value_(value) {}
  /// A number.
  ConfigNode(double value) : value_(value) {}
  /// An integer.
  template <class I>
  requires(std::is_integral_v<I> && !std::is_same_v<I, bool>) ConfigNode(I value)
      : value_(static_cast<std::int64_t>(value)) {}
  /// A string.
  ConfigNode(std::string value) : value_(std::move(value)) {}
  /// A string.
  ConfigNode(std::string_view value) : value_(std::string(value)) {}
  /// A string.
  ConfigNode(const char* value) : value_(std::string(value)) {}

  /// A list of values.
  [[nodiscard]] static ConfigNode list(List elements = {});
  /// A map; throws ConfigError for a repeated key.
  [[nodiscard]] static ConfigNode map(Map members = {});

  /// Reads a file: JSON when its name ends in ".json", else YAML. Throws FileError, ConfigError.
  [[nodiscard]] static ConfigNode load(const std::string& path);

  /// Parses one YAML document (1.2 core types; `1e-6` is a number). `origin` names the document in
  /// messages. Aliases are expanded. Throws ConfigError for an invalid document, repeated keys,
  /// merge keys, unknown tags, more than 64 levels, 100000 values or 4 MiB.
  [[nodiscard]] static ConfigNode parse_yaml(std::string_view text,
                                             const std::string& origin = "YAML");

  /// Parses JSON with the same limits. Throws ConfigError.
  [[nodiscard]] static ConfigNode parse_json(std::string_view text,
                                             const std::string& origin = "JSON");

  /// The value as JSON, with `indent` spaces per level, or on one line when `indent` is negative.
  /// Numbers keep every bit. Throws ConfigError for NaN, infinity and strings that are not UTF-8.
  [[nodiscard]] std::string to_json(int indent = -1) const;

  /// The type of the value.
  [[nodiscard]] Kind kind() const noexcept { return static_cast<Kind>(value_.index()); }
  /// True for null, which is also an empty value in YAML.
  [[nodiscard]] bool is_null() const noexcept { return kind() == Kind::null; }
  /// True for a string.
  [[nodiscard]] bool is_string() const noexcept { return kind() == Kind::string; }
  /// True for a list.
  [[nodiscard]] bool is_list() const noexcept { return kind() == Kind::list; }
  /// True for a map.
  [[nodiscard]] bool is_map() const noexcept { return kind() == Kind::map; }

  /// The value of a boolean.
  [[nodiscard]] bool as_bool() const;
  /// The value of a number or an integer.
  [[nodiscard]] double as_number() const;
  /// The value of an integer, or of a number without a fraction. Throws also outside [lowest,
  /// highest].
  [[nodiscard]] std::int64_t as_integer(
      std::int64_t lowest = std::numeric_limits<std::int64_t>::min(),
      std::int64_t highest = std::numeric_limits<std::int64_t>::max()) const;
  /// The value of a string.
  [[nodiscard]] const std::string& as_string() const;

  /// Elements of a list.
  [[nodiscard]] std::span<const ConfigNode> elements() const;
  /// Keys and values of a map.
  [[nodiscard]] std::span<const Member> members() const;

  /// Converts to bool, an integer type (throws ConfigError when the value does not fit), float,
  /// double, std::string, or a std::vector of those.
  template <class T>
  [[nodiscard]] T as() const {
    if constexpr (std::is_same_v<T, bool>)
      return as_bool();
    else if constexpr (std::is_integral_v<T>)
      return static_cast<T>(as_integer(lowest_of<T>(), highest_of<T>()));
    else if constexpr (std::is_floating_point_v<T>)
      return static_cast<T>(as_number());
    else if constexpr (std::is_same_v<T, std::string>)
      return as_string();
    else {
      T out;
      for (const auto& element : elements()) out.push_back(element.as<typename T::value_type>());
      return out;
    }
  }

  /// The member of a map, or nullptr when there is none. Throws ConfigError when this is not a map.
  [[nodiscard]] const ConfigNode* find(std::string_view key) const;
  /// The member of a map; throws ConfigError when it is missing.
  [[nodiscard]] const ConfigNode& at(std::string_view key) const;
  /// True when the map has this member.
  [[nodiscard]] bool contains(std::string_view key) const { return find(key) != nullptr; }

  /// A required member.
  template <class T>
  [[nodiscard]] T get(std::string_view key) const {
    return at(key).as<T>();
  }
  /// An optional member; `fallback` when it is missing or null.
  template <class T>
  [[nodiscard]] T get_or(std::string_view key, T fallback) const {
    const ConfigNode* node = find(key);
    return node == nullptr || node->is_null() ? std::move(fallback) : node->as<T>();
  }
  /// An optional string.
  [[nodiscard]] std::string get_or(std::string_view key, const char* fallback) const {
    return get_or<std::string>(key, fallback);
  }

  /// Adds or replaces a member; null becomes a map first. Throws ConfigError for any other type.
  void set(std::string_view key, ConfigNode value);

  /// Sets a member of nested maps by its path, and creates the maps that are missing:
  /// `set_path("dit.train.lr", 1e-4)`. Throws ConfigError for an empty key, and when the path leads
  /// through a value that is not a map.
  void set_path(std::string_view dotted, ConfigNode value);

  /// Applies "dit.train.lr=1e-4"; the value is YAML. Throws ConfigError.
  void apply_override(std::string_view assignment);

  /// The place of the node, for messages about its value.
  [[nodiscard]] ConfigPlace place() const;
  /// The same as a string: "fashion-mnist.yaml: dit.train.lr".
  [[nodiscard]] std::string where() const;

  /// Throws ConfigError "<where>: expected <wanted>, got <this value>".
  [[noreturn]] void fail_expected(std::string_view wanted) const;

  /// True for equal values; places are not compared.
  bool operator==(const ConfigNode& other) const;

 private:
  friend class ConfigBuilder;
  struct Place;

  template <class T>
  static constexpr std::int64_t lowest_of() {
    return std::is_signed_v<T> ? static_cast<std::int64_t>(std::numeric_limits<T>::min()) : 0;
  }
  template <class T>
  static constexpr std::int64_t highest_of() {
    return sizeof(T) == 8 ? std::numeric_limits<std::int64_t>::max()
                          : static_cast<std::int64_t>(std::numeric_limits<T>::max());
  }
  void put_below(const OwnedPointer<const Place>& parent, std::string name);

  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Map> value_;
  OwnedPointer<const Place> place_;
};

/// Throws ConfigError for the first key of a map that is not in `known`, with the nearest known key
/// as a hint.
void require_keys_known(const ConfigNode& node, std::span<const std::string_view> known);
/// See above.
inline void require_keys_known(const ConfigNode& node,
                               std::initializer_list<std::string_view> known) {
  require_keys_known(node, std::span<const std::string_view>(known.begin(), known.size()));
}

}  // namespace rae
