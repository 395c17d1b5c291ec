// Finds the files of an official configuration, and lists all missing ones with the commands that
// download them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rae::official {

/// Finds files by the paths in a configuration. A relative path is searched for in the
/// configuration's folder, in each folder above it, in the working directory, and in the folder of
/// models, with and without a leading "models/"; that folder is DIR of `--models`, or "models" in
/// each of the other folders. An id of Hugging Face, "org/name", may be there as "org/name", as
/// "name" or in the layout of its cache; the user's own cache is searched last. The first place
/// that has the needed files is used.
class Paths {
 public:
  /// `models` is the folder of models; empty for the defaults.
  Paths(const std::string& config_file, const std::string& models);

  /// Path of a file; when there is none, "" is returned and the file is added to the missing ones.
  /// `key` is the place in the configuration.
  std::string file(const std::string& key, const std::string& written);

  /// Path of a folder with all of `files`, each of which is a list of alternatives; "" as for
  /// `file`.
  std::string folder(const std::string& key, const std::string& written,
                     const std::vector<std::vector<std::string>>& files);

  /// Path of a config.json, given by itself or by its folder; "" as for `file`.
  std::string config(const std::string& key, const std::string& written);

  /// The first path of a file that exists, without adding it to the missing ones; "" when there is
  /// none.
  [[nodiscard]] std::string existing_file(const std::string& written) const;
  /// The same for a folder with all of `files`, see `folder`.
  [[nodiscard]] std::string existing_folder(
      const std::string& written, const std::vector<std::vector<std::string>>& files) const;
  /// Adds a missing part with a description of its own.
  void add_missing(const std::string& key, const std::string& description,
                   const std::string& command);

  /// Throws FileError with all missing files, the folders that were searched, and the commands that
  /// download the files.
  void require_all() const;

 private:
  struct Missing {
    std::string key, description, command;
  };
  [[nodiscard]] std::vector<std::string> candidates(const std::string& written) const;
  void add_missing(const std::string& key, const std::string& description,
                   const std::string& written, std::string_view files);
  /// The command that downloads a path of the configuration, "" when there is none. `files` are the
  /// needed files of a repository; empty for a single file.
  [[nodiscard]] std::string download(const std::string& written, std::string_view files) const;

  std::string config_file_, download_to_;
  std::vector<std::string> bases_, models_;
  std::vector<Missing> missing_;
};

/// True for "org/name", as Hugging Face names its repositories.
[[nodiscard]] bool is_hub_id(const std::string& text);

}  // namespace rae::official
