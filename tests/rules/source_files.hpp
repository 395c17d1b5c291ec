// The source files of the library, as the rule tests read them.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace rae::test {

struct SourceFile {
  std::string path;  // relative to the repository, with forward slashes
  std::vector<std::string> lines;
};

inline std::vector<std::string> lines_of(std::istream& in) {
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

/// All files with these extensions (default: those of C++) in folders of the repository, in a fixed
/// order.
inline std::vector<SourceFile> source_files(const std::vector<std::string>& folders,
                                            const std::vector<std::string>& kinds = {".hpp", ".cpp",
                                                                                     ".inl"}) {
  namespace fs = std::filesystem;
  const fs::path root = RAE_SOURCE_DIR;
  std::vector<SourceFile> out;
  for (const auto& folder : folders) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (std::find(kinds.begin(), kinds.end(), extension) == kinds.end()) continue;
      std::ifstream in(entry.path());
      out.push_back({fs::relative(entry.path(), root).generic_string(), lines_of(in)});
    }
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return out;
}

}  // namespace rae::test
