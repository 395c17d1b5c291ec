// Words in SVG: escaped text, the estimated width of words, and lines of words.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "io/utf8.hpp"

namespace rae::detail {

/// The number of bytes of the UTF-8 character at the beginning of nonempty `text`; 0 when there is
/// none.
[[nodiscard]] inline std::size_t utf8_length(std::string_view text) noexcept {
  for (std::size_t n = 1; n <= 4 && n <= text.size(); ++n)
    if (is_utf8(text.substr(0, n))) return n;
  return 0;
}

/// `text` as the content of an XML element or attribute. Bytes that are not UTF-8 and characters
/// that XML 1.0 excludes become U+FFFD; line breaks and tabs become spaces.
[[nodiscard]] inline std::string escape_xml(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t n = utf8_length(text);
    const std::string_view one = text.substr(0, n == 0 ? 1 : n);
    const auto first = static_cast<unsigned char>(one[0]);
    if (first == '&')
      out += "&amp;";
    else if (first == '<')
      out += "&lt;";
    else if (first == '>')
      out += "&gt;";
    else if (first == '"')
      out += "&quot;";
    else if (first == '\n' || first == '\t' || first == '\r')
      out += ' ';
    else if (n == 0 || first < 0x20 || first == 0x7f || one == "\xef\xbf\xbe" ||
             one == "\xef\xbf\xbf")
      out += "\xef\xbf\xbd";
    else
      out += one;
    text.remove_prefix(one.size());
  }
  return out;
}

/// An upper estimate of the width of `text` in a sans-serif font of this size, both in pixels.
[[nodiscard]] inline double text_width(std::string_view text, double size) {
  double ems = 0;
  while (!text.empty()) {
    const std::size_t n = utf8_length(text);
    const char first = text[0];
    if (n >= 3)
      ems += 1.0;  // Chinese, Japanese, Korean, symbols
    else if (std::string_view("MW@%mw").find(first) != std::string_view::npos)
      ems += 0.95;
    else if (std::string_view("iljtfrI.,:;!'|()[] ").find(first) != std::string_view::npos)
      ems += 0.4;
    else
      ems += first >= 'A' && first <= 'Z' ? 0.75 : 0.6;
    text.remove_prefix(n == 0 ? 1 : n);
  }
  return ems * size;
}

/// The words of `text` in lines of at most `width` pixels; a longer word has a line of its own.
[[nodiscard]] inline std::vector<std::string> text_lines(std::string_view text, double size,
                                                         double width) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string word(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    if (!lines.empty() && text_width(lines.back() + " " + word, size) <= width)
      lines.back() += " " + word;
    else
      lines.push_back(word);
  }
  return lines;
}

}  // namespace rae::detail
