// JSON -> ConfigNode, through nlohmann's event parser.
#include <limits>
#include <nlohmann/json.hpp>

#include "config_builder.hpp"

namespace rae {
namespace {

using Json = nlohmann::json;

class JsonHandler : public nlohmann::json_sax<Json> {
 public:
  explicit JsonHandler(ConfigBuilder& builder) : builder_(builder) {}

  bool null() override { return scalar(ConfigNode()); }
  bool boolean(bool value) override { return scalar(ConfigNode(value)); }
  bool number_integer(number_integer_t value) override { return scalar(ConfigNode(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    const bool fits = value <= static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max());
    return scalar(fits ? ConfigNode(static_cast<std::int64_t>(value)) : ConfigNode(static_cast<double>(value)));
  }
  bool number_float(number_float_t value, const string_t&) override { return scalar(ConfigNode(value)); }
  bool string(string_t& value) override { return scalar(ConfigNode(std::move(value))); }
  bool binary(binary_t&) override { builder_.fail("binary data"); }

  bool start_object(std::size_t) override {
    builder_.begin_map();
    return true;
  }
  bool key(string_t& name) override {
    builder_.key(name);
    return true;
  }
  bool end_object() override { return end_array(); }
  bool start_array(std::size_t) override {
    builder_.begin_list();
    return true;
  }
  bool end_array() override {
    builder_.end();
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    builder_.fail(concat("not valid JSON at byte ", position));
  }

 private:
  bool scalar(ConfigNode value) {
    builder_.scalar(std::move(value));
    return true;
  }

  ConfigBuilder& builder_;
};

}  // namespace

ConfigNode ConfigNode::parse_json(std::string_view text, const std::string& origin) {
  ConfigBuilder builder(text, origin);
  JsonHandler handler(builder);
  Json::sax_parse(text.begin(), text.end(), &handler);
  return builder.finish();
}

}  // namespace rae
