// JSON -> ConfigNode, through the event parser of nlohmann/json.
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "config_builder.hpp"
#include "config_json.hpp"

namespace rae {
namespace {

using Json = nlohmann::json;

class JsonHandler : public nlohmann::json_sax<Json> {
 public:
  JsonHandler(ConfigBuilder& builder, std::span<const std::string_view> dropped)
      : builder_(builder), dropped_(dropped) {}

  bool null() override { return scalar(ConfigNode()); }
  bool boolean(bool value) override { return scalar(ConfigNode(value)); }
  bool number_integer(number_integer_t value) override { return scalar(ConfigNode(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    const bool fits =
        value <= static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max());
    return scalar(fits ? ConfigNode(static_cast<std::int64_t>(value))
                       : ConfigNode(static_cast<double>(value)));
  }
  bool number_float(number_float_t value, const string_t&) override {
    return scalar(ConfigNode(value));
  }
  bool string(string_t& value) override { return scalar(ConfigNode(std::move(value))); }
  bool binary(binary_t&) override { builder_.fail("binary data"); }

  bool start_object(std::size_t) override {
    ++depth_;
    if (!dropping_) builder_.begin_map();
    return true;
  }
  bool key(string_t& name) override {
    if (dropping_) return true;
    dropping_ = depth_ == 1 && std::find(dropped_.begin(), dropped_.end(), name) != dropped_.end();
    if (!dropping_) builder_.key(name);
    return true;
  }
  bool end_object() override { return end_array(); }
  bool start_array(std::size_t) override {
    ++depth_;
    if (!dropping_) builder_.begin_list();
    return true;
  }
  bool end_array() override {
    --depth_;
    if (!dropping_) builder_.end();
    if (depth_ == 1) dropping_ = false;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    builder_.fail(concat("not valid JSON at byte ", position));
  }

 private:
  bool scalar(ConfigNode value) {
    if (!dropping_) builder_.scalar(std::move(value));
    if (depth_ == 1) dropping_ = false;
    return true;
  }

  ConfigBuilder& builder_;
  std::span<const std::string_view> dropped_;
  std::size_t depth_ = 0;
  bool dropping_ = false;
};

ConfigNode parse(ConfigBuilder& builder, std::string_view text,
                 std::span<const std::string_view> dropped) {
  JsonHandler handler(builder, dropped);
  Json::sax_parse(text.begin(), text.end(), &handler);
  return builder.finish();
}

}  // namespace

ConfigNode ConfigNode::parse_json(std::string_view text, const std::string& origin) {
  ConfigBuilder builder(text, origin);
  return parse(builder, text, {});
}

ConfigNode detail::parse_json_without(std::string_view text, const std::string& origin,
                                      std::span<const std::string_view> dropped) {
  ConfigBuilder builder({}, origin);
  return parse(builder, text, dropped);
}

}  // namespace rae
