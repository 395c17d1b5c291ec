// Reads sets of pictures from disk. Archives are memory-mapped, whatever their size.
#include "tool/picture_set.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "io/cifar_files.hpp"
#include "io/folder_listing.hpp"
#include "rae/core/owner.hpp"
#include "rae/core/parallel.hpp"
#include "rae/io/dataset.hpp"
#include "rae/io/npz.hpp"
#include "tool/output.hpp"

namespace rae::tool {
namespace fs = std::filesystem;

namespace {

bool is_picture(const fs::path& file) {
  const std::string name = file.filename().string();
  return !detail::is_hidden_name(name) && detail::has_picture_ending(name) &&
         fs::is_regular_file(file);
}

/// Paths of the pictures directly in the folder, sorted.
std::vector<std::string> pictures_in(const fs::path& folder) {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(folder))
    if (is_picture(entry.path())) out.push_back(entry.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

/// The test pictures in a folder of Fashion-MNIST or CIFAR. Throws FileError.
OwnedPointer<const ImageDataset> open_test_pictures(const std::string& path) {
  if (detail::find_cifar(path)) return open_cifar(path, Split::test);
  try {
    return open_idx_folder(path, Split::test);
  } catch (const FileError&) {
    raise<FileError>(
        "'", path,
        "' holds neither pictures (.png, .jpg, .jpeg, .webp, .bmp) nor the test pictures of "
        "Fashion-MNIST or CIFAR");
  }
}

/// The pictures of an archive: memory-mapped, or decompressed if the archive is compressed.
struct PictureArray {
  NpzFile file;
  Tensor<std::uint8_t> copy;        // (N, H, W, channels), empty if mapped
  View<const std::uint8_t> pixels;  // (N, H, W, channels)

  PictureArray(NpzFile opened, const std::string& path) : file(std::move(opened)) {
    const auto& names = file.names();
    const std::string name = file.contains("arr_0") || names.size() != 1 ? "arr_0" : names.front();
    if (const auto mapped = file.mapped(name)) {
      pixels = *mapped;
    } else {
      copy = file.read<std::uint8_t>(name);
      pixels = std::as_const(copy).view();
    }
    const Shape& s = pixels.shape();
    if (s.rank() != 4 || s.numel() == 0 || (s[3] != 1 && s[3] != 3) ||
        std::max(s[1], s[2]) > Image::kMaxSide)
      raise<FormatError>(path, ": ", name,
                         ": expected pictures (N, H, W, channels) with 1 or 3 channels, got ", s);
  }

  [[nodiscard]] Image picture(index_t i) const {
    const Shape& s = pixels.shape();
    Image image(s[2], s[1], static_cast<int>(s[3]));
    const std::size_t size = image.pixels().size();
    std::copy_n(pixels.data() + static_cast<std::size_t>(i) * size, size, image.pixels().begin());
    return image;
  }
};

}  // namespace

bool is_zip_file(const std::string& path) {
  std::array<char, 2> start{};
  std::ifstream in(path, std::ios::binary);
  return in.read(start.data(), start.size()) && start == std::array<char, 2>{'P', 'K'};
}

PictureSet PictureSet::open(const std::string& path, const ImageOptions& options) {
  PictureSet out;
  out.path_ = path;
  std::error_code none;
  if (!fs::is_directory(path, none)) {
    if (!has_extension(path, ".npz") && fs::exists(path, none) && !is_zip_file(path))
      raise<FormatError>(path, ": expected an .npz file or a folder of pictures");
    const auto array = std::make_shared<const PictureArray>(NpzFile::open(path), path);
    out.size_ = array->pixels.extent(0);
    out.picture_ = [array](index_t i) { return array->picture(i); };
    return out;
  }
  out.files_ = pictures_in(path);
  if (out.files_.empty()) {
    std::vector<fs::path> folders;
    for (const auto& entry : fs::directory_iterator(path))
      if (entry.is_directory() && !detail::is_hidden_name(entry.path().filename().string()))
        folders.push_back(entry.path());
    std::sort(folders.begin(), folders.end());
    for (const auto& folder : folders)
      for (auto& file : pictures_in(folder)) out.files_.push_back(std::move(file));
  }
  if (out.files_.empty()) {
    const auto dataset = open_test_pictures(path);
    out.size_ = dataset->size();
    out.picture_ = [dataset](index_t i) {
      Tensor<float> pixels(
          Shape{dataset->channels(), dataset->height(), dataset->width()});  // (C, H, W)
      dataset->image(i, pixels.span());
      return Image::from_tensor(pixels);
    };
    return out;
  }
  out.size_ = static_cast<index_t>(out.files_.size());
  for (const auto& file : out.files_) out.stems_.push_back(fs::path(file).stem().string());
  out.picture_ = [files = out.files_, options](index_t i) {
    return Image::open(files[static_cast<std::size_t>(i)], options);
  };
  return out;
}

std::vector<Image> PictureSet::read(index_t first, index_t count) const {
  std::vector<Image> out(static_cast<std::size_t>(count));
  parallel_for(count, 1,
               [&](index_t i) { out[static_cast<std::size_t>(i)] = picture_(first + i); });
  return out;
}

std::string PictureSet::where(index_t i) const {
  return files_.empty() ? concat(path_, ", picture ", i) : files_[static_cast<std::size_t>(i)];
}

}  // namespace rae::tool
