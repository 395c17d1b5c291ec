// Sets of pictures on the disk, for `rae evaluate A B`: .npz archives, folders, the test pictures
// of Fashion-MNIST.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/io/image.hpp"

namespace rae::tool {

/// Pictures that are read when they are asked for, on any thread. A value.
class PictureSet {
 public:
  /// An .npz archive with pictures (N, H, W, channels) of uint8 in "arr_0" (or its only such
  /// array), a folder of .png, .jpg, .jpeg and .bmp files sorted by name (or, when it holds none,
  /// those of its sub-folders), or the folder of Fashion-MNIST. Throws FileError, FormatError.
  [[nodiscard]] static PictureSet open(const std::string& path);

  [[nodiscard]] index_t size() const noexcept { return size_; }
  /// Picture i. Throws FileError, FormatError.
  [[nodiscard]] Image operator[](index_t i) const { return picture_(i); }
  /// Pictures [first, first + count), read on all threads.
  [[nodiscard]] std::vector<Image> read(index_t first, index_t count) const;
  /// "samples.npz, picture 7" or the file.
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
