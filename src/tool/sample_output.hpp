// Writes generated and decoded pictures: one PNG (a grid if there are several pictures), a folder
// of PNGs, or an .npz archive.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>

#include "rae/core/function.hpp"
#include "rae/io/image.hpp"

namespace rae::tool {

/// The formats of `--out`.
enum class OutputKind { png, folder, npz };

/// The format of a path: a folder that exists or has no extension, ".npz", ".png", or a device (as
/// PNG). Throws UsageError for other extensions.
[[nodiscard]] OutputKind output_kind(const std::string& path);

/// Throws FileError unless the output can be written.
void require_writable_output(const std::string& path);

/// Pictures and the metadata written with them.
struct Samples {
  std::span<const Image> images{};                    ///< all of one size
  std::span<const index_t> labels{};                  ///< one per picture, or empty
  Function<std::string(index_t label)> label_name{};  ///< used in file names
  Function<std::map<std::string, std::string>(index_t i)> png_text{};  ///< settings of picture i
  std::map<std::string, std::string> grid_text{};  ///< settings of the whole set
  index_t columns = 1;                             ///< number of columns of a grid
};

/// Number of columns of a grid of `count` pictures whose labels repeat after `period`: one column
/// per class if there are at most 20, else about as many columns as rows.
[[nodiscard]] index_t grid_columns(index_t count, index_t period);

/// Writes the pictures and returns a summary for the terminal. In a folder `grid` adds grid.png.
/// Throws FileError, and then removes the files that it has written.
[[nodiscard]] std::string write_samples(const std::string& path, const Samples& samples, bool grid);

}  // namespace rae::tool
