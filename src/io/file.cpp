// POSIX files: mmap, and write-then-rename.
#include "rae/io/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>

#include "symbolic_links.hpp"
#include "temporary_name.hpp"

namespace rae {
namespace {

[[noreturn]] void fail_with_errno(std::string_view action, const std::string& path,
                                  int error = errno) {
  raise<FileError>(action, " '", path,
                   "': ", std::error_code(error, std::generic_category()).message());
}

/// An open descriptor that is closed on every way out.
class Descriptor {
 public:
  explicit Descriptor(int value) noexcept : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  int get() const noexcept { return value_; }

 private:
  int value_;
};

/// Opens for reading. A folder can be opened, too, and is therefore refused here.
int open_to_read(const std::string& path, struct stat& status) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail_with_errno("cannot open", path);
  if (::fstat(descriptor, &status) != 0 || S_ISDIR(status.st_mode)) {
    const int error = S_ISDIR(status.st_mode) ? EISDIR : errno;
    ::close(descriptor);
    fail_with_errno("cannot read", path, error);
  }
  return descriptor;
}

std::string folder_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  struct stat status {};
  const Descriptor file(open_to_read(path, status));
  if (!S_ISREG(status.st_mode)) raise<FileError>("cannot map '", path, "': not a regular file");
  if (status.st_size == 0) return;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) fail_with_errno("cannot map", path);
  data_ = static_cast<const std::byte*>(address);
  size_ = size;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::span<const std::byte> part) const noexcept {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::less<> before;
  if (data_ == nullptr || before(part.data(), data_) ||
      before(data_ + size_, part.data() + part.size()))
    return;
  // Only whole pages: the first and the last may belong to neighbours as well.
  const auto first = static_cast<std::size_t>(part.data() - data_),
             begin = (first + page - 1) / page * page;
  const std::size_t end = (first + part.size()) / page * page;
  if (begin < end)
    (void)::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

AtomicFile::AtomicFile(const std::string& path) : path_(path), target_(detail::follow_links(path)) {
  if (path.empty()) raise<FileError>("cannot write a file without a name");
  struct stat status {};
  const bool exists = ::stat(target_.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode)) {
    if (S_ISDIR(status.st_mode)) fail_with_errno("cannot write", path_, EISDIR);
    descriptor_ = ::open(target_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail_with_errno("cannot write", path_);
    return;
  }
  // A private file stays private while it is written.
  const mode_t mode = exists ? status.st_mode & 0777 : 0666;
  for (int attempt = 0; descriptor_ < 0 && attempt < 100; ++attempt) {
    temporary_ = detail::temporary_name(target_);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (descriptor_ < 0 && errno != EEXIST) break;
  }
  if (descriptor_ < 0) {
    const int error = errno;
    temporary_.clear();
    fail_with_errno("cannot write", path_, error);
  }
  // `remove_orphaned_temporaries` leaves locked files alone.
  (void)::flock(descriptor_, LOCK_EX | LOCK_NB);
  if (!exists) return;
  // Only root may give a file away; then the new one belongs to this user.
  if (status.st_uid != ::geteuid() || status.st_gid != ::getegid())
    (void)!::fchown(descriptor_, status.st_uid, status.st_gid);
  (void)::fchmod(descriptor_, mode);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (descriptor_ < 0)
    raise<FileError>("cannot write '", path_, "': the file is already committed or has failed");
  while (!bytes.empty()) {
    const ssize_t written =
        ::write(descriptor_, bytes.data(), std::min<std::size_t>(bytes.size(), 1u << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int error = written == 0 ? ENOSPC : errno;
      discard();
      fail_with_errno("cannot write", path_, error);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::write(std::string_view text) { write(as_byte_span(text)); }

void AtomicFile::commit() {
  if (descriptor_ < 0)
    raise<FileError>("cannot commit '", path_, "': the file is already committed or has failed");
  const bool direct = temporary_.empty();
  // Some file systems report a full disk only here.
  const bool flushed = direct || ::fsync(descriptor_) == 0;
  const int flush_error = errno;
  const bool closed = ::close(std::exchange(descriptor_, -1)) == 0;
  if (!flushed || !closed) {
    const int error = flushed ? errno : flush_error;
    discard();
    fail_with_errno("cannot write", path_, error);
  }
  if (direct) return;
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    const int error = errno;
    discard();
    fail_with_errno("cannot rename the finished file to", path_, error);
  }
  temporary_.clear();
  // The new name survives a power failure only if the folder is flushed, too. Some file systems
  // cannot do that, so a failure is ignored.
  const Descriptor folder(::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() >= 0) ::fsync(folder.get());
}

std::vector<std::byte> read_file(const std::string& path, std::size_t max_bytes) {
  struct stat status {};
  const Descriptor file(open_to_read(path, status));
  const auto too_large = [&] {
    raise<FileError>("cannot read '", path, "': it has more than ", max_bytes, " bytes");
  };
  std::vector<std::byte> out;
  if (S_ISREG(status.st_mode)) {
    if (static_cast<std::uint64_t>(status.st_size) > max_bytes) too_large();
    out.reserve(static_cast<std::size_t>(status.st_size));
  }
  std::vector<std::byte> chunk(std::size_t{1} << 16);
  for (;;) {
    const ssize_t count = ::read(file.get(), chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_with_errno("cannot read", path);
    if (count == 0) return out;
    if (static_cast<std::size_t>(count) > max_bytes - out.size()) too_large();
    out.insert(out.end(), chunk.begin(), chunk.begin() + count);
  }
}

std::vector<std::string> remove_orphaned_temporaries(const std::string& folder,
                                                     std::string_view name) {
  std::vector<std::string> removed;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    const std::string path = entry.path().string();
    const std::string file_name = entry.path().filename().string();
    const auto parts = detail::parse_temporary_name(file_name);
    if (!parts || parts->base.empty() || !entry.is_regular_file(none) || entry.is_symlink(none))
      continue;
    if ((!name.empty() && parts->base != name) || detail::may_be_running(parts->process)) continue;
    // The number may be that of a process on another machine, whose lock is seen here.
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0 || (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK))
      continue;
    if (::unlink(path.c_str()) == 0) removed.push_back(path);
  }
  return removed;
}

void write_file_atomically(const std::string& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const std::string& path, std::string_view text) {
  write_file_atomically(path, as_byte_span(text));
}

}  // namespace rae
