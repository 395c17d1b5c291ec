// Places that results go to: looked at before the work begins, so that an hour is not lost to a
// misspelt folder.
#pragma once

#include <string>
#include <vector>

namespace rae::tool {

/// Throws FileError unless a file can be written at `path`; leaves nothing behind.
void require_writable_file(const std::string& path);

/// Throws FileError unless `path` is a folder that takes new files, or can be made into one: its
/// parent is such a folder.
void require_writable_folder(const std::string& path);

/// Removes the files and empty folders of an output that was not finished. Those that were there
/// before are left alone.
class UnfinishedOutput {
 public:
  UnfinishedOutput() = default;
  UnfinishedOutput(const UnfinishedOutput&) = delete;
  UnfinishedOutput& operator=(const UnfinishedOutput&) = delete;
  ~UnfinishedOutput();

  /// Call before `path` is made.
  void will_make(const std::string& path);

  /// The output is complete: nothing is removed.
  void finish() noexcept { made_.clear(); }

 private:
  std::vector<std::string> made_;
};

/// True when `path` ends in `extension`, in any case.
[[nodiscard]] bool has_extension(const std::string& path, const std::string& extension);

}  // namespace rae::tool
