// Checks output paths before the computation starts.
#include "tool/output.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "io/temporary_name.hpp"
#include "rae/io/file.hpp"

namespace rae::tool {
namespace fs = std::filesystem;

namespace {

fs::path parent_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

}  // namespace

void require_writable_file(const std::string& path) {
  if (path.empty()) raise<FileError>("cannot write a file without a name");
  std::error_code none;
  const fs::path parent = parent_of(path);
  if (!fs::exists(parent, none))
    raise<FileError>("cannot write '", path, "': the folder '", parent.string(),
                     "' does not exist");
  if (fs::exists(path, none) && !fs::is_regular_file(path, none) && !fs::is_directory(path, none)) {
    // No trial for pipes: a reader would take its end for the end of the data.
    if (::access(path.c_str(), W_OK) != 0)
      raise<FileError>("cannot write '", path,
                       "': ", std::error_code(errno, std::generic_category()).message());
    return;
  }
  const AtomicFile trial(path);
  remove_orphans_of(path);
}

void remove_orphans_of(const std::string& path) {
  remove_orphaned_temporaries(parent_of(path).string(), fs::path(path).filename().string());
}

void require_writable_folder(const std::string& path) {
  std::error_code none;
  fs::path folder = fs::path(path);
  if (!folder.has_filename()) folder = folder.parent_path();  // "samples/"
  if (!fs::exists(folder, none)) {
    const fs::path parent = parent_of(folder.string());
    if (!fs::exists(parent, none))
      raise<FileError>("cannot create the folder '", path, "': '", parent.string(),
                       "' does not exist");
    folder = parent;
  }
  if (!fs::is_directory(folder, none))
    raise<FileError>("cannot write into '", path, "': '", folder.string(), "' is not a folder");
  require_writable_file((folder / ".rae-trial").string());
}

UnfinishedOutput::~UnfinishedOutput() {
  std::error_code none;
  for (auto file = pending_.rbegin(); file != pending_.rend(); ++file) {
    if (file->backup.empty())
      fs::remove(file->path, none);
    else if (fs::equivalent(file->backup, file->path, none))
      fs::remove(file->backup, none);  // not replaced yet
    else
      fs::rename(file->backup, file->path, none);
  }
}

void UnfinishedOutput::will_create(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    pending_.push_back({path, {}});
    return;
  }
  const fs::path file = fs::canonical(path, error);
  if (error || !fs::is_regular_file(file, error)) return;
  const std::string backup = detail::temporary_name(file.string());
  fs::create_hard_link(file, backup, error);
  if (!error) pending_.push_back({file.string(), backup});
}

void UnfinishedOutput::finish() noexcept {
  std::error_code none;
  for (const Pending& file : pending_)
    if (!file.backup.empty()) fs::remove(file.backup, none);
  pending_.clear();
}

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

bool has_extension(const std::string& path, const std::string& extension) {
  return path.size() > extension.size() &&
         std::equal(extension.rbegin(), extension.rend(), path.rbegin(), [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) ==
                  std::tolower(static_cast<unsigned char>(b));
         });
}

}  // namespace rae::tool
