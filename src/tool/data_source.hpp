// The data sets of commands: their options, and a look at all pictures before they are used.
#pragma once

#include <string>

#include "rae/io/data_survey.hpp"
#include "tool/command.hpp"

namespace rae::tool {

/// What a command line says about the pictures of a data set.
struct DataFlags {
  bool skip_broken = false;
  bool ignore_exif = false;
  bool summary = false;  ///< for commands that say in any case how many pictures there are
};

/// Adds --skip-broken and --ignore-exif.
void add_data_flags(CLI::App& command, DataFlags& flags);

/// Opens a part of the data set in `folder` after a look at all headers. Notes, and what is
/// skipped, are written to stderr, and the summary of a part if it is wanted or pictures are left
/// out. Throws as `survey_dataset`, and FormatError that names every
/// picture that cannot be read unless `flags` says to skip them.
[[nodiscard]] OwnedPointer<const ImageDataset> open_data(const std::string& folder, Split split,
                                                         DatasetOptions options,
                                                         const DataFlags& flags);

/// Number of pictures and names of the classes, by which ranks compare what they read.
[[nodiscard]] std::string summary_of(const ImageDataset& data);

/// True for the folder of a data set whose training and test part are the same pictures.
[[nodiscard]] bool is_same_part(const std::string& folder);

}  // namespace rae::tool
