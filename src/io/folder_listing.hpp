// The picture files below a folder, by class, and everything that was left aside on the way.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rae/io/dataset_options.hpp"

namespace rae::detail {

/// The pictures of a sub-folder.
struct ListedClass {
  std::string name;                  ///< of the sub-folder
  std::vector<std::string> files{};  ///< paths, sorted
};

/// What a folder of pictures consists of.
struct FolderListing {
  std::vector<ListedClass> classes{};            ///< sorted by name; none is empty
  std::map<std::string, index_t> unsupported{};  ///< pictures by the ending of an unknown format
  std::vector<std::string> notes{};  ///< what is not used, in words: empty folders, deeper folders,
                                     ///< pictures beside class folders, dangling links
};

/// True for names that file managers, editors and archives leave behind: those that begin with a
/// dot, "__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir" and "$RECYCLE.BIN".
[[nodiscard]] bool is_hidden_name(const std::string& name);

/// True for the ending, in upper or lower case, of a picture that `Image::open` reads.
[[nodiscard]] bool has_picture_ending(const std::string& name);

/// The endings of these pictures, for messages: "PNG, JPEG or BMP".
[[nodiscard]] std::string picture_formats();

/// Lists a folder with one sub-folder per class, or a folder of pictures, which is one class.
/// Hidden files and folders are ignored; links are followed. Throws FileError when a folder cannot
/// be read and, naming what was found instead, when there are no pictures.
[[nodiscard]] FolderListing list_picture_folder(const std::string& folder);

/// The folders of the parts of a data set. Without such sub-folders both are the folder itself.
struct SplitFolders {
  std::string train, test;
  bool separate = false;             ///< there is a folder for the test part
  std::vector<std::string> notes{};  ///< what is not used, in words
};

/// `folder`/train and the first of `folder`/test, val, validation and valid that exist. Without the
/// latter, `folder`/train is both parts if it is the only folder.
[[nodiscard]] SplitFolders split_folders(const std::string& folder);

}  // namespace rae::detail
