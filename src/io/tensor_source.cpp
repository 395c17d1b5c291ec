// One table of names for one or several open files. A part of a source (its weights, a prefix) is
// another table of the same files.
#include "rae/io/tensor_source.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "name_index.hpp"
#include "rae/io/file.hpp"
#include "shard_index.hpp"
#include "stored_elements.hpp"
#include "weights_selection.hpp"

namespace rae {

namespace fs = std::filesystem;

namespace {

/// Tensors in memory.
class MemoryTensors {
 public:
  MemoryTensors(const std::map<std::string, Tensor<float>>& tensors, std::string origin)
      : contents_(std::make_shared<Contents>()) {
    Contents& c = *contents_;
    c.origin = std::move(origin);
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors) {
      names.push_back(name);
      c.infos.push_back({DType::f32, tensor.shape()});
      c.tensors.push_back(tensor);
    }
    c.index.assign(std::move(names), c.origin);
  }

  [[nodiscard]] const std::string& origin() const noexcept { return contents_->origin; }
  [[nodiscard]] const std::vector<std::string>& names() const noexcept {
    return contents_->index.names();
  }
  [[nodiscard]] bool contains(std::string_view name) const noexcept {
    return contents_->index.contains(name);
  }
  [[nodiscard]] const TensorInfo& info(std::string_view name) const {
    return contents_->infos[contents_->index.find(name)];
  }
  [[nodiscard]] std::span<const std::byte> bytes(std::string_view name) const {
    return std::as_bytes(tensor(name).span());
  }
  void release(std::string_view name) const { (void)tensor(name); }
  [[nodiscard]] std::uint32_t sampled_checksum(std::string_view name) const {
    return detail::sampled_checksum(bytes(name));
  }
  [[nodiscard]] const UnreadableTensors& unreadable() const noexcept {
    return contents_->index.unreadable();
  }
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const noexcept {
    return detail::no_metadata();
  }
  template <Element T>
  [[nodiscard]] Tensor<T> read(std::string_view name) const {
    return tensor_cast<T>(AnyTensor(tensor(name)), concat("tensor ", name, " in ", origin()));
  }
  template <Element T>
  [[nodiscard]] Tensor<T> read(std::string_view name, const Shape& expected) const {
    detail::require_stored_shape(name, origin(), info(name).shape, expected);
    return read<T>(name);
  }

 private:
  struct Contents {
    std::string origin;
    std::vector<TensorInfo> infos;
    std::vector<Tensor<float>> tensors;
    detail::NameIndex index;
  };

  [[nodiscard]] const Tensor<float>& tensor(std::string_view name) const {
    return contents_->tensors[contents_->index.find(name)];
  }

  std::shared_ptr<Contents> contents_;
};

static_assert(TensorReader<MemoryTensors> && TensorReader<TensorSource>);

using File = std::variant<SafetensorsFile, TorchCheckpoint, MemoryTensors>;

constexpr std::string_view kIndexEnding = ".index.json";
/// Names of weights in a folder, in the order of preference.
constexpr std::string_view kFolderFiles[] = {"model.safetensors",
                                             "model.safetensors.index.json",
                                             "diffusion_pytorch_model.safetensors",
                                             "diffusion_pytorch_model.safetensors.index.json",
                                             "pytorch_model.bin",
                                             "pytorch_model.bin.index.json",
                                             "diffusion_pytorch_model.bin",
                                             "diffusion_pytorch_model.bin.index.json",
                                             "model.pt"};

/// A checkpoint of PyTorch begins as a zip archive or as a pickle. A file that is neither this nor
/// a safetensors file is passed to the reader of the format that its name suggests, which refuses
/// it.
File open_file(const std::string& path) {
  bool torch = false;
  {
    const MappedFile mapping(path);
    const auto text = as_text(mapping.bytes());
    const bool is_torch = text.starts_with("PK\x03\x04") ||
                          (text.size() > 2 && text[0] == '\x80' && text[2] == '\x8a');
    const bool is_safetensors = text.size() > 8 && text[8] == '{';
    torch = is_torch || (!is_safetensors && !path.ends_with(".safetensors"));
  }
  if (torch) return TorchCheckpoint::open(path);
  return SafetensorsFile::open(path);
}

std::string weights_in_folder(const std::string& folder) {
  std::string all;
  std::error_code none;
  for (const std::string_view name : kFolderFiles) {
    const fs::path path = fs::path(folder) / name;
    if (fs::exists(path, none)) return path.string();
    all += concat(all.empty() ? "" : ", ", name);
  }
  raise<FileError>("'", folder, "' contains no weights; searched for ", all);
}

}  // namespace

struct TensorSource::Contents {
  /// A tensor: the index of its file, and its name there.
  struct Entry {
    std::size_t file = 0;
    std::string stored;
  };

  std::string origin, selected;
  std::vector<std::string> alternatives;
  std::shared_ptr<const std::vector<File>> files;
  std::vector<Entry> entries;
  detail::NameIndex index;

  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return index.names(); }

  [[nodiscard]] const Entry& find(std::string_view name) const { return entries[index.find(name)]; }

  [[nodiscard]] const File& file_of(const Entry& entry) const { return (*files)[entry.file]; }

  /// All tensors of one file.
  static std::shared_ptr<Contents> of(File file) {
    auto out = std::make_shared<Contents>();
    std::visit(
        [&](const auto& open) {
          out->origin = open.origin();
          for (const std::string& name : open.names()) out->entries.push_back({0, name});
          out->index.assign(open.names(), out->origin, open.unreadable());
        },
        file);
    std::vector<File> files;
    files.push_back(std::move(file));
    out->files = std::make_shared<const std::vector<File>>(std::move(files));
    return out;
  }

  /// The tensors for which `rename` returns a name, under that name.
  template <class F>
  [[nodiscard]] std::shared_ptr<Contents> renamed(F rename) const {
    auto out = std::make_shared<Contents>();
    out->origin = origin;
    out->selected = selected;
    out->alternatives = alternatives;
    out->files = files;
    std::vector<std::string> kept;
    for (std::size_t i = 0; i < entries.size(); ++i)
      if (std::optional<std::string> name = rename(names()[i])) {
        kept.push_back(std::move(*name));
        out->entries.push_back(entries[i]);
      }
    UnreadableTensors unreadable;
    for (const auto& [name, reason] : index.unreadable())
      if (std::optional<std::string> renamed = rename(name))
        unreadable.emplace(std::move(*renamed), reason);
    out->index.assign(std::move(kept), origin, std::move(unreadable));
    return out;
  }
};

TensorSource::TensorSource(SafetensorsFile file) : contents_(Contents::of(std::move(file))) {}

TensorSource::TensorSource(TorchCheckpoint file) {
  const TorchCheckpoint same = file;
  auto contents = Contents::of(std::move(file));
  contents->selected = same.selected();
  contents->alternatives = same.alternatives();
  contents_ = std::move(contents);
}

TensorSource::TensorSource(const std::map<std::string, Tensor<float>>& tensors,
                           const std::string& origin)
    : contents_(Contents::of(MemoryTensors(tensors, origin))) {}

TensorSource TensorSource::open(const std::string& path) {
  std::error_code none;
  if (fs::is_directory(path, none)) return open(weights_in_folder(path));
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
    raise<FileError>(path, ": files that it lists are missing: ", missing,
                     "; is the download complete?");
  std::vector<File> files;
  for (const std::string& name : index.files) files.push_back(open_file((folder / name).string()));
  std::int64_t total = 0;
  std::vector<std::string> names;
  UnreadableTensors unreadable;
  for (const auto& [name, at] : index.tensors) {
    std::visit(
        [&, &tensor = name, &shard = at](const auto& file) {
          if (const auto reason = file.unreadable().find(tensor);
              reason != file.unreadable().end()) {
            unreadable.insert(*reason);
          } else if (!file.contains(tensor)) {
            unreadable.emplace(tensor, concat("should be in ", file.origin(), " according to ",
                                              path, ", but that file does not have it"));
          } else {
            const TensorInfo& info = file.info(tensor);
            total += info.shape.numel() * static_cast<std::int64_t>(size_of(info.dtype));
            contents->entries.push_back({shard, tensor});
            names.push_back(tensor);
          }
        },
        files[at]);
  }
  if (names.empty())
    raise<FormatError>(path, ": none of the ", index.tensors.size(),
                       " tensors that it lists can be read; '",
                       unreadable.begin()->first.substr(0, 100), "' ", unreadable.begin()->second);
  // The bytes of tensors that cannot be read are unknown.
  if (index.total_size && unreadable.empty() && *index.total_size != total)
    raise<FormatError>(path, ": metadata.total_size: ", *index.total_size,
                       " bytes, but the tensors have ", total,
                       "; do all files belong to the same model?");
  contents->files = std::make_shared<const std::vector<File>>(std::move(files));
  contents->index.assign(std::move(names), path, std::move(unreadable));
  return TensorSource(std::move(contents));
}

const std::string& TensorSource::origin() const noexcept { return contents_->origin; }

const std::vector<std::string>& TensorSource::names() const noexcept { return contents_->names(); }

bool TensorSource::contains(std::string_view name) const noexcept {
  return contents_->index.contains(name);
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
  return std::visit([&](const auto& file) { return file.bytes(entry.stored); },
                    contents_->file_of(entry));
}

void TensorSource::release(std::string_view name) const {
  const auto& entry = contents_->find(name);
  std::visit([&](const auto& file) { file.release(entry.stored); }, contents_->file_of(entry));
}

const UnreadableTensors& TensorSource::unreadable() const noexcept {
  return contents_->index.unreadable();
}

const std::map<std::string, std::string>& TensorSource::metadata() const noexcept {
  return std::visit(
      [](const auto& file) -> const std::map<std::string, std::string>& { return file.metadata(); },
      contents_->files->front());
}

TensorSource TensorSource::weights() const {
  if (!contents_->selected.empty()) return *this;
  // A checkpoint of PyTorch knows which parts of a name are keys of dicts.
  const auto* torch = std::get_if<TorchCheckpoint>(&contents_->files->front());
  if (torch != nullptr && contents_->files->size() == 1 && contents_->names() == torch->names())
    return TensorSource(torch->state_dict());

  const detail::WeightsPath path = detail::select_weights(contents_->names());
  auto out =
      contents_->renamed([&](const std::string& name) { return detail::name_in_part(path, name); });
  out->selected = detail::to_string(path);
  return TensorSource(std::move(out));
}

TensorSource TensorSource::with(const std::map<std::string, Tensor<float>>& tensors) const {
  auto out = std::make_shared<Contents>();
  out->origin = contents_->origin;
  out->selected = contents_->selected;
  out->alternatives = contents_->alternatives;
  out->entries = contents_->entries;
  std::vector<File> files = *contents_->files;
  std::vector<std::string> all = names();
  for (const auto& [name, tensor] : tensors) {
    out->entries.push_back({files.size(), name});
    all.push_back(name);
  }
  files.emplace_back(MemoryTensors(tensors, contents_->origin));
  out->files = std::make_shared<const std::vector<File>>(std::move(files));
  out->index.assign(std::move(all), out->origin, unreadable());
  return TensorSource(std::move(out));
}

TensorSource TensorSource::under(std::string_view prefix) const {
  return TensorSource(
      contents_->renamed([&](const std::string& name) -> std::optional<std::string> {
        if (!name.starts_with(prefix)) return std::nullopt;
        return name.substr(prefix.size());
      }));
}

TensorSource TensorSource::without(const std::set<std::string>& names) const {
  return TensorSource(
      contents_->renamed([&](const std::string& name) -> std::optional<std::string> {
        if (names.contains(name)) return std::nullopt;
        return name;
      }));
}

const std::string& TensorSource::selected() const noexcept { return contents_->selected; }

const std::vector<std::string>& TensorSource::alternatives() const noexcept {
  return contents_->alternatives;
}

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
