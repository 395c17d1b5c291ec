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
#include "tool/text.hpp"

namespace rae::tool {
namespace fs = std::filesystem;

namespace {

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

void write_folder(const std::string& path, const Samples& samples, bool grid) {
  UnfinishedOutput unfinished;
  const fs::path folder(path);
  unfinished.will_create(folder.has_filename() ? path : folder.parent_path().string());
  fs::create_directories(folder);
  for (std::size_t i = 0; i < samples.images.size(); ++i) {
    const auto index = static_cast<index_t>(i);
    const std::string file = (folder / file_name(samples, index)).string();
    unfinished.will_create(file);
    samples.images[i].save_png(file,
                               samples.png_text ? samples.png_text(index) : samples.grid_text);
  }
  if (grid) {
    const std::string file = (folder / "grid.png").string();
    unfinished.will_create(file);
    write_grid(file, samples);
  }
  unfinished.finish();
}

}  // namespace

OutputKind output_kind(const std::string& path) {
  std::error_code none;
  const auto type = fs::status(path, none).type();
  if (type == fs::file_type::directory) return OutputKind::folder;
  if (has_extension(path, ".npz")) return OutputKind::npz;
  if (has_extension(path, ".png")) return OutputKind::png;
  if (type != fs::file_type::regular && type != fs::file_type::not_found) return OutputKind::png;
  if (!fs::path(path).has_extension() && type == fs::file_type::not_found)
    return OutputKind::folder;
  throw UsageError(
      concat("--out: expected a name that ends in .png or .npz, or a folder, got '", path, "'"));
}

void require_writable_output(const std::string& path) {
  if (output_kind(path) == OutputKind::folder)
    require_writable_folder(path);
  else
    require_writable_file(path);
}

index_t grid_columns(index_t count, index_t period) {
  constexpr index_t kMostColumns = 20;
  if (period > 1 && period <= kMostColumns) return std::min(period, count);
  return static_cast<index_t>(std::ceil(std::sqrt(static_cast<double>(count))));
}

std::string write_samples(const std::string& path, const Samples& samples, bool grid) {
  const Image& first = samples.images.front();
  std::string summary = concat(plural(static_cast<std::int64_t>(samples.images.size()), "picture"),
                               ", ", first.width(), " x ", first.height());
  switch (output_kind(path)) {
    case OutputKind::npz: write_npz_samples(path, samples); break;
    case OutputKind::folder: write_folder(path, samples, grid); break;
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
