// Locks that keep two processes from writing the same file or folder.
#pragma once

#include <string>

namespace rae::detail {

/// Opens a file for reading and writing, makes it if it is missing, and locks it as long as the
/// descriptor is open; a process that ends, however it ends, releases its locks. The file that is
/// locked has the name `path` when this returns, also if another process renamed or removed it in
/// the meantime. Returns -1 when the lock is held elsewhere. File systems without locks give the
/// descriptor alone. Throws FileError when the file cannot be opened.
[[nodiscard]] int open_locked(const std::string& path);

/// A file in a folder that is locked while this object exists, with the number of the process in
/// it. The destructor removes the file.
class FolderLock {
 public:
  /// Locks an existing folder. `activity` is for the message: "training". Throws FileError, naming
  /// the process, when the lock is held elsewhere.
  FolderLock(const std::string& folder, const std::string& activity);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace rae::detail
