// A strict reader of XML elements, for tests of pages and plots that the library writes. It knows
// elements, attributes, text and the five entities, and refuses everything else.
#pragma once

#include <cctype>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rae::test {

/// An element with its attributes, children, and the text directly in it.
struct XmlElement {
  std::string name{}, text{};
  std::vector<std::pair<std::string, std::string>> attributes{};
  std::vector<XmlElement> children{};

  /// The value of an attribute; empty without it.
  [[nodiscard]] std::string attribute(std::string_view wanted) const {
    for (const auto& [key, value] : attributes)
      if (key == wanted) return value;
    return {};
  }
  /// The value of an attribute as a number. Throws std::runtime_error when it is not one.
  [[nodiscard]] double number(std::string_view wanted) const {
    const std::string value = attribute(wanted);
    char* end = nullptr;
    const double out = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0')
      throw std::runtime_error("attribute '" + std::string(wanted) + "' is '" + value + "'");
    return out;
  }
  /// All elements of this name inside this one, in order.
  [[nodiscard]] std::vector<const XmlElement*> all(std::string_view wanted) const {
    std::vector<const XmlElement*> out;
    for (const XmlElement& child : children) {
      if (child.name == wanted) out.push_back(&child);
      for (const XmlElement* below : child.all(wanted)) out.push_back(below);
    }
    return out;
  }
  /// All elements inside this one that have this class.
  [[nodiscard]] std::vector<const XmlElement*> all_of_class(const std::string& wanted) const {
    std::vector<const XmlElement*> out;
    for (const XmlElement& child : children) {
      if ((" " + child.attribute("class") + " ").find(" " + wanted + " ") != std::string::npos)
        out.push_back(&child);
      for (const XmlElement* below : child.all_of_class(wanted)) out.push_back(below);
    }
    return out;
  }
};

/// Reads a document of one element. Throws std::runtime_error unless it is well-formed.
class XmlReader {
 public:
  explicit XmlReader(std::string_view text) : text_(text) {}

  XmlElement document() {
    skip_space();
    XmlElement out = element();
    skip_space();
    require(at_ == text_.size(), "something after the document");
    return out;
  }

 private:
  void require(bool condition, const std::string& message) const {
    if (!condition)
      throw std::runtime_error("XML, byte " + std::to_string(at_) + ": " + message + ": " +
                               std::string(text_.substr(at_, 60)));
  }
  [[nodiscard]] char next() const {
    require(at_ < text_.size(), "unexpected end");
    return text_[at_];
  }
  void expect(char c) {
    require(next() == c, std::string("expected ") + c);
    ++at_;
  }
  void skip_space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  std::string name() {
    const std::size_t begin = at_;
    while (std::isalnum(static_cast<unsigned char>(next())) || next() == '-' || next() == ':')
      ++at_;
    require(at_ > begin, "expected a name");
    return std::string(text_.substr(begin, at_ - begin));
  }
  /// Text up to `end`, which is not consumed.
  std::string content(char end) {
    std::string out;
    while (next() != end) {
      const auto c = static_cast<unsigned char>(next());
      require(c >= 0x20 || c == '\n', "control character");
      require(c != '<', "unescaped <");
      if (c != '&') {
        out += text_[at_++];
        continue;
      }
      bool known = false;
      for (const auto& [entity, character] : {std::pair{"&amp;", '&'},
                                              {"&lt;", '<'},
                                              {"&gt;", '>'},
                                              {"&quot;", '"'},
                                              {"&apos;", '\''}})
        if (text_.substr(at_).substr(0, std::string_view(entity).size()) == entity) {
          out += character;
          at_ += std::string_view(entity).size();
          known = true;
          break;
        }
      require(known, "unknown entity");
    }
    return out;
  }
  XmlElement element() {
    XmlElement out;
    expect('<');
    out.name = name();
    while (true) {
      const std::size_t before = at_;
      skip_space();
      if (next() == '/') {
        ++at_;
        expect('>');
        return out;
      }
      if (next() == '>') break;
      require(at_ > before, "attributes without space");
      std::string key = name();
      require(out.attribute(key).empty(), "repeated attribute " + key);
      expect('=');
      expect('"');
      out.attributes.emplace_back(std::move(key), content('"'));
      expect('"');
    }
    ++at_;
    while (true) {
      out.text += content('<');
      if (text_.substr(at_, 2) == "</") {
        at_ += 2;
        require(name() == out.name, "wrong end of " + out.name);
        expect('>');
        return out;
      }
      out.children.push_back(element());
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

/// The root element of a document. Throws std::runtime_error unless it is well-formed.
[[nodiscard]] inline XmlElement parse_xml(std::string_view text) {
  return XmlReader(text).document();
}

}  // namespace rae::test
