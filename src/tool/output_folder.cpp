// Renames instead of copying, so that the last step needs no space on the disk.
#include "tool/output_folder.hpp"

#include <csignal>
#include <filesystem>
#include <utility>
#include <vector>

#include "rae/error.hpp"
#include "tool/command_files.hpp"
#include "tool/output.hpp"

namespace rae::tool {
namespace fs = std::filesystem;

namespace {

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directory(path, error);
  if (error) raise<FileError>("cannot create the folder '", path.string(), "': ", error.message());
}

bool is_folder(const std::string& path) {
  std::error_code none;
  return fs::is_directory(path, none);
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder)) out.push_back(entry.path());
  return out;
}

/// Renames files. The destructor renames them back, unless `keep` was called.
class Moves {
 public:
  Moves() = default;
  Moves(const Moves&) = delete;
  Moves& operator=(const Moves&) = delete;
  ~Moves() {
    std::error_code none;
    for (auto move = done_.rbegin(); move != done_.rend(); ++move)
      fs::rename(move->second, move->first, none);
  }

  /// Moves files into a folder.
  void move(const std::vector<fs::path>& files, const fs::path& into) {
    for (const fs::path& from : files) {
      const fs::path to = into / from.filename();
      std::error_code error;
      if (fs::exists(fs::symlink_status(to, error)))
        raise<FileError>("cannot write '", to.string(), "': it exists");
      fs::rename(from, to, error);
      if (error)
        raise<FileError>("cannot rename '", from.string(), "' to '", to.string(),
                         "': ", error.message());
      done_.emplace_back(from, to);
    }
  }
  void keep() noexcept { done_.clear(); }

 private:
  std::vector<std::pair<fs::path, fs::path>> done_;
};

}  // namespace

std::optional<std::string> first_foreign_file(const std::string& folder, OwnFile own,
                                              const std::string& under) {
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(folder) / under)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    if (!fs::is_directory(entry.symlink_status()) && !own(name)) return name;
  }
  return std::nullopt;
}

OutputFolder::OutputFolder(const std::string& path, OwnFile replaced)
    : path_(without_slash(path)),
      exists_(is_folder(path_)),
      work_(exists_ ? path_ + "/" : path_),
      replaced_(replaced) {
  show_as(work(), path_);
  signal_handler_ = std::signal(SIGXFSZ, SIG_IGN);
}

OutputFolder::~OutputFolder() {
  if (signal_handler_ != SIG_ERR) std::signal(SIGXFSZ, signal_handler_);
}

std::string OutputFolder::final_name(const std::string& file) const {
  return (fs::path(path_) / fs::path(file).lexically_relative(work())).string();
}

void OutputFolder::commit() {
  if (exists_) {
    move_contents();
  } else {
    std::error_code error;
    fs::rename(work(), path_, error);
    if (error)
      raise<FileError>("cannot rename the finished folder to '", path_, "': ", error.message());
    work_.release();
  }
}

void OutputFolder::move_contents() {
  const fs::path work(work_.path()), old = work / ".replaced";
  const std::vector<fs::path> finished = entries_of(work);
  std::vector<fs::path> before;
  for (const fs::path& entry : entries_of(path_)) {
    const std::string name = entry.filename().string();
    if (replaced_ == nullptr || entry == work) continue;
    const bool folder = fs::is_directory(fs::symlink_status(entry));
    if (folder ? !first_foreign_file(path_, replaced_, name) : replaced_(name))
      before.push_back(entry);
  }
  make_folder(old);
  Moves moves;
  moves.move(before, old);
  moves.move(finished, path_);
  moves.keep();
}

}  // namespace rae::tool
