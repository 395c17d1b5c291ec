// Small texts in place of the file that was meant: git-lfs pointers, web pages and error messages
// that a download saved, and empty files.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace rae {

/// Throws FormatError when these are the bytes of an empty file, a git-lfs pointer, an HTML or XML
/// page, or the error message of a server ("Entry not found"). The message says so and names the
/// command that fetches the file. All readers of files call this first. Sources: specification of
/// git-lfs, version 1; the answers of model hubs.
void require_no_placeholder(std::span<const std::byte> bytes, const std::string& origin);

}  // namespace rae
