#include "rae/io/dataset.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <system_error>

#include "rae/core/owner.hpp"
#include "rae/core/random.hpp"
#include "rae/io/idx.hpp"
#include "rae/io/image.hpp"

namespace rae {

namespace fs = std::filesystem;

void ImageDataset::image(index_t i, std::span<float> out, std::uint64_t epoch) const {
  if (i < 0 || i >= size())
    raise<ArgumentError>("ImageDataset::image: index ", i, " of ", size(), " pictures");
  if (static_cast<index_t>(out.size()) != image_size())
    raise<ArgumentError>("ImageDataset::image: expected a span of ", image_size(), " floats, got ",
                         out.size());
  load(i, out, epoch);
}

index_t ImageDataset::label(index_t i) const {
  if (i < 0 || i >= size())
    raise<ArgumentError>("ImageDataset::label: index ", i, " of ", size(), " pictures");
  return load_label(i);
}

namespace {

/// The random numbers of one picture in one epoch.
class Draws {
 public:
  Draws(const DatasetOptions& options, std::uint64_t epoch, index_t i)
      : random_(options.seed, epoch),
        first_(static_cast<std::uint64_t>(i) * 4),
        flip_(options.flip) {}

  /// A random offset from 0 to `most`.
  index_t offset(std::uint64_t which, index_t most) const {
    return static_cast<index_t>(
        random_.below(first_ + which, static_cast<std::uint64_t>(most) + 1));
  }
  bool flips() const { return flip_ && random_.bits(first_ + 2) >> 31 != 0; }

 private:
  Philox random_;
  std::uint64_t first_;
  bool flip_;
};

constexpr index_t kMaxSize = 4096;

void check_options(const DatasetOptions& options) {
  if (options.channels != 0 && options.channels != 1 && options.channels != 3)
    raise<ArgumentError>("DatasetOptions: expected 1 or 3 channels, got ", options.channels);
  for (const index_t side : {options.size, options.width})
    if (side < 0 || side > kMaxSize)
      raise<ArgumentError>("DatasetOptions: expected a size from 1 to ", kMaxSize, ", got ", side);
  if (options.width != 0 && options.size == 0)
    raise<ArgumentError>("DatasetOptions: expected a size beside the width ", options.width);
}

/// The width of pictures with a size.
index_t width_of(const DatasetOptions& options) {
  return options.width == 0 ? options.size : options.width;
}

class IdxDataset final : public ImageDataset {
 public:
  IdxDataset(const std::string& images, const std::string& labels,
             std::vector<std::string> class_names, const DatasetOptions& options)
      : images_(read_idx_images(images)),
        labels_(read_idx_labels(labels)),
        class_names_(std::move(class_names)),
        options_(options) {
    check_options(options);
    if (images_.extent(0) != labels_.extent(0))
      raise<FormatError>(images, " has ", images_.extent(0), " pictures, ", labels, " has ",
                         labels_.extent(0), " labels");
    if (images_.extent(0) == 0) raise<FormatError>(images, ": no pictures");
    if (height() < images_.extent(1) || width() < images_.extent(2))
      raise<ArgumentError>(images, ": pictures of ", images_.extent(1), " x ", images_.extent(2),
                           " do not fit into ", height(), " x ", width());
    const auto largest = *std::max_element(labels_.span().begin(), labels_.span().end());
    if (class_names_.empty())
      for (int c = 0; c <= largest; ++c) class_names_.push_back(std::to_string(c));
    if (largest >= class_names_.size())
      raise<FormatError>(labels, ": the label ", static_cast<int>(largest), ", but there are only ",
                         class_names_.size(), " classes");
  }

  index_t size() const override { return images_.extent(0); }
  int channels() const override { return options_.channels == 0 ? 1 : options_.channels; }
  index_t height() const override { return options_.size == 0 ? images_.extent(1) : options_.size; }
  index_t width() const override {
    return options_.size == 0 ? images_.extent(2) : width_of(options_);
  }
  const std::vector<std::string>& class_names() const override { return class_names_; }

 protected:
  void load(index_t i, std::span<float> out, std::uint64_t epoch) const override {
    const index_t rows = images_.extent(1), columns = images_.extent(2);
    const index_t free_rows = height() - rows, free_columns = width() - columns;
    const Draws draws(options_, epoch, i);
    const index_t top = options_.random_crop ? draws.offset(0, free_rows) : free_rows / 2;
    const index_t left = options_.random_crop ? draws.offset(1, free_columns) : free_columns / 2;
    const bool flip = draws.flips();
    const index_t plane = height() * width();
    std::fill(out.begin(), out.end(), 0.0f);
    const std::uint8_t* source = images_.data() + i * rows * columns;
    for (index_t y = 0; y < rows; ++y)
      for (index_t x = 0; x < columns; ++x)
        out[static_cast<std::size_t>((top + y) * width() + left + x)] =
            static_cast<float>(source[y * columns + (flip ? columns - 1 - x : x)]) / 255.0f;
    for (int c = 1; c < channels(); ++c) std::copy_n(out.begin(), plane, out.begin() + c * plane);
  }

  index_t load_label(index_t i) const override { return labels_[i]; }

 private:
  // const, so that reading elements never copies the tensor
  const Tensor<std::uint8_t> images_;  // (N, H, W)
  const Tensor<std::uint8_t> labels_;  // (N)
  std::vector<std::string> class_names_;
  DatasetOptions options_;
};

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
    check_options(options);
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
  index_t width() const override { return width_of(options_); }
  const std::vector<std::string>& class_names() const override { return class_names_; }

 protected:
  void load(index_t i, std::span<float> out, std::uint64_t epoch) const override {
    const std::string& path = files_[static_cast<std::size_t>(i)].first;
    const Draws draws(options_, epoch, i);
    Image image = fitted(Image::open(path), draws, path);
    if (draws.flips()) image = image.flipped();
    const Tensor<float> tensor = image.to_tensor();  // (1, C, H, W)
    std::copy(tensor.span().begin(), tensor.span().end(), out.begin());
  }

  index_t load_label(index_t i) const override {
    return files_[static_cast<std::size_t>(i)].second;
  }

 private:
  /// The picture in the size and channels of the data set.
  Image fitted(Image image, const Draws& draws, const std::string& path) const {
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

class SlicedDataset final : public ImageDataset {
 public:
  SlicedDataset(OwnedPointer<const ImageDataset> whole, index_t first, index_t count)
      : whole_(std::move(whole)), first_(first), count_(count) {}

  index_t size() const override { return count_; }
  int channels() const override { return whole_->channels(); }
  index_t height() const override { return whole_->height(); }
  index_t width() const override { return whole_->width(); }
  const std::vector<std::string>& class_names() const override { return whole_->class_names(); }

 protected:
  void load(index_t i, std::span<float> out, std::uint64_t epoch) const override {
    whole_->image(first_ + i, out, epoch);
  }
  index_t load_label(index_t i) const override { return whole_->label(first_ + i); }

 private:
  OwnedPointer<const ImageDataset> whole_;
  index_t first_, count_;
};

/// The file `name` or `name`.gz in a folder; "" when there is neither.
std::string find_idx(const std::string& folder, const std::string& name) {
  std::error_code ignored;
  for (const char* ending : {"", ".gz"}) {
    const auto path = (fs::path(folder) / (name + ending)).string();
    if (fs::is_regular_file(path, ignored)) return path;
  }
  return {};
}

std::string idx_name(Split split, const char* name) {
  return (split == Split::train ? "train-" : "t10k-") + std::string(name);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

}  // namespace

OwnedPointer<const ImageDataset> open_idx(const std::string& images, const std::string& labels,
                                          std::vector<std::string> class_names,
                                          const DatasetOptions& options) {
  return std::make_shared<IdxDataset>(images, labels, std::move(class_names), options);
}

OwnedPointer<const ImageDataset> open_fashion_mnist(const std::string& folder, Split split,
                                                    const DatasetOptions& options) {
  std::array<std::string, 2> paths;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto name = idx_name(split, i == 0 ? "images-idx3-ubyte" : "labels-idx1-ubyte");
    paths[i] = find_idx(folder, name);
    if (paths[i].empty())
      raise<FileError>("'", folder, "' contains neither ", name, " nor ", name, ".gz");
  }
  return open_idx(paths[0], paths[1],
                  {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
                   "Sneaker", "Bag", "Ankle boot"},
                  options);
}

OwnedPointer<const ImageDataset> open_image_folder(const std::string& folder,
                                                   const DatasetOptions& options) {
  return std::make_shared<FolderDataset>(folder, options);
}

OwnedPointer<const ImageDataset> open_dataset(const std::string& folder, Split split,
                                              const DatasetOptions& options) {
  if (!is_folder(folder)) raise<FileError>("'", folder, "' is not a folder");
  if (!find_idx(folder, idx_name(split, "images-idx3-ubyte")).empty())
    return open_fashion_mnist(folder, split, options);
  const fs::path train = fs::path(folder) / "train";
  for (const char* name : {"test", "val"}) {
    const fs::path test = fs::path(folder) / name;
    if (is_folder(train) && is_folder(test))
      return open_image_folder((split == Split::train ? train : test).string(), options);
  }
  return open_image_folder(folder, options);
}

OwnedPointer<const ImageDataset> slice(OwnedPointer<const ImageDataset> dataset, index_t first,
                                       index_t count) {
  if (!dataset) raise<ArgumentError>("slice: no data set");
  if (first < 0 || count < 0 || first > dataset->size() || count > dataset->size() - first)
    raise<ArgumentError>("slice: ", count, " pictures from picture ", first,
                         " on; the data set has ", dataset->size());
  return std::make_shared<SlicedDataset>(std::move(dataset), first, count);
}

std::pair<OwnedPointer<const ImageDataset>, OwnedPointer<const ImageDataset>> split_at(
    OwnedPointer<const ImageDataset> dataset, index_t count) {
  const index_t size = dataset ? dataset->size() : 0;
  auto first = slice(dataset, 0, count);
  return {std::move(first), slice(dataset, count, size - count)};
}

}  // namespace rae
