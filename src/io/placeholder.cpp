#include "rae/io/placeholder.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>

#include "rae/io/file.hpp"

namespace rae {
namespace {

/// Limits of the sizes of a pointer and of an error message.
constexpr std::size_t kMaxPointer = 1024, kMaxMessage = 4096;

constexpr std::string_view kDownload =
    "fetch the file itself, for example with 'hf download REPOSITORY FILE'";

/// Beginnings of the error messages that servers send as plain text, in lower case.
constexpr std::string_view kMessages[] = {
    "entry not found",    "not found",           "404: not found",
    "404 not found",      "file not found",      "repository not found",
    "revision not found", "invalid credentials", "invalid username or password",
    "access denied",      "access to model",     "access to dataset",
    "unauthorized",       "forbidden",           "too many requests"};
/// First keys of the error messages that servers send as JSON.
constexpr std::string_view kErrorKeys[] = {"\"error\"", "\"errors\"", "\"message\"", "\"detail\""};

constexpr std::string_view kSpace = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

/// True when `text` begins with `start`, whose letters are in lower case.
bool begins(std::string_view text, std::string_view start) {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
  return text.size() >= start.size() && std::equal(start.begin(), start.end(), text.begin(),
                                                   [&](char b, char a) { return same(a, b); });
}

bool is_error_message(std::string_view text) {
  const auto begins_text = [&](std::string_view start) { return begins(text, start); };
  if (std::any_of(std::begin(kMessages), std::end(kMessages), begins_text)) return true;
  if (!text.starts_with('{')) return false;
  const std::string_view inside = trimmed(text.substr(1));
  return std::any_of(std::begin(kErrorKeys), std::end(kErrorKeys),
                     [&](std::string_view key) { return inside.starts_with(key); });
}

/// The beginning of a text on one line.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, 80));
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return text.size() > out.size() ? out + "..." : out;
}

}  // namespace

void require_no_placeholder(std::span<const std::byte> bytes, const std::string& origin) {
  if (bytes.empty()) raise<FormatError>(origin, ": is empty; if it was downloaded, ", kDownload);
  std::string_view text = as_text(bytes);
  if (text.starts_with("version https://git-lfs") && text.size() <= kMaxPointer) {
    std::uint64_t size = 0;
    if (const auto at = text.find("\nsize "); at != std::string_view::npos)
      std::from_chars(text.data() + at + 6, text.data() + text.size(), size);
    raise<FormatError>(origin, ": is a git-lfs pointer to a file of ", size,
                       " bytes, not the file itself; run 'git lfs pull' in its repository, or ",
                       kDownload);
  }
  const std::string_view start = trimmed(text.substr(0, kMaxMessage));
  if (begins(start, "<!doctype") || begins(start, "<html") || begins(start, "<?xml"))
    raise<FormatError>(origin, ": is ", begins(start, "<?xml") ? "an XML" : "an HTML",
                       " page that was saved in place of the file; ", kDownload,
                       " (in the address of a hub, 'resolve' leads to the file, 'blob' to a page)");
  if (text.size() <= kMaxMessage && is_error_message(start))
    raise<FormatError>(origin, ": is the error message of a server, '", shown(start),
                       "', that was saved in place of the file; check the name of the file, and ",
                       kDownload);
}

}  // namespace rae
