#include "rae/io/cifar.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "cifar_files.hpp"
#include "escaped_name.hpp"
#include "picture_draws.hpp"
#include "rae/io/file.hpp"
#include "rae/io/image.hpp"
#include "rae/io/placeholder.hpp"

namespace rae {
namespace {

constexpr index_t kSide = CifarRecords::kSide;

index_t class_count(Cifar kind, CifarLabels labels) {
  return kind == Cifar::cifar10 ? 10 : labels == CifarLabels::fine ? 100 : 20;
}

const char* names_file(Cifar kind, CifarLabels labels) {
  return kind == Cifar::cifar10        ? "batches.meta.txt"
         : labels == CifarLabels::fine ? "fine_label_names.txt"
                                       : "coarse_label_names.txt";
}

std::string_view name_of(Cifar kind) { return kind == Cifar::cifar10 ? "CIFAR-10" : "CIFAR-100"; }

class CifarDataset final : public ImageDataset {
 public:
  CifarDataset(const detail::CifarFolder& folder, Split split, const DatasetOptions& options,
               CifarLabels labels)
      : options_(options), labels_(labels) {
    detail::require_dataset_options(options);
    if (options_.size == 0) options_.size = kSide;
    const std::string names = existing(folder, names_file(folder.kind, labels));
    class_names_ =
        parse_cifar_names(MappedFile(names).bytes(), class_count(folder.kind, labels), names);
    for (const std::string& name : folder.pictures(split)) {
      const std::string path = existing(folder, name);
      files_.emplace_back(path);
      records_.emplace_back(files_.back().bytes(), folder.kind, path);
      ends_.push_back(size() + records_.back().size());
    }
  }

  index_t size() const override { return ends_.empty() ? 0 : ends_.back(); }
  int channels() const override { return options_.channels == 0 ? 3 : options_.channels; }
  index_t height() const override { return options_.size; }
  index_t width() const override { return detail::width_of(options_); }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  bool varies_by_epoch() const override { return options_.random_crop || options_.flip; }

 protected:
  void load(index_t i, std::span<float> out, std::uint64_t epoch) const override {
    const detail::PictureDraws draws(options_, epoch, i);
    Image image = picture(i);
    if (options_.random_crop) {
      const detail::Cover cover = detail::cover(kSide, kSide, options_);
      image = image.resized(cover.width, cover.height);
      image = image.cropped(draws.offset(0, cover.width - width()),
                            draws.offset(1, cover.height - height()), width(), height());
    } else {
      image = image.center_crop(width(), height());
    }
    write(image, draws, out);
  }

  void load_part(index_t i, std::span<float> out, std::uint64_t epoch,
                 const ChooseBox& choose) const override {
    const PixelBox box = choose(kSide, kSide);
    write(picture(i).cropped(box.x, box.y, box.width, box.height).resized(width(), height()),
          detail::PictureDraws(options_, epoch, i), out);
  }

  index_t load_label(index_t i) const override {
    const auto [records, at] = place(i);
    return records->label(at, labels_);
  }

  DataManifest load_manifest(index_t first, index_t count, ChecksumExtent) const override {
    DataManifest out{.options = options_};
    out.options.ignore_exif = false;
    for (const std::string& name : class_names_) out.classes.push_back({name});
    for (index_t i = first; i < first + count; ++i) {
      const auto [records, at] = place(i);
      out.classes[static_cast<std::size_t>(records->label(at, labels_))].add(i,
                                                                             records->samples(at));
    }
    return out;
  }

 private:
  static std::string existing(const detail::CifarFolder& folder, const std::string& name) {
    if (!folder.has(name))
      raise<FileError>("'", detail::escaped_name(folder.path.string()), "' has files of ",
                       name_of(folder.kind), ", but no ", name,
                       "; extract the whole archive of the binary version there");
    return (folder.path / name).string();
  }

  /// The file of picture `i`, and its number there.
  std::pair<const CifarRecords*, index_t> place(index_t i) const {
    const auto file = std::upper_bound(ends_.begin(), ends_.end(), i) - ends_.begin();
    const CifarRecords& records = records_[static_cast<std::size_t>(file)];
    return {&records, i - (ends_[static_cast<std::size_t>(file)] - records.size())};
  }

  /// Picture `i` in the channels of the data set.
  Image picture(index_t i) const {
    const auto [records, at] = place(i);
    const std::span<const std::byte> samples = records->samples(at);
    Image image(kSide, kSide, 3);
    const std::size_t plane = kSide * kSide;
    for (std::size_t p = 0; p < plane; ++p)
      for (std::size_t c = 0; c < 3; ++c)
        image.pixels()[3 * p + c] = std::to_integer<std::uint8_t>(samples[c * plane + p]);
    return channels() == 3 ? image : image.to_gray();
  }

  static void write(const Image& image, const detail::PictureDraws& draws, std::span<float> out) {
    const Tensor<float> tensor =
        draws.flips() ? image.flipped().to_tensor() : image.to_tensor();  // (1, C, H, W)
    std::copy(tensor.span().begin(), tensor.span().end(), out.begin());
  }

  DatasetOptions options_;
  CifarLabels labels_;
  std::vector<std::string> class_names_;
  std::vector<MappedFile> files_;
  std::vector<CifarRecords> records_;  // of each file
  std::vector<index_t> ends_;          // the number of pictures up to the end of each file
};

}  // namespace

CifarRecords::CifarRecords(std::span<const std::byte> bytes, Cifar kind, const std::string& origin)
    : bytes_(bytes), label_bytes_(kind == Cifar::cifar10 ? 1 : 2) {
  require_no_placeholder(bytes, origin);
  const std::size_t record = label_bytes_ + static_cast<std::size_t>(kSamples);
  if (bytes.size() % record != 0)
    raise<FormatError>(origin, ": ", name_of(kind), ": expected records of ", record,
                       " bytes, but the file has ", bytes.size(), " bytes, ", bytes.size() % record,
                       " after the last whole record; is it truncated?");
  size_ = static_cast<index_t>(bytes.size() / record);
  for (index_t i = 0; i < size_; ++i)
    for (const CifarLabels labels : {CifarLabels::fine, CifarLabels::coarse}) {
      if (kind == Cifar::cifar10 && labels == CifarLabels::coarse) continue;
      if (label(i, labels) >= class_count(kind, labels))
        raise<FormatError>(origin, ": ", name_of(kind), ": picture ", i, " has the ",
                           kind == Cifar::cifar10        ? ""
                           : labels == CifarLabels::fine ? "fine "
                                                         : "coarse ",
                           "label ", label(i, labels), ", expected one below ",
                           class_count(kind, labels));
    }
}

index_t CifarRecords::label(index_t i, CifarLabels labels) const noexcept {
  const std::size_t first =
      static_cast<std::size_t>(i) * (label_bytes_ + static_cast<std::size_t>(kSamples));
  const std::size_t at = labels == CifarLabels::fine ? first + label_bytes_ - 1 : first;
  return std::to_integer<index_t>(bytes_[at]);
}

std::span<const std::byte> CifarRecords::samples(index_t i) const noexcept {
  const auto samples = static_cast<std::size_t>(kSamples);
  return bytes_.subspan(static_cast<std::size_t>(i) * (label_bytes_ + samples) + label_bytes_,
                        samples);
}

std::vector<std::string> parse_cifar_names(std::span<const std::byte> bytes, index_t count,
                                           const std::string& origin) {
  require_no_placeholder(bytes, origin);
  constexpr std::size_t kMostBytes = 1 << 16;
  if (bytes.size() > kMostBytes)
    raise<FormatError>(origin, ": a list of ", count, " names with ", bytes.size(), " bytes");
  std::vector<std::string> out(1);
  for (const std::byte byte : bytes) {
    const char letter = static_cast<char>(byte);
    if (letter == '\n')
      out.emplace_back();
    else if (letter != '\r')
      out.back() += letter;
  }
  while (!out.empty() && out.back().empty()) out.pop_back();
  if (static_cast<index_t>(out.size()) != count)
    raise<FormatError>(origin, ": expected ", count, " names, one in each line, got ", out.size());
  for (std::size_t i = 0; i < out.size(); ++i)
    if (out[i].empty()) raise<FormatError>(origin, ": line ", i + 1, " has no name");
  return out;
}

OwnedPointer<const ImageDataset> open_cifar(const std::string& folder, Split split,
                                            const DatasetOptions& options, CifarLabels labels) {
  const auto found = detail::find_cifar(folder);
  if (!found)
    raise<FileError>("'", detail::escaped_name(folder),
                     "' contains neither data_batch_1.bin (CIFAR-10) nor train.bin (CIFAR-100)");
  if (found->kind == Cifar::cifar10 && labels == CifarLabels::coarse)
    raise<ArgumentError>("open_cifar: CIFAR-10 has no coarse labels");
  return std::make_shared<CifarDataset>(*found, split, options, labels);
}

}  // namespace rae
