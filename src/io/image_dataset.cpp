#include "rae/io/image_dataset.hpp"

#include <algorithm>
#include <memory>

#include "rae/io/image.hpp"

namespace rae {

namespace {

void require_picture(const char* where, const ImageDataset& data, index_t i,
                     std::span<const float> out) {
  if (i < 0 || i >= data.size())
    raise<ArgumentError>(where, ": index ", i, " of ", data.size(), " pictures");
  if (static_cast<index_t>(out.size()) != data.image_size())
    raise<ArgumentError>(where, ": expected a span of ", data.image_size(), " floats, got ",
                         out.size());
}

}  // namespace

void ImageDataset::image(index_t i, std::span<float> out, std::uint64_t epoch) const {
  require_picture("ImageDataset::image", *this, i, out);
  load(i, out, epoch);
}

void ImageDataset::part(index_t i, std::span<float> out, std::uint64_t epoch,
                        const ChooseBox& choose) const {
  require_picture("ImageDataset::part", *this, i, out);
  load_part(i, out, epoch, choose);
}

void ImageDataset::load_part(index_t i, std::span<float> out, std::uint64_t epoch,
                             const ChooseBox& choose) const {
  Tensor<float> picture(Shape{channels(), height(), width()});  // (C, H, W)
  load(i, picture.span(), epoch);
  const PixelBox box = choose(width(), height());
  const Tensor<float> part = Image::from_tensor(picture)
                                 .cropped(box.x, box.y, box.width, box.height)
                                 .resized(width(), height())
                                 .to_tensor();  // (1, C, H, W)
  std::copy(part.span().begin(), part.span().end(), out.begin());
}

index_t ImageDataset::label(index_t i) const {
  if (i < 0 || i >= size())
    raise<ArgumentError>("ImageDataset::label: index ", i, " of ", size(), " pictures");
  return load_label(i);
}

DataManifest ImageDataset::manifest(index_t first, index_t count, ChecksumExtent extent) const {
  if (first < 0 || count < 0 || first > size() || count > size() - first)
    raise<ArgumentError>("ImageDataset::manifest: ", count, " pictures from picture ", first,
                         " on; the data set has ", size());
  DataManifest out = load_manifest(first, count, extent);
  out.extent = extent;
  out.options.size = height();
  out.options.width = width();
  out.options.channels = channels();
  if (!out.options.random_crop && !out.options.flip) out.options.seed = 0;
  return out;
}

DataManifest ImageDataset::load_manifest(index_t first, index_t count, ChecksumExtent) const {
  DataManifest out;
  for (const std::string& name : class_names()) out.classes.push_back({name});
  std::vector<float> pixels(static_cast<std::size_t>(image_size()));  // (C, H, W)
  for (index_t i = first; i < first + count; ++i) {
    load(i, pixels, 0);
    out.classes[static_cast<std::size_t>(load_label(i))].add(i, std::as_bytes(std::span(pixels)));
  }
  return out;
}

namespace {

class SlicedDataset final : public ImageDataset {
 public:
  SlicedDataset(OwnedPointer<const ImageDataset> whole, index_t first, index_t count)
      : whole_(std::move(whole)), first_(first), count_(count) {}

  index_t size() const override { return count_; }
  int channels() const override { return whole_->channels(); }
  index_t height() const override { return whole_->height(); }
  index_t width() const override { return whole_->width(); }
  const std::vector<std::string>& class_names() const override { return whole_->class_names(); }
  bool varies_by_epoch() const override { return whole_->varies_by_epoch(); }

 protected:
  void load(index_t i, std::span<float> out, std::uint64_t epoch) const override {
    whole_->image(first_ + i, out, epoch);
  }
  void load_part(index_t i, std::span<float> out, std::uint64_t epoch,
                 const ChooseBox& choose) const override {
    whole_->part(first_ + i, out, epoch, choose);
  }
  index_t load_label(index_t i) const override { return whole_->label(first_ + i); }

  DataManifest load_manifest(index_t first, index_t count, ChecksumExtent extent) const override {
    return whole_->manifest(first_ + first, count, extent);
  }

 private:
  OwnedPointer<const ImageDataset> whole_;
  index_t first_, count_;
};

class SubsetDataset final : public ImageDataset {
 public:
  SubsetDataset(OwnedPointer<const ImageDataset> whole, std::vector<index_t> pictures)
      : whole_(std::move(whole)), pictures_(std::move(pictures)) {}

  index_t size() const override { return static_cast<index_t>(pictures_.size()); }
  int channels() const override { return whole_->channels(); }
  index_t height() const override { return whole_->height(); }
  index_t width() const override { return whole_->width(); }
  const std::vector<std::string>& class_names() const override { return whole_->class_names(); }
  bool varies_by_epoch() const override { return whole_->varies_by_epoch(); }

 protected:
  void load(index_t i, std::span<float> out, std::uint64_t epoch) const override {
    whole_->image(at(i), out, epoch);
  }
  void load_part(index_t i, std::span<float> out, std::uint64_t epoch,
                 const ChooseBox& choose) const override {
    whole_->part(at(i), out, epoch, choose);
  }
  index_t load_label(index_t i) const override { return whole_->label(at(i)); }

 private:
  [[nodiscard]] index_t at(index_t i) const { return pictures_[static_cast<std::size_t>(i)]; }

  OwnedPointer<const ImageDataset> whole_;
  std::vector<index_t> pictures_;
};

}  // namespace

OwnedPointer<const ImageDataset> subset(OwnedPointer<const ImageDataset> dataset,
                                        std::vector<index_t> pictures) {
  if (!dataset) raise<ArgumentError>("subset: no data set");
  for (const index_t i : pictures)
    if (i < 0 || i >= dataset->size())
      raise<ArgumentError>("subset: index ", i, " of ", dataset->size(), " pictures");
  return std::make_shared<SubsetDataset>(std::move(dataset), std::move(pictures));
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
