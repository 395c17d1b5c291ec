// A folder that is removed again, also after this process was killed: by the next one.
#pragma once

#include <string>

namespace rae::tool {

/// Makes a folder "BASE.tmp-PROCESS-COUNT", see io/temporary_name.hpp, and holds a lock on it. The
/// destructor removes it with all that is in it.
class TemporaryFolder {
 public:
  /// First removes the folders of this base whose processes no longer exist. `base` may end in '/';
  /// then the folder is in that one. `hidden_from_others`: only this user may open it. Throws
  /// FileError.
  explicit TemporaryFolder(const std::string& base, bool hidden_from_others = false);
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  /// The folder has another name now, or is gone, and is not removed.
  void release() noexcept;

 private:
  std::string path_;
  int lock_ = -1;
  bool released_ = false;
};

/// Removes the folders "BASE.tmp-PROCESS-COUNT" of this user whose processes no longer exist. Those
/// that another process has locked, here or on another machine, stay.
void remove_orphaned_folders(const std::string& base);

}  // namespace rae::tool
