// Where the files of an official configuration are, and a list of all that are missing with the
// commands that download them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rae::official {

/// Finds files as a configuration writes them. A relative path is tried below the configuration's
/// folder and each folder above it, below the working directory, and below the folder of models,
/// with and without a leading "models/"; that folder is DIR of `--models`, or "models" in each of
/// the others. An id of Hugging Face, "org/name", is found there as "org/name", "name" or in the
/// layout of its cache, and last in the user's own cache. The first that has the
/// wanted files is taken.
class Paths {
 public:
  /// `models` is empty for the defaults.
  Paths(const std::string& config_file, const std::string& models);

  /// A file; "" when there is none, which is then one of the missing. `key` is the place in the
  /// configuration.
  std::string file(const std::string& key, const std::string& written);

  /// A folder with all of `files`, each a list of alternatives; "" as for `file`.
  std::string folder(const std::string& key, const std::string& written,
                     const std::vector<std::vector<std::string>>& files);

  /// A folder with config.json, or that file itself: the path of the file; "" as for `file`.
  std::string config(const std::string& key, const std::string& written);

  /// Throws FileError with everything that is missing, where it was looked for, and how to get it.
  void require_all() const;

 private:
  struct Missing {
    std::string key, what, command;
  };
  [[nodiscard]] std::vector<std::string> candidates(const std::string& written) const;
  void miss(const std::string& key, const std::string& what, const std::string& written,
            std::string_view files);
  /// The command that fetches what is written, "" when nothing is known: `files` are those of a
  /// repository, none for a single file.
  [[nodiscard]] std::string download(const std::string& written, std::string_view files) const;

  std::string config_file_, download_to_;
  std::vector<std::string> bases_, models_;
  std::vector<Missing> missing_;
};

/// True for "org/name", as Hugging Face names its repositories.
[[nodiscard]] bool is_hub_id(const std::string& text);

}  // namespace rae::official
