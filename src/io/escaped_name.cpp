#include "escaped_name.hpp"

#include "utf8.hpp"

namespace rae::detail {
namespace {

constexpr std::string_view kHexadecimal = "0123456789abcdef";

}  // namespace

std::string escaped_name(std::string_view name) {
  const bool utf8 = is_utf8(name);
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || byte == '\\' || (byte > 0x7f && !utf8)) {
      out += "\\x";
      out += kHexadecimal[byte >> 4];
      out += kHexadecimal[byte & 15];
    } else {
      out += c;
    }
  }
  return out;
}

std::string unescaped_name(std::string_view text, const ConfigNode& node) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      out += text[at];
      continue;
    }
    const std::string_view code = text.substr(at, 4);
    const std::size_t high = code.size() < 4 ? code.npos : kHexadecimal.find(code[2]),
                      low = code.size() < 4 ? code.npos : kHexadecimal.find(code[3]);
    if (code.substr(0, 2) != "\\x" || high == code.npos || low == code.npos)
      raise<ConfigError>(node.where(), ": expected \\xNN after a backslash in a name");
    out += static_cast<char>(high << 4 | low);
    at += 3;
  }
  return out;
}

}  // namespace rae::detail
