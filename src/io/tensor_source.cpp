// One table of names over one or several open files. A view of a source (its weights, a prefix) is
// another table over the same files.
#include "rae/io/tensor_source.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <variant>

#include "rae/io/file.hpp"
#include "shard_index.hpp"
#include "stored_elements.hpp"
#include "suggestion.hpp"

namespace rae {

namespace fs = std::filesystem;

namespace {

/// Tensors in memory, with what the other readers offer.
class MemoryTensors {
 public:
  MemoryTensors(const std::map<std::string, Tensor<float>>& tensors, std::string origin)
      : origin_(std::move(origin)) {
    for (const auto& [name, tensor] : tensors) {
      names_.push_back(name);
      entries_.emplace(name, Entry{{DType::f32, tensor.shape()}, tensor});
    }
  }

  [[nodiscard]] const std::string& origin() const noexcept { return origin_; }
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
  [[nodiscard]] bool contains(std::string_view name) const {
    return entries_.find(name) != entries_.end();
  }
  [[nodiscard]] const TensorInfo& info(std::string_view name) const {
    return entries_.find(name)->second.info;
  }
  [[nodiscard]] std::uint32_t sampled_checksum(std::string_view name) const {
    const auto& tensor = std::get<Tensor<float>>(entries_.find(name)->second.tensor);
    return detail::sampled_checksum(std::as_bytes(tensor.span()));
  }
  template <Element T>
  [[nodiscard]] Tensor<T> read(std::string_view name) const {
    return tensor_cast<T>(entries_.find(name)->second.tensor,
                          concat("tensor ", name, " in ", origin_));
  }

 private:
  struct Entry {
    TensorInfo info;
    AnyTensor tensor;
  };
  std::string origin_;
  std::vector<std::string> names_;
  std::map<std::string, Entry, std::less<>> entries_;
};

using File = std::variant<SafetensorsFile, TorchCheckpoint, MemoryTensors>;

constexpr std::string_view kIndexEnding = ".index.json";
/// What a folder of weights may hold, most wanted first.
constexpr std::string_view kFolderFiles[] = {"model.safetensors",
                                             "model.safetensors.index.json",
                                             "diffusion_pytorch_model.safetensors",
                                             "diffusion_pytorch_model.safetensors.index.json",
                                             "pytorch_model.bin",
                                             "pytorch_model.bin.index.json",
                                             "diffusion_pytorch_model.bin",
                                             "diffusion_pytorch_model.bin.index.json",
                                             "model.pt"};

/// A torch checkpoint begins with a zip's or a pickle's first bytes; whatever else is no
/// checkpoint, and its error comes from the reader that its name asks for.
File open_file(const std::string& path) {
  bool torch = false;
  {
    const MappedFile mapping(path);
    const auto text = as_text(mapping.bytes());
    const bool is_torch =
        text.starts_with("PK\x03\x04") || (text.starts_with('\x80') && text.substr(2, 1) == "\x8a");
    const bool is_safetensors = text.size() > 8 && text[8] == '{';
    torch = is_torch || (!is_safetensors && !path.ends_with(".safetensors"));
  }
  if (torch) return TorchCheckpoint::open(path);
  return SafetensorsFile::open(path);
}

std::string without_wrappers(std::string_view name) {
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view prefix : {"module.", "_orig_mod."}) {
      if (!name.starts_with(prefix)) continue;
      name.remove_prefix(prefix.size());
      again = true;
    }
  }
  return std::string(name);
}

std::string in_folder(const std::string& folder) {
  std::string all;
  std::error_code none;
  for (const std::string_view name : kFolderFiles) {
    const fs::path path = fs::path(folder) / name;
    if (fs::exists(path, none)) return path.string();
    all += concat(all.empty() ? "" : ", ", name);
  }
  raise<FileError>("'", folder, "' holds no weights; looked for ", all);
}

}  // namespace

struct TensorSource::Contents {
  /// A tensor: which file has it, and under which name there.
  struct Entry {
    std::size_t file = 0;
    std::string stored;
  };

  std::string origin, selected;
  std::shared_ptr<const std::vector<File>> files;
  std::vector<std::string> names;
  std::vector<Entry> entries;
  std::unordered_map<std::string_view, std::size_t> index;  // keys point into `names`

  void add(std::string name, Entry entry) {
    names.push_back(std::move(name));
    entries.push_back(std::move(entry));
  }

  /// Call it once all names are there.
  void make_index() {
    for (std::size_t i = 0; i < names.size(); ++i)
      if (!index.emplace(names[i], i).second)
        raise<FormatError>(origin, ": two tensors are named '", names[i].substr(0, 100), "'");
  }

  [[nodiscard]] const Entry& find(std::string_view name) const {
    const auto found = index.find(name);
    if (found == index.end())
      raise<FormatError>("tensor '", name, "' is not in ", origin, " (", names.size(), " tensors)",
                         detail::suggestion(name, names));
    return entries[found->second];
  }

  [[nodiscard]] const File& file_of(const Entry& entry) const { return (*files)[entry.file]; }

  /// All tensors of one file.
  static std::shared_ptr<Contents> of(File file) {
    auto out = std::make_shared<Contents>();
    std::visit(
        [&](const auto& open) {
          out->origin = open.origin();
          for (const std::string& name : open.names()) out->add(name, {0, name});
        },
        file);
    std::vector<File> files;
    files.push_back(std::move(file));
    out->files = std::make_shared<const std::vector<File>>(std::move(files));
    out->make_index();
    return out;
  }

  /// The tensors to which `rename` gives a name.
  template <class F>
  [[nodiscard]] std::shared_ptr<Contents> renamed(F rename) const {
    auto out = std::make_shared<Contents>();
    out->origin = origin;
    out->selected = selected;
    out->files = files;
    for (std::size_t i = 0; i < names.size(); ++i)
      if (std::optional<std::string> name = rename(names[i]))
        out->add(std::move(*name), entries[i]);
    out->make_index();
    return out;
  }
};

TensorSource::TensorSource(SafetensorsFile file) : contents_(Contents::of(std::move(file))) {}

TensorSource::TensorSource(TorchCheckpoint file) {
  const std::string selected = file.selected();
  auto contents = Contents::of(std::move(file));
  contents->selected = selected;
  contents_ = std::move(contents);
}

TensorSource::TensorSource(const std::map<std::string, Tensor<float>>& tensors,
                           const std::string& origin)
    : contents_(Contents::of(MemoryTensors(tensors, origin))) {}

TensorSource TensorSource::open(const std::string& path) {
  std::error_code none;
  if (fs::is_directory(path, none)) return open(in_folder(path));
  if (path.ends_with(kIndexEnding)) return open_index(path);
  return TensorSource(std::shared_ptr<const Contents>(Contents::of(open_file(path))));
}

TensorSource TensorSource::open_index(const std::string& path) {
  const detail::ShardIndex index = detail::parse_shard_index(ConfigNode::load(path));
  auto contents = std::make_shared<Contents>();
  contents->origin = path;
  const fs::path folder = fs::path(path).parent_path();
  std::string missing;
  std::error_code none;
  for (const std::string& name : index.files)
    if (!fs::exists(folder / name, none)) missing += (missing.empty() ? "" : ", ") + name;
  if (!missing.empty())
    raise<FileError>(path, ": names files that are not beside it: ", missing,
                     "; is the download complete?");
  std::vector<File> files;
  for (const std::string& name : index.files) files.push_back(open_file((folder / name).string()));
  std::int64_t total = 0;
  for (const auto& [name, at] : index.tensors) {
    std::visit(
        [&, &tensor = name](const auto& file) {
          if (!file.contains(tensor))
            raise<FormatError>(path, ": '", tensor.substr(0, 100), "' should be in ", file.origin(),
                               ", which does not have it");
          const TensorInfo& info = file.info(tensor);
          total += info.shape.numel() * static_cast<std::int64_t>(size_of(info.dtype));
        },
        files[at]);
    contents->add(name, {at, name});
  }
  if (index.total_size && *index.total_size != total)
    raise<FormatError>(path, ": metadata.total_size: ", *index.total_size,
                       " bytes, but the tensors have ", total,
                       "; do all files belong to the same model?");
  contents->files = std::make_shared<const std::vector<File>>(std::move(files));
  contents->make_index();
  return TensorSource(std::move(contents));
}

const std::string& TensorSource::origin() const noexcept { return contents_->origin; }

const std::vector<std::string>& TensorSource::names() const noexcept { return contents_->names; }

bool TensorSource::contains(std::string_view name) const noexcept {
  return contents_->index.find(name) != contents_->index.end();
}

const TensorInfo& TensorSource::info(std::string_view name) const {
  const auto& entry = contents_->find(name);
  return std::visit([&](const auto& file) -> const TensorInfo& { return file.info(entry.stored); },
                    contents_->file_of(entry));
}

std::uint32_t TensorSource::sampled_checksum(std::string_view name) const {
  const auto& entry = contents_->find(name);
  return std::visit([&](const auto& file) { return file.sampled_checksum(entry.stored); },
                    contents_->file_of(entry));
}

std::span<const std::byte> TensorSource::bytes(std::string_view name) const {
  const auto& entry = contents_->find(name);
  const auto* file = std::get_if<SafetensorsFile>(&contents_->file_of(entry));
  return file != nullptr ? file->bytes(entry.stored) : std::span<const std::byte>();
}

void TensorSource::release(std::string_view name) const {
  const auto& entry = contents_->find(name);
  if (const auto* file = std::get_if<SafetensorsFile>(&contents_->file_of(entry)))
    file->release(entry.stored);
}

const std::map<std::string, std::string>& TensorSource::metadata() const noexcept {
  static const std::map<std::string, std::string> nothing;
  const auto* file = std::get_if<SafetensorsFile>(&contents_->files->front());
  return file != nullptr ? file->metadata() : nothing;
}

TensorSource TensorSource::weights() const {
  if (!contents_->selected.empty()) return *this;
  // A checkpoint of PyTorch knows which part of a name is a dict.
  const auto* torch = std::get_if<TorchCheckpoint>(&contents_->files->front());
  if (torch != nullptr && contents_->files->size() == 1 && contents_->names == torch->names())
    return TensorSource(torch->state_dict());

  std::size_t averages = 0, parameters = 0;
  for (const std::string& name : contents_->names) {
    averages += name.starts_with("ema.");
    parameters += name.starts_with("model.");
  }
  const bool is_ema = averages > 0, is_model = !is_ema && parameters == contents_->names.size();
  const std::string_view prefix = is_ema ? "ema." : is_model ? "model." : "";
  auto out = contents_->renamed([&](const std::string& name) -> std::optional<std::string> {
    if (!name.starts_with(prefix)) return std::nullopt;
    return without_wrappers(std::string_view(name).substr(prefix.size()));
  });
  if (!prefix.empty()) out->selected = prefix.substr(0, prefix.size() - 1);
  return TensorSource(std::move(out));
}

TensorSource TensorSource::under(std::string_view prefix) const {
  return TensorSource(
      contents_->renamed([&](const std::string& name) -> std::optional<std::string> {
        if (!name.starts_with(prefix)) return std::nullopt;
        return name.substr(prefix.size());
      }));
}

const std::string& TensorSource::selected() const noexcept { return contents_->selected; }

void TensorSource::require(std::string_view name, const Shape& expected) const {
  detail::require_stored_shape(name, origin(), info(name).shape, expected);
}

template <Element T>
Tensor<T> TensorSource::read(std::string_view name) const {
  const auto& entry = contents_->find(name);
  return std::visit([&](const auto& file) { return file.template read<T>(entry.stored); },
                    contents_->file_of(entry));
}

template Tensor<float> TensorSource::read(std::string_view) const;
template Tensor<double> TensorSource::read(std::string_view) const;
template Tensor<bf16> TensorSource::read(std::string_view) const;
template Tensor<f16> TensorSource::read(std::string_view) const;
template Tensor<std::int64_t> TensorSource::read(std::string_view) const;
template Tensor<std::int32_t> TensorSource::read(std::string_view) const;
template Tensor<std::uint8_t> TensorSource::read(std::string_view) const;

}  // namespace rae
