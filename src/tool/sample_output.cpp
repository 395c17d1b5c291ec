// Writes generated and decoded pictures: one PNG (a grid if there are several pictures), a folder
// of PNGs, or an .npz archive.
#include "tool/sample_output.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "rae/io/npz.hpp"
#include "tool/command.hpp"
#include "tool/output.hpp"
#include "tool/output_folder.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace fs = std::filesystem;

namespace {

constexpr const char* kGridFile = "grid.png";

/// The file name of picture i: "000007-t_shirt_top.png".
std::string file_name(const Samples& samples, index_t i) {
  char number[24];
  std::snprintf(number, sizeof number, "%06lld", static_cast<long long>(i));
  std::string name = number;
  if (!samples.labels.empty() && samples.label_name) {
    name += '-';
    for (const char c :
         samples.label_name(samples.labels[static_cast<std::size_t>(i)]).substr(0, 40)) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      name += plain ? c : '_';
    }
  }
  return name + ".png";
}

/// The pixels of all pictures, (N, H, W, channels).
Tensor<std::uint8_t> to_array(std::span<const Image> images) {
  const Image& first = images.front();
  Tensor<std::uint8_t> out({static_cast<index_t>(images.size()), first.height(), first.width(),
                            index_t{first.channels()}});  // (N, H, W, channels)
  std::uint8_t* target = out.data();
  for (const Image& image : images)
    target = std::copy(image.pixels().begin(), image.pixels().end(), target);
  return out;
}

void write_npz_samples(const std::string& path, const Samples& samples) {
  std::vector<NpzEntry> entries{{"arr_0", to_array(samples.images)}};
  if (!samples.labels.empty()) {
    const Shape shape{static_cast<index_t>(samples.labels.size())};
    Tensor<std::int64_t> labels(shape);  // (N)
    std::copy(samples.labels.begin(), samples.labels.end(), labels.data());
    entries.push_back({"arr_1", std::move(labels)});
  }
  write_npz(path, entries);
}

void write_grid(const std::string& path, const Samples& samples) {
  Image::grid(samples.images, samples.columns).save_png(path, samples.grid_text);
}

void write_folder(const SampleOutput& output, const Samples& samples, bool grid) {
  OutputFolder folder(output.path, output.replaces ? is_sample_file : nullptr);
  const fs::path work(folder.work());
  for (std::size_t i = 0; i < samples.images.size(); ++i) {
    const auto index = static_cast<index_t>(i);
    samples.images[i].save_png((work / file_name(samples, index)).string(),
                               samples.png_text ? samples.png_text(index) : samples.grid_text);
  }
  if (grid) write_grid((work / kGridFile).string(), samples);
  folder.commit();
}

}  // namespace

OutputKind output_kind(const std::string& option, const std::string& path) {
  std::error_code none;
  const auto type = fs::status(path, none).type();
  if (path == "-") return OutputKind::png;
  if (type == fs::file_type::directory) return OutputKind::folder;
  if (has_extension(path, ".npz")) return OutputKind::npz;
  if (has_extension(path, ".png")) return OutputKind::png;
  if (type != fs::file_type::regular && type != fs::file_type::not_found) return OutputKind::png;
  if (!fs::path(path).has_extension() && type == fs::file_type::not_found)
    return OutputKind::folder;
  throw UsageError(concat(option,
                          ": expected a name that ends in .png or .npz, '-' for a PNG on stdout, "
                          "or a folder, got '",
                          path, "'"));
}

bool is_sample_file(const std::string& name) {
  constexpr std::size_t kDigits = 6;
  if (name == kGridFile) return true;
  const std::size_t digits = name.find_first_not_of("0123456789");
  if (digits == std::string::npos || digits < kDigits || !name.ends_with(".png")) return false;
  return (name[digits] == '-' || name.substr(digits) == ".png") &&
         name.find('/') == std::string::npos;
}

SampleOutput declare_samples(CommandFiles& files, const std::string& option,
                             const std::string& path, bool overwrite) {
  const OutputKind kind = output_kind(option, path);
  if (kind == OutputKind::folder) {
    files.output_folder(option, path, {.overwrite = overwrite, .own = is_sample_file});
    return {kind, path, overwrite};
  }
  if (overwrite) throw UsageError(concat("--overwrite: ", option, " is not a folder"));
  return {kind, files.output(option, path, {".png", ".npz"}), false};
}

void require_grid_fits(const SampleOutput& output, bool grid, index_t count, index_t columns,
                       index_t height, index_t width) {
  const bool single = output.kind == OutputKind::png && count == 1 && !grid;
  if (output.kind == OutputKind::npz || single) return;
  if (output.kind == OutputKind::folder && !grid) return;
  if (Image::grid_fits(count, columns, width, height)) return;
  raise<ArgumentError>("a grid of ", count, " pictures of ", width, " x ", height, ", ", columns,
                       " in a row, exceeds the largest PNG of this program, ", Image::kMaxSide,
                       " pixels on a side and ", Image::kMaxPixels, " in all; ",
                       output.kind == OutputKind::folder
                           ? "leave out --grid"
                           : "write a folder or an .npz file, or fewer pictures");
}

index_t grid_columns(index_t count, index_t period) {
  constexpr index_t kMostColumns = 20;
  if (period > 1 && period <= kMostColumns) return std::min(period, count);
  return static_cast<index_t>(std::ceil(std::sqrt(static_cast<double>(count))));
}

std::string write_samples(const SampleOutput& output, const Samples& samples, bool grid) {
  const std::string& path = output.path;
  const Image& first = samples.images.front();
  std::string summary = concat(plural(static_cast<std::int64_t>(samples.images.size()), "picture"),
                               ", ", first.width(), " x ", first.height());
  switch (output.kind) {
    case OutputKind::npz: write_npz_samples(path, samples); break;
    case OutputKind::folder: write_folder(output, samples, grid); break;
    case OutputKind::png:
      if (samples.images.size() == 1 && !grid) {
        first.save_png(path, samples.png_text ? samples.png_text(0) : samples.grid_text);
      } else {
        write_grid(path, samples);
        summary += concat(" each, ", samples.columns, " in a row");
      }
  }
  return summary;
}

}  // namespace rae::tool
