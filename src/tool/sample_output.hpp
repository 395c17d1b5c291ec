// Writes generated and decoded pictures: one PNG (a grid if there are several pictures), a folder
// of PNGs, or an .npz archive.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>

#include "rae/core/function.hpp"
#include "rae/io/image.hpp"
#include "tool/command_files.hpp"

namespace rae::tool {

/// The formats of `--out`.
enum class OutputKind { png, folder, npz };

/// The format of a path: a folder that exists or has no extension, ".npz", ".png", or a device or
/// "-", stdout (as PNG). Throws UsageError that names `option` for other extensions.
[[nodiscard]] OutputKind output_kind(const std::string& option, const std::string& path);

/// Whether `write_samples` writes a file of this name into a folder: "000007-star.png", "grid.png".
[[nodiscard]] bool is_sample_file(const std::string& name);

/// An output of pictures, declared before they are computed.
struct SampleOutput {
  OutputKind kind = OutputKind::png;
  std::string path;       ///< to write
  bool replaces = false;  ///< the pictures in a folder
};

/// Declares the output of an option in `files`; `overwrite` is --overwrite. Throws as
/// `CommandFiles::output` and `output_folder`.
[[nodiscard]] SampleOutput declare_samples(CommandFiles& files, const std::string& option,
                                           const std::string& path, bool overwrite);

/// Throws ArgumentError if a PNG cannot hold a grid of this many pictures of height x width pixels
/// in `columns`. Does nothing for outputs without a grid. `grid` is --grid.
void require_grid_fits(const SampleOutput& output, bool grid, index_t count, index_t columns,
                       index_t height, index_t width);

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
/// Throws FileError, and then leaves no file.
[[nodiscard]] std::string write_samples(const SampleOutput& output, const Samples& samples,
                                        bool grid);

}  // namespace rae::tool
