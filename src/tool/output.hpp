// Checks output paths before the computation starts, so that a misspelt folder does not waste
// hours.
#pragma once

#include <string>
#include <vector>

namespace rae::tool {

/// Throws FileError unless a file can be written at `path`; creates nothing.
void require_writable_file(const std::string& path);

/// Removes what processes that were killed while they wrote the file `path` have left.
void remove_orphans_of(const std::string& path);

/// Throws FileError unless `path` is a writable folder or can be created in a writable folder.
void require_writable_folder(const std::string& path);

/// Undoes an unfinished output of several files when it is destroyed: new files and empty folders
/// are removed, and files that were replaced are put back, where the file system has hard links.
class UnfinishedOutput {
 public:
  UnfinishedOutput() = default;
  UnfinishedOutput(const UnfinishedOutput&) = delete;
  UnfinishedOutput& operator=(const UnfinishedOutput&) = delete;
  ~UnfinishedOutput();

  /// Call before `path` is created or replaced.
  void will_create(const std::string& path);

  /// The output is complete: nothing is undone.
  void finish() noexcept;

 private:
  struct Pending {
    std::string path;
    std::string backup;  // a second name of the file before; empty: there was none
  };
  std::vector<Pending> pending_;
};

/// The path without slashes at its end.
[[nodiscard]] std::string without_slash(std::string path);

/// True if `path` ends in `extension`, in upper or lower case.
[[nodiscard]] bool has_extension(const std::string& path, const std::string& extension);

}  // namespace rae::tool
