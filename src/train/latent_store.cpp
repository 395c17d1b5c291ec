// POSIX files, read and written at positions.
#include "train/latent_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "io/deflate.hpp"
#include "io/safetensors_header.hpp"
#include "io/stored_elements.hpp"

namespace rae::detail {
namespace {

constexpr const char* kFormat = "rae-latents-1";
constexpr std::uint64_t kWritten = std::uint64_t{1} << 32;

[[noreturn]] void fail(std::string_view action, const std::string& path, int error) {
  raise<FileError>("cannot ", action, " '", path,
                   "': ", std::error_code(error, std::generic_category()).message());
}

/// Reads up to the end of the file; returns the number of bytes.
std::size_t read_at(int descriptor, const std::string& path, std::span<std::byte> out,
                    std::uint64_t at) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t count =
        ::pread(descriptor, out.data() + done, out.size() - done, static_cast<off_t>(at + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("read", path, errno);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

void write_at(int descriptor, const std::string& path, std::span<const std::byte> bytes,
              std::uint64_t at) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::pwrite(descriptor, bytes.data() + done, bytes.size() - done,
                                   static_cast<off_t>(at + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail("write", path, count == 0 ? ENOSPC : errno);
    done += static_cast<std::size_t>(count);
  }
}

/// Gives a file its size, with room on the disk where the system can reserve it.
int reserve(int descriptor, std::uint64_t size) {
#if defined(__linux__)
  if (::fallocate(descriptor, 0, 0, static_cast<off_t>(size)) == 0) return 0;
  if (errno != EOPNOTSUPP) return errno;
#endif
  return ::ftruncate(descriptor, static_cast<off_t>(size)) == 0 ? 0 : errno;
}

std::uint64_t check_of(std::span<const std::byte> stored) { return kWritten | crc32_of(stored); }

std::string header_of(const std::string& path, const std::string& identity, index_t count,
                      const Shape& latent, DType stored_as) {
  return encode_safetensors_header(
      path,
      {{"check", DType::int64, Shape{count}},
       {"latent", stored_as, Shape{count, latent[0], latent[1], latent[2]}}},
      {{"format", kFormat}, {"identity", identity}});
}

std::uint64_t bytes_of_latent(const Shape& latent, DType stored_as) {
  return static_cast<std::uint64_t>(latent.numel()) * size_of(stored_as);
}

}  // namespace

std::uint64_t LatentStore::bytes_of(index_t count, const Shape& latent, DType stored_as) {
  return header_of("", "", count, latent, stored_as).size() +
         static_cast<std::uint64_t>(count) *
             (sizeof(std::uint64_t) + bytes_of_latent(latent, stored_as));
}

LatentStore::LatentStore(const std::string& path, const std::string& identity, index_t count,
                         const Shape& latent, DType stored_as)
    : path_(path),
      stored_as_(stored_as),
      latent_bytes_(bytes_of_latent(latent, stored_as)),
      checks_(static_cast<std::size_t>(count)) {
  const std::string header = header_of(path, identity, count, latent, stored_as);
  checks_begin_ = header.size();
  latents_begin_ = checks_begin_ + sizeof(std::uint64_t) * checks_.size();
  const std::uint64_t size =
      latents_begin_ + latent_bytes_ * static_cast<std::uint64_t>(checks_.size());
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("open", path, errno);
  try {
    struct stat status {};
    std::string found(header.size(), '\0');
    const auto bytes = std::as_writable_bytes(std::span(found));
    if (::fstat(descriptor_, &status) == 0 && static_cast<std::uint64_t>(status.st_size) == size &&
        read_at(descriptor_, path, bytes, 0) == bytes.size() && found == header) {
      const auto checks = std::as_writable_bytes(std::span(checks_));
      if (read_at(descriptor_, path, checks, checks_begin_) == checks.size()) return;
    }
    checks_.assign(checks_.size(), 0);
    make(header, size);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

LatentStore::~LatentStore() { ::close(descriptor_); }

/// Makes the file again; the header is the last, so that an unfinished file is recognised.
void LatentStore::make(const std::string& header, std::uint64_t size) {
  if (::ftruncate(descriptor_, 0) != 0) fail("write", path_, errno);
  if (const int error = reserve(descriptor_, size); error != 0) {
    (void)!::ftruncate(descriptor_, 0);
    if (error != ENOSPC) fail("write", path_, error);
    raise<FileError>("cannot write '", path_, "': its ", size,
                     " bytes do not fit the disk; free some, or train with 'latents: {cache: "
                     "false}'");
  }
  write_at(descriptor_, path_, as_byte_span(header), 0);
}

bool LatentStore::contains(index_t i) const {
  return (checks_[static_cast<std::size_t>(i)] & kWritten) != 0;
}

bool LatentStore::get(index_t i, std::span<float> out) const {
  if (!contains(i)) return false;
  std::vector<std::byte> stored(latent_bytes_);
  const std::uint64_t at = latents_begin_ + static_cast<std::uint64_t>(i) * latent_bytes_;
  if (read_at(descriptor_, path_, stored, at) != stored.size() ||
      check_of(stored) != checks_[static_cast<std::size_t>(i)])
    return false;
  return copy_stored(stored_as_, stored, out.data());
}

void LatentStore::put(index_t i, std::span<const float> latent) {
  std::vector<bf16> rounded;
  std::span<const std::byte> stored = std::as_bytes(latent);
  if (stored_as_ == DType::bf16) {
    rounded.resize(latent.size());
    (void)copy_converted<float>(stored, rounded.data());
    stored = std::as_bytes(std::span<const bf16>(rounded));
  }
  const auto slot = static_cast<std::uint64_t>(i);
  write_at(descriptor_, path_, stored, latents_begin_ + slot * latent_bytes_);
  const std::uint64_t check = check_of(stored);
  write_at(descriptor_, path_, std::as_bytes(std::span(&check, 1)),
           checks_begin_ + sizeof check * slot);
  checks_[static_cast<std::size_t>(i)] = check;
}

}  // namespace rae::detail
