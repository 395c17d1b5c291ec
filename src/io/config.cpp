#include "rae/io/config.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "config_builder.hpp"
#include "rae/core/owner.hpp"
#include "rae/io/file.hpp"
#include "rae/io/placeholder.hpp"
#include "suggestion.hpp"

namespace rae {
namespace {

std::string shortened(std::string_view text) {
  return text.size() <= 80 ? std::string(text) : std::string(text.substr(0, 80)) + "...";
}

/// The shortest decimal that reads back as the same number, and as a number rather than an integer.
std::string number_text(double value) {
  char text[40];
  const auto result = std::to_chars(text, text + sizeof text, value);
  std::string out(text, result.ptr);
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

/// The value of a node as messages show it.
std::string description(const ConfigNode& node) {
  switch (node.kind()) {
    case ConfigNode::Kind::null: return "nothing";
    case ConfigNode::Kind::boolean: return node.as_bool() ? "true" : "false";
    case ConfigNode::Kind::integer: return std::to_string(node.as_integer());
    case ConfigNode::Kind::number: return number_text(node.as_number());
    case ConfigNode::Kind::string: return "'" + shortened(node.as_string()) + "'";
    case ConfigNode::Kind::list: return concat("a list of ", node.elements().size());
    default: return "a map";
  }
}

}  // namespace

// Defined here: every includer would otherwise compile the copies of the variant, about which g++
// 12 warns by mistake.
ConfigNode::ConfigNode(const ConfigNode& other) = default;
ConfigNode::ConfigNode(ConfigNode&& other) noexcept = default;
ConfigNode& ConfigNode::operator=(const ConfigNode& other) = default;
ConfigNode& ConfigNode::operator=(ConfigNode&& other) noexcept = default;
ConfigNode::~ConfigNode() = default;

ConfigNode ConfigNode::list(List elements) {
  ConfigNode out;
  out.value_ = List();
  out.place_ = std::make_shared<Place>(Place{nullptr, "configuration"});
  for (auto& element : elements) {
    element.put_below(out.place_, concat("[", out.elements().size(), "]"));
    std::get<List>(out.value_).push_back(std::move(element));
  }
  return out;
}

ConfigNode ConfigNode::map(Map members) {
  ConfigNode out;
  out.value_ = Map();
  for (auto& [key, value] : members) {
    if (out.contains(key)) raise<ConfigError>("ConfigNode::map: the key '", key, "' appears twice");
    out.set(key, std::move(value));
  }
  return out;
}

ConfigNode ConfigNode::load(const std::string& path) {
  const auto bytes = read_file(path, ConfigBuilder::kMaxText);
  require_no_placeholder(bytes, path);
  const bool json = path.size() >= 5 && path.compare(path.size() - 5, 5, ".json") == 0;
  return json ? parse_json(as_text(bytes), path) : parse_yaml(as_text(bytes), path);
}

ConfigPlace ConfigNode::place() const {
  std::vector<std::string_view> names;
  const Place* root = place_.get();
  for (; root != nullptr && root->parent != nullptr; root = root->parent.get())
    names.push_back(root->name);
  std::string path;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (!path.empty() && name->front() != '[') path += '.';
    path += shortened(*name);
  }
  return ConfigPlace(root == nullptr ? "configuration" : root->name, std::move(path));
}

std::string ConfigNode::where() const { return place().to_string(); }

void ConfigNode::fail_expected(std::string_view wanted) const {
  raise<ConfigError>(where(), ": expected ", wanted, ", got ", description(*this));
}

void ConfigNode::put_below(const OwnedPointer<const Place>& parent, std::string name) {
  place_ = std::make_shared<Place>(Place{parent, name.empty() ? "''" : std::move(name)});
  if (auto* elements = std::get_if<List>(&value_))
    for (std::size_t i = 0; i < elements->size(); ++i)
      (*elements)[i].put_below(place_, concat("[", i, "]"));
  if (auto* members = std::get_if<Map>(&value_))
    for (auto& [key, value] : *members) value.put_below(place_, key);
}

bool ConfigNode::as_bool() const {
  if (const auto* value = std::get_if<bool>(&value_)) return *value;
  fail_expected("true or false");
}

double ConfigNode::as_number() const {
  if (const auto* value = std::get_if<double>(&value_)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*value);
  fail_expected("a number");
}

std::int64_t ConfigNode::as_integer(std::int64_t lowest, std::int64_t highest) const {
  std::int64_t out = 0;
  if (const auto* value = std::get_if<std::int64_t>(&value_))
    out = *value;
  else if (const auto* number = std::get_if<double>(&value_);
           number != nullptr && std::abs(*number) < 0x1p53 && std::trunc(*number) == *number)
    out = static_cast<std::int64_t>(*number);
  else
    fail_expected("an integer");
  if (out < lowest || out > highest)
    fail_expected(concat("an integer from ", lowest, " to ", highest));
  return out;
}

const std::string& ConfigNode::as_string() const {
  if (const auto* value = std::get_if<std::string>(&value_)) return *value;
  fail_expected("a string");
}

std::span<const ConfigNode> ConfigNode::elements() const {
  if (const auto* value = std::get_if<List>(&value_)) return *value;
  fail_expected("a list");
}

std::span<const ConfigNode::Member> ConfigNode::members() const {
  if (const auto* value = std::get_if<Map>(&value_)) return *value;
  fail_expected("a map");
}

const ConfigNode* ConfigNode::find(std::string_view key) const {
  for (const auto& [name, value] : members())
    if (name == key) return &value;
  return nullptr;
}

const ConfigNode& ConfigNode::at(std::string_view key) const {
  if (const ConfigNode* found = find(key)) return *found;
  std::vector<std::string> keys;
  for (const auto& member : members()) keys.push_back(member.first);
  raise<ConfigError>(where(), ": the key '", key, "' is missing", detail::suggestion(key, keys));
}

void ConfigNode::set(std::string_view key, ConfigNode value) {
  if (is_null()) value_ = Map();
  if (!is_map()) fail_expected("a map");
  if (!place_) place_ = std::make_shared<Place>(Place{nullptr, "configuration"});
  value.put_below(place_, std::string(key));
  auto& all = std::get<Map>(value_);
  for (auto& [name, old] : all) {
    if (name != key) continue;
    old = std::move(value);
    return;
  }
  all.emplace_back(std::string(key), std::move(value));
}

void ConfigNode::set_path(std::string_view dotted, ConfigNode value) {
  if (is_null()) value_ = Map();
  if (!is_map()) fail_expected("a map");
  const auto dot = dotted.find('.');
  const auto key = dotted.substr(0, dot);
  if (key.empty()) raise<ConfigError>(where(), ": an empty key in a path");
  if (dot == std::string_view::npos) return set(key, std::move(value));
  if (!contains(key)) set(key, ConfigNode::map());
  for (auto& [name, member] : std::get<Map>(value_))
    if (name == key) return member.set_path(dotted.substr(dot + 1), std::move(value));
}

void ConfigNode::apply_override(std::string_view assignment) {
  const auto equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0)
    raise<ConfigError>("override '", shortened(assignment),
                       "': expected key=value, for example dit.train.lr=1e-4");
  const auto key = assignment.substr(0, equals);
  if (static_cast<std::size_t>(std::count(key.begin(), key.end(), '.')) >= ConfigBuilder::kMaxDepth)
    raise<ConfigError>("override '", shortened(assignment), "': more than ",
                       ConfigBuilder::kMaxDepth, " levels");
  set_path(key, parse_yaml(assignment.substr(equals + 1),
                           concat("override '", shortened(assignment), "'")));
}

bool ConfigNode::operator==(const ConfigNode& other) const { return value_ == other.value_; }

void require_keys_known(const ConfigNode& node, std::span<const std::string_view> known) {
  for (const auto& [key, value] : node.members()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::vector<std::string> candidates(known.begin(), known.end());
    auto hint = detail::suggestion(key, candidates);
    if (hint.empty()) {
      for (const auto& name : candidates) hint += (hint.empty() ? "; known keys: " : ", ") + name;
    }
    raise<ConfigError>(node.where(), ": unknown key '", shortened(key), "'", hint);
  }
}

namespace {

/// Writes a tree as JSON, depth first.
class JsonWriter {
 public:
  explicit JsonWriter(int indent) : indent_(indent) {}

  void write(const ConfigNode& node, int level) {
    switch (node.kind()) {
      case ConfigNode::Kind::null: out_ += "null"; break;
      case ConfigNode::Kind::boolean: out_ += node.as_bool() ? "true" : "false"; break;
      case ConfigNode::Kind::integer: out_ += std::to_string(node.as_integer()); break;
      case ConfigNode::Kind::number:
        if (!std::isfinite(node.as_number()))
          node.fail_expected("a finite number, since JSON has no others");
        out_ += number_text(node.as_number());
        break;
      case ConfigNode::Kind::string: write_string(node.as_string(), node); break;
      case ConfigNode::Kind::list:
        write_all(node.elements(), "[]", level,
                  [&](const ConfigNode& element) { write(element, level + 1); });
        break;
      case ConfigNode::Kind::map:
        write_all(node.members(), "{}", level, [&](const ConfigNode::Member& member) {
          write_string(member.first, node);
          out_ += indent_ < 0 ? ":" : ": ";
          write(member.second, level + 1);
        });
        break;
    }
  }

  std::string take() { return std::move(out_); }

 private:
  template <class Items, class Write>
  void write_all(const Items& items, const char* brackets, int level, Write&& write_one) {
    out_ += brackets[0];
    bool first = true;
    for (const auto& item : items) {
      if (!first) out_ += ',';
      first = false;
      new_line(level + 1);
      write_one(item);
    }
    if (!first) new_line(level);
    out_ += brackets[1];
  }

  void new_line(int level) {
    if (indent_ >= 0) out_ += "\n" + std::string(static_cast<std::size_t>(indent_ * level), ' ');
  }

  void write_string(const std::string& value, const ConfigNode& node) {
    try {
      out_ += nlohmann::json(value).dump();
    } catch (const nlohmann::json::exception&) {
      node.fail_expected("a string in UTF-8");
    }
  }

  std::string out_;
  int indent_;
};

}  // namespace

std::string ConfigNode::to_json(int indent) const {
  JsonWriter writer(indent);
  writer.write(*this, 0);
  return writer.take();
}

}  // namespace rae
