#include "rae/io/image_folder.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>

#include "picture_draws.hpp"
#include "rae/core/parallel.hpp"
#include "rae/io/image.hpp"

namespace rae {

namespace fs = std::filesystem;

namespace {

bool is_picture(const fs::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg" || ending == ".bmp";
}

/// Entries of a folder that `wanted` accepts, sorted by name.
template <class Wanted>
std::vector<fs::path> list(const fs::path& folder, Wanted&& wanted) {
  std::error_code error;
  std::vector<fs::path> out;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    if (wanted(*entry)) out.push_back(entry->path());
  if (error) raise<FileError>("cannot list '", folder.string(), "': ", error.message());
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<fs::path> pictures_in(const fs::path& folder) {
  return list(folder, [](const fs::directory_entry& e) {
    std::error_code ignored;
    return e.is_regular_file(ignored) && is_picture(e.path());
  });
}

class FolderDataset final : public ImageDataset {
 public:
  FolderDataset(const std::string& folder, const DatasetOptions& options) : options_(options) {
    detail::require_dataset_options(options);
    if (options.size == 0)
      raise<ArgumentError>("open_image_folder: a folder of pictures needs a size");
    for (const auto& sub : list(folder, [](const fs::directory_entry& e) {
           std::error_code ignored;
           return e.is_directory(ignored);
         }))
      add_class(sub, sub.filename().string());
    if (files_.empty()) add_class(folder, fs::path(folder).lexically_normal().filename().string());
    if (files_.empty())
      raise<FileError>("no PNG, JPEG or BMP files in '", folder, "' or its sub-folders");
  }

  index_t size() const override { return static_cast<index_t>(files_.size()); }
  int channels() const override { return options_.channels == 0 ? 3 : options_.channels; }
  index_t height() const override { return options_.size; }
  index_t width() const override { return detail::width_of(options_); }
  const std::vector<std::string>& class_names() const override { return class_names_; }

 protected:
  void load(index_t i, std::span<float> out, std::uint64_t epoch) const override {
    const std::string& path = files_[static_cast<std::size_t>(i)].first;
    const detail::PictureDraws draws(options_, epoch, i);
    Image image = fitted(Image::open(path), draws, path);
    if (draws.flips()) image = image.flipped();
    const Tensor<float> tensor = image.to_tensor();  // (1, C, H, W)
    std::copy(tensor.span().begin(), tensor.span().end(), out.begin());
  }

  index_t load_label(index_t i) const override {
    return files_[static_cast<std::size_t>(i)].second;
  }

  DataManifest load_manifest(index_t first, index_t count, ChecksumExtent extent) const override {
    std::vector<ManifestFile> files(static_cast<std::size_t>(count));
    parallel_for(count, 16, [&](index_t i) {
      const std::string& path = files_[static_cast<std::size_t>(first + i)].first;
      files[static_cast<std::size_t>(i)] =
          manifest_file(path, fs::path(path).filename().string(), extent);
    });
    DataManifest out{.options = options_};
    for (const std::string& name : class_names_) out.classes.push_back({name});
    for (index_t i = 0; i < count; ++i)
      out.classes[static_cast<std::size_t>(load_label(first + i))].files.push_back(
          std::move(files[static_cast<std::size_t>(i)]));
    for (ManifestClass& c : out.classes) {
      c.pictures = static_cast<index_t>(c.files.size());
      c.checksum = checksum_of(c.files);
    }
    return out;
  }

 private:
  /// The picture in the size and channels of the data set.
  Image fitted(Image image, const detail::PictureDraws& draws, const std::string& path) const {
    // The picture is resized to the smallest size that covers h x w.
    const index_t grown = options_.random_crop ? 3 : 2;  // halves
    const index_t h = height() * grown / 2, w = width() * grown / 2;
    const bool narrow = image.width() * h <= image.height() * w;  // narrower than w : h
    const index_t side = narrow ? image.height() * w / image.width()
                                : image.width() * h / image.height();  // the side that is cropped
    // Resizing a narrow strip may need more pixels than a picture can have.
    if (side >= Image::kMaxSide || (side + 1) * (narrow ? w : h) > Image::kMaxPixels)
      raise<FormatError>(path, ": a picture of ", image.width(), " x ", image.height(),
                         " is too narrow for ", width(), " x ", height());
    image = channels() == 3 ? image.to_rgb() : image.to_gray();
    if (!options_.random_crop) return image.center_crop(width(), height());
    image = narrow ? image.resized(w, side) : image.resized(side, h);
    return image.cropped(draws.offset(0, image.width() - width()),
                         draws.offset(1, image.height() - height()), width(), height());
  }

  /// Adds a class with the pictures of a folder, if it has any.
  void add_class(const fs::path& folder, std::string name) {
    const auto files = pictures_in(folder);
    if (files.empty()) return;
    for (const auto& file : files)
      files_.emplace_back(file.string(), static_cast<index_t>(class_names_.size()));
    class_names_.push_back(std::move(name));
  }

  std::vector<std::pair<std::string, index_t>> files_;  // path and label
  std::vector<std::string> class_names_;
  DatasetOptions options_;
};

}  // namespace

OwnedPointer<const ImageDataset> open_image_folder(const std::string& folder,
                                                   const DatasetOptions& options) {
  return std::make_shared<FolderDataset>(folder, options);
}

}  // namespace rae
