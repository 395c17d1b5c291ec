#include "train/training_log.hpp"

#include <filesystem>
#include <fstream>

namespace rae::detail {

void append_log(const std::string& folder, const ConfigNode& line) {
  const std::string path = (std::filesystem::path(folder) / "log.jsonl").string();
  std::ofstream out(path, std::ios::app);
  out << line.to_json() + "\n" << std::flush;
  if (!out) raise<FileError>(path, ": cannot be written; is the disk full?");
}

}  // namespace rae::detail
