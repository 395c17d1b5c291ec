// YAML -> ConfigNode, through yaml-cpp's event parser; types follow the YAML 1.2 core schema.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <sstream>

#include "config_builder.hpp"

namespace rae {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Removes the digits at the beginning of `text` and returns their number.
std::size_t take_digits(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  text.remove_prefix(n);
  return n;
}

/// True for [-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?, without the first sign.
bool is_decimal(std::string_view text) {
  std::size_t digits = take_digits(text);
  if (!text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    digits += take_digits(text);
  }
  if (digits == 0) return false;
  if (text.empty()) return true;
  if (text.front() != 'e' && text.front() != 'E') return false;
  text.remove_prefix(1);
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) text.remove_prefix(1);
  return take_digits(text) > 0 && text.empty();
}

/// The type of an unquoted scalar.
ConfigNode resolve(const std::string& scalar) {
  const auto any_of = [&](std::initializer_list<std::string_view> words) {
    for (const auto word : words)
      if (scalar == word) return true;
    return false;
  };
  if (any_of({"", "~", "null", "Null", "NULL"})) return {};
  if (any_of({"true", "True", "TRUE"})) return true;
  if (any_of({"false", "False", "FALSE"})) return false;
  if (any_of({".nan", ".NaN", ".NAN"})) return std::nan("");
  std::string_view text = scalar;
  const bool negative = text.front() == '-';
  if (negative || text.front() == '+') text.remove_prefix(1);
  if (text == ".inf" || text == ".Inf" || text == ".INF")
    return negative ? -std::numeric_limits<double>::infinity()
                    : std::numeric_limits<double>::infinity();

  const int base = text.substr(0, 2) == "0x" ? 16 : text.substr(0, 2) == "0o" ? 8 : 10;
  const auto digits = base == 10 ? text : text.substr(2);
  if (!digits.empty() && digits.front() != '-') {
    std::int64_t integer = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), integer, base);
    if (error == std::errc() && end == digits.data() + digits.size())
      return negative ? -integer : integer;
  }
  if (is_decimal(text)) {
    double number = 0.0;
    // A number out of range stays a string, so that reading it as a number fails with its digits in
    // the message.
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size())
      return negative ? -number : number;
  }
  return scalar;
}

class YamlHandler : public YAML::EventHandler {
 public:
  explicit YamlHandler(ConfigBuilder& builder) : builder_(builder) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark&, YAML::anchor_t anchor) override {
    if (builder_.wants_key()) builder_.fail("a key without a name");
    builder_.scalar({}, anchor);
  }

  void OnAlias(const YAML::Mark&, YAML::anchor_t anchor) override {
    if (builder_.wants_key()) builder_.fail("an alias as a key");
    builder_.alias(anchor);
  }

  void OnScalar(const YAML::Mark&, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (builder_.wants_key()) {
      if (value == "<<" && tag == "?") builder_.fail("merge keys (<<) are not supported");
      builder_.key(value);
      return;
    }
    const std::string_view standard = "tag:yaml.org,2002:";
    const std::string_view type = tag.rfind(standard, 0) == 0
                                      ? std::string_view(tag).substr(standard.size())
                                      : std::string_view(tag);
    if (type == "!" || type == "str") return builder_.scalar(value, anchor);
    if (type == "?" || type.empty() || type == "int" || type == "float" || type == "bool" ||
        type == "null")
      return builder_.scalar(resolve(value), anchor);
    builder_.fail(concat("unknown tag '", std::string_view(tag).substr(0, 80), "'"));
  }

  void OnSequenceStart(const YAML::Mark&, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    require_plain(tag, "tag:yaml.org,2002:seq", "a list");
    builder_.begin_list(anchor);
  }
  void OnSequenceEnd() override { builder_.end(); }

  void OnMapStart(const YAML::Mark&, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    require_plain(tag, "tag:yaml.org,2002:map", "a map");
    builder_.begin_map(anchor);
  }
  void OnMapEnd() override { builder_.end(); }

 private:
  void require_plain(const std::string& tag, std::string_view standard, std::string_view kind) {
    if (builder_.wants_key()) builder_.fail(concat(kind, " as a key"));
    if (!tag.empty() && tag != "?" && tag != "!" && tag != standard)
      builder_.fail(concat("unknown tag '", std::string_view(tag).substr(0, 80), "'"));
  }

  ConfigBuilder& builder_;
};

}  // namespace

ConfigNode ConfigNode::parse_yaml(std::string_view text, const std::string& origin) {
  ConfigBuilder builder(text, origin);
  YamlHandler handler(builder);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(handler)) {
    }
  } catch (const YAML::Exception& error) {
    builder.fail(concat("not valid YAML in line ", error.mark.line + 1, ": ", error.msg));
  }
  return builder.finish();
}

}  // namespace rae
