// A folder of files that appears complete or not at all.
#pragma once

#include <optional>
#include <string>

#include "tool/temporary_folder.hpp"

namespace rae::tool {

/// Whether a command writes a file of this name, relative to its output folder.
using OwnFile = bool (*)(const std::string& name);

/// The first file below `folder / under` that is not one of `own`, by its name relative to
/// `folder`.
[[nodiscard]] std::optional<std::string> first_foreign_file(const std::string& folder, OwnFile own,
                                                            const std::string& under = {});

/// Collects files in a temporary folder until `commit` gives them their place. Without it the
/// destructor removes them, and nothing else has changed: a full disk leaves nothing half. While an
/// object lives, exceeding a limit of the file size (RLIMIT_FSIZE) is an error instead of a signal
/// that ends the program.
class OutputFolder {
 public:
  /// Creates the temporary folder: beside `path` if that does not exist, else inside it, so that an
  /// existing folder keeps its permissions. Files for which `replaced` is true are those of an
  /// earlier run, to be removed by `commit`; null: none. Throws FileError.
  explicit OutputFolder(const std::string& path, OwnFile replaced = nullptr);
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;
  ~OutputFolder();

  /// The folder to write into.
  [[nodiscard]] const std::string& work() const noexcept { return work_.path(); }

  /// The place of a file of `work()` after `commit`.
  [[nodiscard]] std::string final_name(const std::string& file) const;

  /// Moves the files to their place and removes the replaced ones; after a failure the folder is as
  /// before. Throws FileError, also if a file that is not replaced has the name of a new one.
  void commit();

 private:
  void move_contents();

  std::string path_;
  bool exists_ = false;
  TemporaryFolder work_;
  OwnFile replaced_;
  void (*signal_handler_)(int) = nullptr;  // of SIGXFSZ, before
};

}  // namespace rae::tool
