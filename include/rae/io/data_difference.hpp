// The differences between two manifests of a data set, in words.
#pragma once

#include <string>
#include <vector>

#include "rae/io/data_manifest.hpp"

namespace rae {

/// The kinds of differences between two manifests.
enum class DataChange {
  classes,           ///< a class was renamed, added, removed, or has another label
  pictures_removed,  ///< pictures are gone
  pictures_added,    ///< pictures are new
  pictures_changed,  ///< pictures have other contents, or another order
  options            ///< the pictures are read in another way
};

/// A difference in words.
struct DataDifference {
  DataChange kind;   ///< its kind
  std::string text;  ///< such as "class 0 was 'small', is 'Aaa_small'"
};

/// What has changed from `saved` to `now`: classes first, then pictures, then options; empty for
/// equal checksums. A renamed class is recognised by its pictures, which then do not count as
/// removed and added. Where a manifest has no lists of files, only numbers are compared.
[[nodiscard]] std::vector<DataDifference> differences(const DataManifest& saved,
                                                      const DataManifest& now);

/// All differences in one line: "class 0 was 'small', is 'Aaa_small'; 2 pictures added
/// (Aaa_small/7.png, Aaa_small/8.png)"; empty for equal checksums.
[[nodiscard]] std::string describe_difference(const DataManifest& saved, const DataManifest& now);

}  // namespace rae
