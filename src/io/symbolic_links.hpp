// The file that a path names, where the path may be a symbolic link.
#pragma once

#include <string>

namespace rae::detail {

/// The path after symbolic links, dangling ones too, so that their file is written and the links
/// stay. A path that is no link is returned as it is. Throws FileError for links in a circle.
[[nodiscard]] std::string follow_links(const std::string& path);

}  // namespace rae::detail
