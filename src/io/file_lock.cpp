// POSIX flock, which belongs to the open file and ends with the process.
#include "file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "rae/io/file.hpp"

namespace rae::detail {
namespace {

/// True when the open file is the one that the path names.
bool is_named(int descriptor, const std::string& path) {
  struct stat opened {
  }, named{};
  return ::fstat(descriptor, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/// " 1234", the number in a lock file; nothing when it is not there (yet).
std::string holder(const std::string& path) {
  try {
    std::string number;
    const std::vector<std::byte> contents = read_file(path, 4096);
    for (const char c : as_text(contents)) {
      if (c < '0' || c > '9') break;
      number += c;
    }
    return number.empty() ? "" : " " + number;
  } catch (const FileError&) {
    return "";
  }
}

}  // namespace

int open_locked(const std::string& path) {
  for (;;) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0)
      raise<FileError>("cannot write '", path,
                       "': ", std::error_code(errno, std::generic_category()).message());
    int status = 0;
    do {
      status = ::flock(descriptor, LOCK_EX | LOCK_NB);
    } while (status != 0 && errno == EINTR);
    if (status != 0 && errno == EWOULDBLOCK) {
      ::close(descriptor);
      return -1;
    }
    if (is_named(descriptor, path)) return descriptor;
    ::close(descriptor);
  }
}

FolderLock::FolderLock(const std::string& folder, const std::string& activity)
    : path_((std::filesystem::path(folder) / "lock").string()), descriptor_(open_locked(path_)) {
  if (descriptor_ < 0)
    raise<FileError>("'", folder, "': process", holder(path_), " is ", activity,
                     " in this folder; wait until it ends, or choose another folder");
  const std::string number = concat(static_cast<long>(::getpid()), "\n");
  // The number is only for messages, so a full disk does not matter.
  if (::pwrite(descriptor_, number.data(), number.size(), 0) == static_cast<ssize_t>(number.size()))
    (void)!::ftruncate(descriptor_, static_cast<off_t>(number.size()));
}

FolderLock::~FolderLock() {
  if (descriptor_ < 0) return;
  ::unlink(path_.c_str());  // before the lock ends, so that no other process holds this file
  ::close(descriptor_);
}

}  // namespace rae::detail
