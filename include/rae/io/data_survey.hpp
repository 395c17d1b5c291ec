// A look at all pictures of a data set before they are used: how many each class has, and which
// files cannot be read or are not used.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/io/image_dataset.hpp"

namespace rae {

/// A picture file that cannot be read.
struct BrokenPicture {
  std::string path;    ///< of the file
  std::string reason;  ///< in words, without the path
};

/// What was found in the folder of a data set.
struct DataSurvey {
  std::string folder;                                      ///< as it was given
  Split split = Split::train;                              ///< the part that was looked at
  std::vector<std::pair<std::string, index_t>> classes{};  ///< name and number of readable
                                                           ///< pictures, by label
  index_t test = 0;  ///< of a training part: pictures of the separate test part, readable or not
  std::map<std::string, index_t> unsupported{};  ///< pictures by the ending of a format
                                                 ///< that is not read, such as ".gif"
  std::vector<BrokenPicture> broken{};           ///< pictures that cannot be read
  std::vector<std::string> notes{};  ///< what is not used, and what is lost when the pictures are
                                     ///< read: colour, transparency

  /// Number of readable pictures.
  [[nodiscard]] index_t pictures() const noexcept;

  /// "train: 300 pictures in 3 classes (circle 100, square 100, star 100), 60 test; 9 skipped
  /// (8 .gif without support, 1 broken: circle/7.png)". At most eight classes are named.
  [[nodiscard]] std::string summary() const;

  /// Throws FormatError that names the broken pictures with their reasons: the first 20, and the
  /// number of the others. Returns if there are none.
  void require_unbroken() const;
};

/// How closely the pictures are looked at: their headers, which takes a second for 10,000 files,
/// or everything by decoding them.
enum class SurveyDepth { headers, pixels };

/// A data set and what was found in its folder.
struct SurveyedDataset {
  OwnedPointer<const ImageDataset> data;  ///< without the broken pictures; null if all are broken
  DataSurvey survey;                      ///< what was found
};

/// As `open_dataset(folder, split, options)`, and looks at all of its files. `on_progress` may be
/// empty; it is called with the number of finished pictures and the number of all, and
/// returns false to stop. Broken pictures are no error here. Throws as `open_dataset`, Cancelled.
[[nodiscard]] SurveyedDataset survey_dataset(
    const std::string& folder, Split split, const DatasetOptions& options,
    SurveyDepth depth = SurveyDepth::headers,
    const Function<bool(index_t done, index_t total)>& on_progress = {});

}  // namespace rae
