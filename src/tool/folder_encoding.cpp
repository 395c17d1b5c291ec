#include "tool/folder_encoding.hpp"

#include <chrono>
#include <filesystem>
#include <optional>

#include "io/deflate.hpp"
#include "rae/io/file.hpp"
#include "rae/io/npz_stream.hpp"
#include "rae/io/safetensors.hpp"
#include "rae/spec/auto_dtype.hpp"
#include "rae/version.hpp"
#include "tool/bulk_sampling.hpp"
#include "tool/interrupt.hpp"
#include "tool/output.hpp"
#include "tool/picture_set.hpp"
#include "tool/progress.hpp"
#include "tool/ranks.hpp"
#include "tool/text.hpp"
#include "train/shared_work.hpp"

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
  if (choice.dtype.type) out["dtype"] = name_of(*choice.dtype.type);
  if (choice.dtype.automatic) out["dtype"] = name_of(files.packed.value_or(fastest_dtype()));
  if (!options.image.exif) out["exif"] = "ignored";
  return out;
}

/// Pictures [first, first + count) as the model takes them.
std::vector<Image> prepared(const Autoencoder& autoencoder, const PictureSet& set, index_t first,
                            index_t count) {
  std::vector<Image> pictures = set.read(first, count);
  for (Image& picture : pictures) picture = autoencoder.prepare(picture);
  return pictures;
}

/// Throws ConfigError when the ranks read different models or pictures.
void require_same(const ModelFiles& files, const PictureSet& set, const FolderEncoding& options) {
  require_same_on_all_ranks(files.origin,
                            [&] { return "checksum " + autoencoder_fingerprint(files); });
  require_same_on_all_ranks(options.in, [&] {
    return concat(plural(set.size(), "picture"), " with checksum ", checksum_of(set, options.in));
  });
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

/// Pictures of one file of latents that are encoded together.
struct EncodingBatch {
  index_t part = 0;              // the file
  index_t first = 0, count = 0;  // the pictures
};

/// The files of latents of a set of pictures.
class LatentFiles {
 public:
  LatentFiles(const PictureSet& set, const FolderEncoding& options, const Shape& latent,
              std::map<std::string, std::string> settings)
      : set_(set),
        options_(options),
        latent_(latent),
        metadata_(std::move(settings)),
        per_file_(options.per_file > 0
                      ? options.per_file
                      : std::max<index_t>(
                            1, kMostBytesOfAFile / (latent.numel() * index_t{sizeof(float)}))),
        parts_((set.size() + per_file_ - 1) / per_file_) {
    metadata_["count"] = std::to_string(set.size());
    metadata_["per_file"] = std::to_string(per_file_);
  }

  /// Number of files.
  [[nodiscard]] index_t parts() const noexcept { return parts_; }
  /// Number of latents in files that are complete.
  [[nodiscard]] index_t saved() const noexcept { return saved_; }

  /// The pictures of the files that are missing. Throws ConfigError for a file that belongs to
  /// other settings.
  [[nodiscard]] std::vector<EncodingBatch> missing_batches() {
    std::vector<EncodingBatch> out;
    for (index_t part = 0; part < parts_; ++part) {
      if (is_complete(path_of(part), metadata_of(part))) {
        saved_ += end_of(part) - begin_of(part);
        continue;
      }
      for (index_t i = begin_of(part); i < end_of(part); i += options_.batch)
        out.push_back({part, i, std::min(options_.batch, end_of(part) - i)});
    }
    return out;
  }

  /// Adds the latents of the next batch; the last batch of a file writes it. Throws FileError.
  void add(const EncodingBatch& batch, detail::Piece& latents) {
    const index_t begin = begin_of(batch.part), end = end_of(batch.part), size = latent_.numel();
    if (batch.first == begin)
      latents_ = Tensor<float>(Shape{end - begin, latent_[0], latent_[1], latent_[2]});
    latents.get(latents_.span().subspan(static_cast<std::size_t>((batch.first - begin) * size),
                                        static_cast<std::size_t>(batch.count * size)));
    if (batch.first + batch.count < end) return;
    std::map<std::string, std::string> metadata = metadata_of(batch.part);
    std::vector<ConfigNode> names;
    for (index_t i = begin; i < end; ++i) names.emplace_back(name_of_picture(set_, i));
    metadata["names"] = ConfigNode::list(std::move(names)).to_json();
    const SafetensorsEntry entries[] = {{"latent", std::move(latents_)}};
    remove_orphans_of(path_of(batch.part));
    write_safetensors(path_of(batch.part), entries, metadata);
    saved_ += end - begin;
  }

  /// Writes the list of the files, if there are several. Throws FileError.
  void write_index() const {
    if (parts_ == 1) return;
    std::vector<ConfigNode> index;
    for (index_t part = 0; part < parts_; ++part)
      index.push_back(ConfigNode::map({{"file", fs::path(path_of(part)).filename().string()},
                                       {"first", begin_of(part)},
                                       {"count", end_of(part) - begin_of(part)}}));
    const std::string path = options_.out + ".index.json";
    remove_orphans_of(path);
    write_file_atomically(path, ConfigNode::map({{"count", set_.size()},
                                                 {"files", ConfigNode::list(std::move(index))}})
                                    .to_json(2));
  }

 private:
  [[nodiscard]] index_t begin_of(index_t part) const { return part * per_file_; }
  [[nodiscard]] index_t end_of(index_t part) const {
    return std::min(set_.size(), begin_of(part) + per_file_);
  }
  [[nodiscard]] std::string path_of(index_t part) const {
    return file_of_part(options_.out, part, parts_);
  }
  [[nodiscard]] std::map<std::string, std::string> metadata_of(index_t part) const {
    std::map<std::string, std::string> out = metadata_;
    out["first"] = std::to_string(begin_of(part));
    return out;
  }

  const PictureSet& set_;
  const FolderEncoding& options_;
  Shape latent_;  // (C, h, w)
  std::map<std::string, std::string> metadata_;
  index_t per_file_, parts_, saved_ = 0;
  Tensor<float> latents_{};  // (n, C, h, w) of the file that is being filled
};

}  // namespace

bool is_picture_set(const std::string& path) {
  std::error_code none;
  return fs::is_directory(path, none) || fs::path(path).extension() == ".npz";
}

std::string reconstruct_pictures(const ModelChoice& model, const FolderEncoding& options) {
  Communicator& all = ranks();
  std::optional<PictureSet> set;
  std::optional<Autoencoder> autoencoder;
  ModelFiles files;
  std::optional<NpzStream> out, originals;  // on rank 0
  index_t before = 0;
  all.agree([&] {
    set.emplace(PictureSet::open(options.in, options.image));
    files = open_model(model, {.dit = false});
    autoencoder.emplace(files, load_options(model, true));
    if (!all.is_root()) return;
    const std::map<std::string, std::string> settings = settings_of(files, model, *set, options);
    const ModelConfig& config = autoencoder->config();
    out.emplace(open_stream(options.out, set->size(), config, settings, "reconstructions"));
    if (!options.originals.empty())
      originals.emplace(open_stream(options.originals, set->size(), config, settings, "originals"));
    // Both are continued from where the shorter one ends.
    before = originals ? std::min(out->done(), originals->done()) : out->done();
  });
  require_same(files, *set, options);
  all.broadcast(std::span(&before, 1));
  const Shape picture = autoencoder->config().image_shape();  // (channels, H, W)
  const auto pixels = static_cast<std::size_t>(picture.numel());
  const index_t count = set->size();
  const auto first_of = [&](index_t batch) { return before + batch * options.batch; };
  const auto size_of = [&](index_t batch) {
    return std::min(options.batch, count - first_of(batch));
  };
  PictureProgress progress("reconstructing", before, count);
  auto last_checkpoint = Clock::now();
  const auto checkpoint = [&] {
    out->checkpoint();
    if (originals) originals->checkpoint();
    last_checkpoint = Clock::now();
  };
  const auto compute = [&](index_t batch) {
    // At once, because a launcher that ends its ranks gives them little time.
    if (interrupted() && out) checkpoint();
    stop_if_interrupted();
    const std::vector<Image> pictures =
        prepared(*autoencoder, *set, first_of(batch), size_of(batch));
    detail::Piece piece;
    for (const Image& image : autoencoder->decode(autoencoder->encode(pictures)))
      piece.put(std::span<const std::uint8_t>(image.pixels()));
    if (!options.originals.empty())
      for (const Image& image : pictures) piece.put(std::span<const std::uint8_t>(image.pixels()));
    return piece;
  };
  const auto take = [&](index_t batch, detail::Piece& piece) {
    const index_t first = first_of(batch), end = first + size_of(batch);
    for (NpzStream* stream : {&*out, originals ? &*originals : nullptr})
      for (index_t i = first; stream != nullptr && i < end; ++i)
        if (const auto of_one = piece.get<std::uint8_t>(pixels); stream->done() == i)
          stream->append(of_one);
    progress(static_cast<double>(end));
    if (Clock::now() - last_checkpoint > std::chrono::seconds(2)) checkpoint();
  };
  try {
    detail::share_in_order(all, (count - before + options.batch - 1) / options.batch, compute,
                           take);
  } catch (const Cancelled&) {
    if (!out) throw;
    checkpoint();
    progress.clear();
    raise<Cancelled>("interrupted; ",
                     originals ? std::min(out->done(), originals->done()) : out->done(), " of ",
                     count, " pictures are saved; the same command continues after them");
  }
  all.on_root([&] {
    if (originals) originals->finish();
    out->finish();
  });
  progress.clear();
  std::string summary = concat(plural(count, "picture"), ", ", picture[2], " x ", picture[1]);
  if (before > 0) summary += concat(", ", before, " of them from an earlier run");
  return summary;
}

std::string encode_pictures(const ModelChoice& model, const FolderEncoding& options) {
  Communicator& all = ranks();
  std::optional<PictureSet> set;
  std::optional<Autoencoder> autoencoder;
  ModelFiles opened;
  std::optional<LatentFiles> files;    // on rank 0
  std::vector<EncodingBatch> batches;  // of the files that are missing
  detail::Piece shared;
  index_t saved = 0;  // latents in complete files
  all.agree([&] {
    set.emplace(PictureSet::open(options.in, options.image));
    opened = open_model(model, {.decoder = false, .dit = false});
    autoencoder.emplace(opened, load_options(model, true));
    if (!all.is_root()) return;
    files.emplace(*set, options, autoencoder->config().latent_shape(),
                  settings_of(opened, model, *set, options));
    batches = files->missing_batches();
    saved = files->saved();
    shared.put(std::span<const EncodingBatch>(batches));
  });
  require_same(opened, *set, options);
  shared.broadcast(all);
  batches = shared.get<EncodingBatch>(shared.bytes().size() / sizeof(EncodingBatch));
  const index_t count = set->size(), kept = saved;
  PictureProgress progress("encoding", kept, count);
  const auto compute = [&](index_t i) {
    stop_if_interrupted();
    const EncodingBatch& batch = batches[static_cast<std::size_t>(i)];
    detail::Piece piece;
    const Tensor<float> latents = autoencoder->encode(
        prepared(*autoencoder, *set, batch.first, batch.count));  // (b, C, h, w)
    piece.put(latents.span());
    return piece;
  };
  index_t done = kept;
  const auto take = [&](index_t i, detail::Piece& piece) {
    const EncodingBatch& batch = batches[static_cast<std::size_t>(i)];
    files->add(batch, piece);
    done += batch.count;
    progress(static_cast<double>(done));
  };
  try {
    detail::share_in_order(all, static_cast<index_t>(batches.size()), compute, take);
  } catch (const Cancelled&) {
    progress.clear();
    if (!files) throw;
    raise<Cancelled>("interrupted; ", files->saved(), " of ", count,
                     " latents are saved; the same command continues after them");
  }
  std::string summary;
  all.on_root([&] {
    files->write_index();
    progress.clear();
    summary = concat(plural(count, "latent"), " ", autoencoder->config().latent_shape());
    if (files->parts() > 1) summary += concat(" in ", plural(files->parts(), "file"));
    if (kept > 0) summary += concat(", ", kept, " of them from an earlier run");
  });
  return summary;
}

}  // namespace rae::tool
