// Where generated and decoded pictures go: one PNG (a grid when there are several), a folder of
// PNGs, or an .npz archive.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>

#include "rae/core/function.hpp"
#include "rae/io/image.hpp"

namespace rae::tool {

/// The three forms of `--out`.
enum class OutputKind { png, folder, npz };

/// By extension: ".npz", ".png" (and devices), else a folder. Throws UsageError for other
/// extensions.
[[nodiscard]] OutputKind output_kind(const std::string& path);

/// Throws FileError unless the output can be written.
void require_writable_output(const std::string& path);

/// Pictures and what is written beside them.
struct Samples {
  std::span<const Image> images{};                    ///< of one size
  std::span<const index_t> labels{};                  ///< one for each picture, or empty
  Function<std::string(index_t label)> label_name{};  ///< for names of files
  Function<std::map<std::string, std::string>(index_t i)> png_text{};  ///< settings of picture i
  std::map<std::string, std::string> grid_text{};                      ///< settings of all
  index_t columns = 1;                                                 ///< of a grid
};

/// Columns of a grid of `count` pictures whose labels repeat after `period`: one column for each
/// class where that fits.
[[nodiscard]] index_t grid_columns(index_t count, index_t period);

/// Writes the pictures and returns what was written, for a person. In a folder `grid` adds
/// grid.png. Throws FileError; what this call wrote is then removed.
[[nodiscard]] std::string write_samples(const std::string& path, const Samples& samples, bool grid);

}  // namespace rae::tool
