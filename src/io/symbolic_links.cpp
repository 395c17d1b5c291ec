#include "symbolic_links.hpp"

#include <filesystem>
#include <system_error>

#include "rae/error.hpp"

namespace rae::detail {

std::string follow_links(const std::string& path) {
  constexpr int kMostLinks = 40;  // as Linux
  std::error_code none;
  std::filesystem::path at = path;
  for (int links = 0; std::filesystem::is_symlink(at, none); ++links) {
    if (links == kMostLinks)
      raise<FileError>("cannot write '", path, "': too many symbolic links, or links in a circle");
    const std::filesystem::path next = std::filesystem::read_symlink(at, none);
    if (none) break;
    at = at.parent_path() / next;  // an absolute path replaces the whole
  }
  return at.string();
}

}  // namespace rae::detail
