#include "rae/io/image_folder.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <system_error>

#include "core/process_limits.hpp"
#include "escaped_name.hpp"
#include "folder_listing.hpp"
#include "picture_cache.hpp"
#include "picture_draws.hpp"
#include "rae/core/parallel.hpp"
#include "rae/io/image.hpp"
#include "suggestion.hpp"

namespace rae {

namespace fs = std::filesystem;

namespace {

class FolderDataset final : public ImageDataset {
 public:
  FolderDataset(const std::string& folder, const DatasetOptions& options,
                const ImageFolderSelection& selection)
      : options_(options), class_names_(selection.class_names) {
    detail::require_dataset_options(options);
    if (options.size == 0)
      raise<ArgumentError>("open_image_folder: a folder of pictures needs a size");
    const std::set<std::string_view> left_out(selection.left_out.begin(), selection.left_out.end());
    for (const auto& [name, files] : detail::list_picture_folder(folder).classes) {
      std::optional<index_t> label;
      for (const std::string& file : files) {
        if (left_out.count(file) != 0) continue;
        if (!label) label = label_of(name, folder, selection.class_names.empty());
        files_.emplace_back(file, *label);
      }
    }
    if (files_.empty())
      raise<FileError>("'", detail::escaped_name(folder), "': no picture is left without the ",
                       left_out.size(), " that are left out");
    const std::uint64_t half = detail::cache_memory(kKeptPictureBytes) / 2;
    stored_.emplace(files_.size(), half);
    fitted_.emplace(files_.size(), half);
  }

  index_t size() const override { return static_cast<index_t>(files_.size()); }
  int channels() const override { return options_.channels == 0 ? 3 : options_.channels; }
  index_t height() const override { return options_.size; }
  index_t width() const override { return detail::width_of(options_); }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  bool varies_by_epoch() const override { return options_.random_crop || options_.flip; }

 protected:
  void load(index_t i, std::span<float> out, std::uint64_t epoch) const override {
    const auto k = static_cast<std::size_t>(i);
    const std::string& path = files_[k].first;
    const detail::PictureDraws draws(options_, epoch, i);
    if (options_.random_crop)
      write(fitted(*stored(k), draws, path), draws, out);
    else
      write(*fitted_->get(k, [&] { return fitted(opened(path), draws, path); }), draws, out);
  }

  void load_part(index_t i, std::span<float> out, std::uint64_t epoch,
                 const ChooseBox& choose) const override {
    const auto image = stored(static_cast<std::size_t>(i));
    const PixelBox box = choose(image->width(), image->height());
    write(image->cropped(box.x, box.y, box.width, box.height).resized(width(), height()),
          detail::PictureDraws(options_, epoch, i), out);
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
  /// The decoded picture. Its header was sound, or nobody has looked.
  Image opened(const std::string& path) const {
    try {
      return Image::open(path, {.exif = !options_.ignore_exif});
    } catch (const FormatError& error) {
      raise<FormatError>(error.what(),
                         "; remove the file, or find all that cannot be decoded before the "
                         "training by rae train --check-data");
    }
  }

  /// The decoded picture in the channels of the data set.
  [[nodiscard]] std::shared_ptr<const Image> stored(std::size_t i) const {
    return stored_->get(i, [&] { return in_channels(opened(files_[i].first)); });
  }

  [[nodiscard]] Image in_channels(const Image& image) const {
    return channels() == 3 ? image.to_rgb() : image.to_gray();
  }

  static void write(const Image& image, const detail::PictureDraws& draws, std::span<float> out) {
    const Tensor<float> tensor =
        draws.flips() ? image.flipped().to_tensor() : image.to_tensor();  // (1, C, H, W)
    std::copy(tensor.span().begin(), tensor.span().end(), out.begin());
  }

  /// The picture in the size and channels of the data set.
  Image fitted(Image image, const detail::PictureDraws& draws, const std::string& path) const {
    detail::require_fit(image.width(), image.height(), options_, path);
    const detail::Cover cover = detail::cover(image.width(), image.height(), options_);
    if (image.channels() != channels()) image = in_channels(image);
    if (!options_.random_crop) return image.center_crop(width(), height());
    image = image.resized(cover.width, cover.height);
    return image.cropped(draws.offset(0, image.width() - width()),
                         draws.offset(1, image.height() - height()), width(), height());
  }

  /// The label of a class folder, which becomes the next label where names are not given.
  index_t label_of(const std::string& name, const std::string& folder, bool new_names) {
    if (new_names) {
      class_names_.push_back(name);
      return static_cast<index_t>(class_names_.size()) - 1;
    }
    // Pictures without class folders have the only class, whatever the folder is called.
    if (class_names_.size() == 1 && is_folder_itself(name, folder)) return 0;
    const auto found = std::find(class_names_.begin(), class_names_.end(), name);
    if (found == class_names_.end())
      raise<FileError>("'", detail::escaped_name(folder), "': the class '",
                       detail::escaped_name(name), "' is none of the ", class_names_.size(),
                       " classes of the training part",
                       detail::suggestion(detail::escaped_name(name), class_names_));
    return found - class_names_.begin();
  }

  static bool is_folder_itself(const std::string& name, const std::string& folder) {
    std::error_code ignored;
    return !fs::is_directory(fs::path(folder) / name, ignored);
  }

  DatasetOptions options_;
  std::vector<std::string> class_names_;
  std::vector<std::pair<std::string, index_t>> files_;  // path and label
  mutable std::optional<detail::PictureCache> stored_;  // as they are stored
  mutable std::optional<detail::PictureCache> fitted_;  // in the size of the data set
};

}  // namespace

OwnedPointer<const ImageDataset> open_image_folder(const std::string& folder,
                                                   const DatasetOptions& options,
                                                   const ImageFolderSelection& selection) {
  return std::make_shared<FolderDataset>(folder, options, selection);
}

}  // namespace rae
