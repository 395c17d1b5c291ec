#include "rae/io/idx_dataset.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <system_error>

#include "idx_files.hpp"
#include "picture_draws.hpp"
#include "rae/io/idx.hpp"

namespace rae {
namespace {

class IdxDataset final : public ImageDataset {
 public:
  IdxDataset(const std::string& images, const std::string& labels,
             std::vector<std::string> class_names, const DatasetOptions& options)
      : images_(read_idx_images(images)),
        labels_(read_idx_labels(labels)),
        class_names_(std::move(class_names)),
        options_(options) {
    detail::require_dataset_options(options);
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
    return options_.size == 0 ? images_.extent(2) : detail::width_of(options_);
  }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  bool varies_by_epoch() const override { return options_.random_crop || options_.flip; }

 protected:
  void load(index_t i, std::span<float> out, std::uint64_t epoch) const override {
    const index_t rows = images_.extent(1), columns = images_.extent(2);
    const index_t free_rows = height() - rows, free_columns = width() - columns;
    const detail::PictureDraws draws(options_, epoch, i);
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

  DataManifest load_manifest(index_t first, index_t count, ChecksumExtent) const override {
    DataManifest out{.options = options_};
    out.options.ignore_exif = false;
    for (const std::string& name : class_names_) out.classes.push_back({name});
    const index_t pixels = images_.extent(1) * images_.extent(2);
    const std::span<const std::uint8_t> samples(images_.data(),
                                                static_cast<std::size_t>(images_.numel()));
    for (index_t i = first; i < first + count; ++i)
      out.classes[labels_[i]].add(
          i, std::as_bytes(samples.subspan(static_cast<std::size_t>(i * pixels),
                                           static_cast<std::size_t>(pixels))));
    return out;
  }

 private:
  // const, so that reading elements never copies the tensor
  const Tensor<std::uint8_t> images_;  // (N, H, W)
  const Tensor<std::uint8_t> labels_;  // (N)
  std::vector<std::string> class_names_;
  DatasetOptions options_;
};

std::vector<std::string> fashion_names() {
  return {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
          "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
}

/// True for labels that begin as those of Fashion-MNIST.
bool are_fashion(Split split, std::span<const std::uint8_t> labels) {
  constexpr std::array<std::uint8_t, 16> kTrain = {9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9, 5, 5, 7, 9},
                                         kTest = {9, 2, 1, 1, 6, 1, 4, 6, 5, 7, 4, 5, 7, 3, 4, 1};
  const auto& expected = split == Split::train ? kTrain : kTest;
  return labels.size() >= expected.size() &&
         std::equal(expected.begin(), expected.end(), labels.begin());
}

/// The names of the classes of a folder, the same for both splits.
std::vector<std::string> class_names_of(const std::string& folder) {
  std::vector<std::string> names;
  std::uint8_t largest = 0;
  for (const Split split : {Split::train, Split::test}) {
    const auto path = detail::find_idx(folder, detail::idx_name(split, "labels-idx1-ubyte"));
    if (path.empty()) continue;
    const Tensor<std::uint8_t> labels = read_idx_labels(path);  // (N)
    if (are_fashion(split, labels.span())) return fashion_names();
    for (const std::uint8_t label : labels.span()) largest = std::max(largest, label);
  }
  for (int c = 0; c <= largest; ++c) names.push_back(std::to_string(c));
  return names;
}

OwnedPointer<const ImageDataset> open_split(const std::string& folder, Split split,
                                            std::vector<std::string> class_names,
                                            const DatasetOptions& options) {
  std::array<std::string, 2> paths;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto name = detail::idx_name(split, i == 0 ? "images-idx3-ubyte" : "labels-idx1-ubyte");
    paths[i] = detail::find_idx(folder, name);
    if (paths[i].empty())
      raise<FileError>("'", folder, "' contains neither ", name, " nor ", name, ".gz");
  }
  return open_idx(paths[0], paths[1], std::move(class_names), options);
}

}  // namespace

OwnedPointer<const ImageDataset> open_idx(const std::string& images, const std::string& labels,
                                          std::vector<std::string> class_names,
                                          const DatasetOptions& options) {
  return std::make_shared<IdxDataset>(images, labels, std::move(class_names), options);
}

OwnedPointer<const ImageDataset> open_idx_folder(const std::string& folder, Split split,
                                                 const DatasetOptions& options) {
  return open_split(folder, split, class_names_of(folder), options);
}

OwnedPointer<const ImageDataset> open_fashion_mnist(const std::string& folder, Split split,
                                                    const DatasetOptions& options) {
  return open_split(folder, split, fashion_names(), options);
}

}  // namespace rae
