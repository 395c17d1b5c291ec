// Builds a ConfigNode from the events of a parser, and enforces limits.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "rae/core/owner.hpp"
#include "rae/io/config.hpp"

namespace rae {

/// A place in a configuration: a key or an index below a parent; the root has the name of the file.
struct ConfigNode::Place {
  OwnedPointer<const Place> parent;
  std::string name;
};

/// Receives values in document order. Throws ConfigError for too many values, too many levels and
/// repeated keys.
class ConfigBuilder {
 public:
  static constexpr std::size_t kMaxDepth = 64;
  static constexpr std::size_t kMaxValues = 100'000;
  static constexpr std::size_t kMaxText = std::size_t{4} << 20;

  /// Throws ConfigError when `text` is longer than a configuration may be.
  ConfigBuilder(std::string_view text, const std::string& origin);

  void begin_list(std::size_t anchor = 0) { begin(ConfigNode::list(), anchor); }
  void begin_map(std::size_t anchor = 0) { begin(ConfigNode::map(), anchor); }
  void key(std::string_view name);
  void scalar(ConfigNode value, std::size_t anchor = 0);
  void end();

  /// Inserts a copy of a finished anchored value.
  void alias(std::size_t anchor);

  /// True when the next scalar is the key of a map; events of YAML do not tell keys from values.
  [[nodiscard]] bool wants_key() const;

  /// The finished tree; null for an empty document.
  [[nodiscard]] ConfigNode finish();

  /// Throws ConfigError "PLACE: reason" with the current place.
  [[noreturn]] void fail(std::string_view reason) const;

 private:
  struct Open {
    ConfigNode node;
    std::size_t anchor = 0;
    std::string key;
    bool has_key = false;
    std::unordered_set<std::string> keys;
  };

  void begin(ConfigNode node, std::size_t anchor);
  void add(ConfigNode node, std::size_t anchor);
  void place(ConfigNode& node) const;
  void count(std::size_t values);

  OwnedPointer<const ConfigNode::Place> root_;
  std::vector<Open> open_;
  std::map<std::size_t, ConfigNode> anchors_;
  ConfigNode result_;
  std::size_t values_ = 0;
  std::size_t characters_ = 0;
  bool done_ = false;
};

}  // namespace rae
