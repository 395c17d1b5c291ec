// A lock on a folder is one on its open descriptor, and ends with the process.
#include "tool/temporary_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "io/temporary_name.hpp"
#include "rae/error.hpp"

namespace rae::tool {
namespace fs = std::filesystem;

namespace {

/// Opens a folder, not a link to one, and locks it; -1 if that is not possible.
int open_and_lock(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0) return -1;
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return descriptor;
  ::close(descriptor);
  return -1;
}

}  // namespace

void remove_orphaned_folders(const std::string& base) {
  const std::string name = fs::path(base).filename().string();
  const fs::path parent = fs::path(base).parent_path();
  std::error_code none;
  std::vector<std::string> orphans;
  for (const auto& entry : fs::directory_iterator(parent.empty() ? fs::path(".") : parent, none)) {
    const std::string found = entry.path().filename().string();
    const auto parts = detail::parse_temporary_name(found);
    if (parts && parts->base == name && !detail::may_be_running(parts->process))
      orphans.push_back(entry.path().string());
  }
  for (const std::string& path : orphans) {
    const int lock = open_and_lock(path);
    struct stat status {};
    if (lock < 0) continue;
    if (::fstat(lock, &status) == 0 && status.st_uid == ::geteuid()) fs::remove_all(path, none);
    ::close(lock);
  }
}

TemporaryFolder::TemporaryFolder(const std::string& base, bool hidden_from_others) {
  remove_orphaned_folders(base);
  constexpr int kAttempts = 100;
  int made = -1;
  for (int attempt = 0; made != 0 && attempt < kAttempts; ++attempt) {
    path_ = detail::temporary_name(base);
    made = ::mkdir(path_.c_str(), hidden_from_others ? 0700 : 0777);
    if (made != 0 && errno != EEXIST) break;
  }
  if (made != 0)
    raise<FileError>("cannot create the folder '", path_,
                     "': ", std::error_code(errno, std::generic_category()).message());
  lock_ = open_and_lock(path_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code none;
  if (!released_) fs::remove_all(path_, none);
  if (lock_ >= 0) ::close(lock_);
}

void TemporaryFolder::release() noexcept { released_ = true; }

}  // namespace rae::tool
