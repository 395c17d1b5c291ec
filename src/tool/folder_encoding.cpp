#include "tool/folder_encoding.hpp"

#include <chrono>
#include <filesystem>
#include <optional>

#include "io/deflate.hpp"
#include "rae/io/file.hpp"
#include "rae/io/npz_stream.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/version.hpp"
#include "tool/bulk_sampling.hpp"
#include "tool/interrupt.hpp"
#include "tool/output.hpp"
#include "tool/picture_set.hpp"
#include "tool/progress.hpp"
#include "tool/text.hpp"

namespace rae::tool {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr index_t kMostBytesOfAFile = index_t{256} << 20;

/// The name of a picture in the metadata of its latent.
std::string name_of_picture(const PictureSet& set, index_t i) {
  return set.stems().empty() ? std::to_string(i) : set.stems()[static_cast<std::size_t>(i)];
}

/// A checksum of the names and sizes of the pictures' files.
std::string checksum_of(const PictureSet& set, const std::string& path) {
  std::uint32_t sum = detail::crc32_of(as_byte_span(std::to_string(set.size())));
  const auto add = [&](const std::string& file, const std::string& name) {
    std::error_code none;
    const auto size = fs::file_size(file, none);
    sum = detail::crc32_of(as_byte_span(concat(name, " ", none ? 0 : size, "\n")), sum);
  };
  if (set.stems().empty())
    add(path, "");
  else
    for (index_t i = 0; i < set.size(); ++i) add(set.where(i), name_of_picture(set, i));
  return std::to_string(sum);
}

/// Everything that the results depend on.
std::map<std::string, std::string> settings_of(const ModelFiles& files, const ModelChoice& choice,
                                               const PictureSet& set,
                                               const FolderEncoding& options) {
  std::map<std::string, std::string> out{{"model", files.config.name},
                                         {"weights", autoencoder_fingerprint(files)},
                                         {"pictures", checksum_of(set, options.in)},
                                         {"version", kVersion}};
  if (choice.dtype) out["dtype"] = name_of(*choice.dtype);
  if (!options.image.exif) out["exif"] = "ignored";
  return out;
}

class PictureProgress {
 public:
  PictureProgress(std::string label, index_t before, index_t total)
      : bar_(std::move(label)), before_(before), total_(total) {}

  void operator()(index_t done) {
    const double seconds = bar_.seconds(), made = static_cast<double>(done - before_),
                 left = static_cast<double>(total_ - done),
                 eta = made > 0 ? seconds * left / made : -1;
    const std::string detail =
        concat(done, "/", total_, "  ", format_rate(made / std::max(seconds, 1e-9)), " pictures/s");
    bar_.update(static_cast<double>(done), static_cast<double>(total_), detail, eta);
  }
  void clear() { bar_.clear(); }

 private:
  ProgressBar bar_;
  index_t before_, total_;
};

/// Pictures [first, first + count) as the model takes them.
std::vector<Image> prepared(const Autoencoder& autoencoder, const PictureSet& set, index_t first,
                            index_t count) {
  std::vector<Image> pictures = set.read(first, count);
  for (Image& picture : pictures) picture = autoencoder.prepare(picture);
  return pictures;
}

NpzStream open_stream(const std::string& path, index_t count, const ModelConfig& config,
                      std::map<std::string, std::string> settings, const char* content) {
  const Shape picture = config.image_shape();  // (channels, H, W)
  settings["content"] = content;
  return {path, {count, Shape{picture[1], picture[2], picture[0]}, {}, std::move(settings)}};
}

/// NAME.safetensors for one file, else NAME-00002-of-00004.safetensors.
std::string file_of_part(const std::string& out, index_t part, index_t parts) {
  if (parts == 1) return out;
  const auto number = [](index_t n) {
    std::string digits = std::to_string(n);
    return digits.insert(0, digits.size() < 5 ? 5 - digits.size() : 0, '0');
  };
  const fs::path path(out);
  return (path.parent_path() / concat(path.stem().string(), "-", number(part + 1), "-of-",
                                      number(parts), path.extension().string()))
      .string();
}

/// True when the file exists and is complete. Throws ConfigError when it belongs to other settings.
bool is_complete(const std::string& path, const std::map<std::string, std::string>& metadata) {
  std::error_code none;
  if (!fs::exists(path, none)) return false;
  const std::map<std::string, std::string> stored = SafetensorsFile::open(path).metadata();
  for (const auto& [key, value] : metadata) {
    const auto found = stored.find(key);
    if (found == stored.end() || found->second != value)
      raise<ConfigError>(path, ": holds latents of another model or of other pictures ('", key,
                         "' differs); remove it, or choose another name");
  }
  return true;
}

}  // namespace

bool is_picture_set(const std::string& path) {
  std::error_code none;
  return fs::is_directory(path, none) || fs::path(path).extension() == ".npz";
}

std::string reconstruct_pictures(const ModelChoice& model, const FolderEncoding& options) {
  const PictureSet set = PictureSet::open(options.in, options.image);
  const ModelFiles files = open_model(model, {.dit = false});
  const std::map<std::string, std::string> settings = settings_of(files, model, set, options);
  const Autoencoder autoencoder(files, {.dtype = model.dtype});
  const index_t count = set.size();
  NpzStream out =
      open_stream(options.out, count, autoencoder.config(), settings, "reconstructions");
  std::optional<NpzStream> originals;
  if (!options.originals.empty())
    originals.emplace(
        open_stream(options.originals, count, autoencoder.config(), settings, "originals"));
  // Both are continued from where the shorter one ends.
  const index_t before = originals ? std::min(out.done(), originals->done()) : out.done();
  PictureProgress progress("reconstructing", before, count);
  auto last_checkpoint = Clock::now();
  const auto checkpoint = [&] {
    out.checkpoint();
    if (originals) originals->checkpoint();
    last_checkpoint = Clock::now();
  };
  for (index_t first = before; first < count;) {
    if (interrupted()) {
      checkpoint();
      progress.clear();
      raise<Cancelled>("interrupted; ", first, " of ", count,
                       " pictures are saved; the same command continues after them");
    }
    const index_t part = std::min(options.batch, count - first);
    const std::vector<Image> pictures = prepared(autoencoder, set, first, part);
    const std::vector<Image> results = autoencoder.decode(autoencoder.encode(pictures));
    for (index_t i = 0; i < part; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (out.done() == first + i) out.append(results[at].pixels());
      if (originals && originals->done() == first + i) originals->append(pictures[at].pixels());
    }
    first += part;
    progress(first);
    if (Clock::now() - last_checkpoint > std::chrono::seconds(2)) checkpoint();
  }
  if (originals) originals->finish();
  out.finish();
  progress.clear();
  const Shape picture = autoencoder.config().image_shape();  // (channels, H, W)
  std::string summary = concat(plural(count, "picture"), ", ", picture[2], " x ", picture[1]);
  if (before > 0) summary += concat(", ", before, " of them from an earlier run");
  return summary;
}

std::string encode_pictures(const ModelChoice& model, const FolderEncoding& options) {
  const PictureSet set = PictureSet::open(options.in, options.image);
  const ModelFiles files = open_model(model, {.decoder = false, .dit = false});
  const Autoencoder autoencoder(files, {.dtype = model.dtype});
  const Shape latent = autoencoder.config().latent_shape();  // (C, h, w)
  const index_t bytes = latent.numel() * index_t{sizeof(float)}, count = set.size(),
                per_file = options.per_file > 0 ? options.per_file
                                                : std::max<index_t>(1, kMostBytesOfAFile / bytes),
                parts = (count + per_file - 1) / per_file;
  std::map<std::string, std::string> metadata = settings_of(files, model, set, options);
  metadata["count"] = std::to_string(count);
  metadata["per_file"] = std::to_string(per_file);
  PictureProgress progress("encoding", 0, count);
  index_t kept = 0;
  std::vector<ConfigNode> index;
  for (index_t part = 0; part < parts; ++part) {
    const std::string path = file_of_part(options.out, part, parts);
    const index_t begin = part * per_file, end = std::min(count, begin + per_file);
    metadata["first"] = std::to_string(begin);
    index.push_back(ConfigNode::map(
        {{"file", fs::path(path).filename().string()}, {"first", begin}, {"count", end - begin}}));
    if (is_complete(path, metadata)) {
      kept += end - begin;
      progress(end);
      continue;
    }
    std::vector<ConfigNode> names;
    for (index_t i = begin; i < end; ++i) names.emplace_back(name_of_picture(set, i));
    std::map<std::string, std::string> with_names = metadata;
    with_names["names"] = ConfigNode::list(std::move(names)).to_json();
    Tensor<float> all(Shape{end - begin, latent[0], latent[1], latent[2]});  // (n, C, h, w)
    for (index_t first = begin; first < end; first += options.batch) {
      if (interrupted()) {
        progress.clear();
        raise<Cancelled>("interrupted; ", begin, " of ", count,
                         " latents are saved; the same command continues after them");
      }
      const index_t some = std::min(options.batch, end - first);
      const Tensor<float> latents =
          autoencoder.encode(prepared(autoencoder, set, first, some));  // (b, C, h, w)
      copy_elements(latents.data(), latents.numel(), all.data() + (first - begin) * latent.numel());
      progress(first + some);
    }
    remove_orphans_of(path);
    const SafetensorsEntry entries[] = {{"latent", std::move(all)}};
    write_safetensors(path, entries, with_names);
  }
  if (parts > 1) {
    const std::string path = options.out + ".index.json";
    remove_orphans_of(path);
    write_file_atomically(
        path, ConfigNode::map({{"count", count}, {"files", ConfigNode::list(std::move(index))}})
                  .to_json(2));
  }
  progress.clear();
  std::string summary = concat(plural(count, "latent"), " ", latent);
  if (parts > 1) summary += concat(" in ", plural(parts, "file"));
  if (kept > 0) summary += concat(", ", kept, " of them from an earlier run");
  return summary;
}

}  // namespace rae::tool
