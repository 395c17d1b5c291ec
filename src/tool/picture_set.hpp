// Reads sets of pictures from disk, for `rae evaluate A B`: .npz archives, folders, the test
// pictures of Fashion-MNIST.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/io/image.hpp"

namespace rae::tool {

/// Whether a file of any name, such as the copy of a pipe, begins as a zip archive does; .npz files
/// are zip archives.
[[nodiscard]] bool is_zip_file(const std::string& path);

/// A set of pictures that are read on request, from any thread. Copies share the open file.
class PictureSet {
 public:
  /// Opens an .npz archive with uint8 pictures (N, H, W, channels) in "arr_0" or its only array, a
  /// folder of .png, .jpg, .jpeg, .webp and .bmp files sorted by name (those of its sub-folders if
  /// it has none itself), or the folder of Fashion-MNIST. Throws FileError, FormatError.
  [[nodiscard]] static PictureSet open(const std::string& path, const ImageOptions& options = {});

  [[nodiscard]] index_t size() const noexcept { return size_; }
  /// Picture i in [0, size()). Throws FileError, FormatError.
  [[nodiscard]] Image operator[](index_t i) const { return picture_(i); }
  /// Pictures [first, first + count), read by all threads. Throws as operator[].
  [[nodiscard]] std::vector<Image> read(index_t first, index_t count) const;
  /// The source of picture i, for messages: "samples.npz, picture 7", or the path of its file.
  [[nodiscard]] std::string where(index_t i) const;
  /// Names of the files without folder and extension; empty for archives.
  [[nodiscard]] const std::vector<std::string>& stems() const noexcept { return stems_; }

 private:
  std::string path_;
  index_t size_ = 0;
  Function<Image(index_t)> picture_;
  std::vector<std::string> files_, stems_;
};

}  // namespace rae::tool
