// Samples many pictures into one .npz archive; the settings in it name the part (shard) that it
// holds.
#include "tool/bulk_sampling.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <utility>

#include "generate/batches.hpp"
#include "io/deflate.hpp"
#include "rae/core/torch_random.hpp"
#include "rae/io/config.hpp"
#include "rae/io/file.hpp"
#include "rae/io/npz_stream.hpp"
#include "tool/command.hpp"
#include "tool/interrupt.hpp"
#include "tool/numbers.hpp"
#include "tool/progress.hpp"
#include "tool/ranks.hpp"
#include "tool/text.hpp"
#include "train/shared_work.hpp"

namespace rae::tool {
namespace {

constexpr const char* kShard = "shard";

std::string describe_pictures(const Shape& record, index_t count) {
  return concat(plural(count, "picture"), ", ", record[1], " x ", record[0]);
}

Tensor<std::int64_t> label_array(std::span<const std::int64_t> labels) {
  return Tensor<std::int64_t>(Shape{static_cast<index_t>(labels.size())}, labels);
}

/// Saves the pictures so far if possible; called when an error such as a full disk ends the run.
void save_finished(NpzStream& stream) noexcept {
  try {
    stream.checkpoint();
  } catch (const Error&) {
  }
}

/// Noise of PyTorch's CPU generator in batches, equal to one `torch.randn` for all pictures.
class TorchNoise {
 public:
  /// The noise of the first picture comes first. Throws ArgumentError unless the latent (C, h,
  /// w) has a multiple of 16 elements: for other sizes `torch.randn` gives other numbers in batches
  /// than at once.
  TorchNoise(std::uint64_t seed, const Shape& latent) : generator_(seed), latent_(latent) {
    if (latent.numel() % 16 != 0)
      raise<ArgumentError>(
          "--rng torch-cpu: latents of ", latent.numel(),
          " numbers cannot be drawn in batches, because that is not a multiple of 16");
  }

  /// Noise (n, C, h, w) of the pictures [first, first + n), after all those of earlier calls.
  [[nodiscard]] Tensor<float> of(index_t first, index_t n) {
    skip_to(first);
    next_ += n;
    Tensor<float> out(Shape{n, latent_[0], latent_[1], latent_[2]});  // (n, C, h, w)
    generator_.fill_normal(out.span());
    return out;
  }

 private:
  void skip_to(index_t first) {
    Tensor<float> scratch(latent_);  // (C, h, w)
    for (; next_ < first; ++next_) generator_.fill_normal(scratch.span());
  }

  TorchCpuGenerator generator_;
  Shape latent_;      // (C, h, w)
  index_t next_ = 0;  // the picture whose noise comes next
};

/// Pictures in a batch: 1 for solvers that choose their steps or iterations for the whole batch, so
/// that a picture does not depend on the others.
index_t batch_of(const GenerateOptions& options, const ModelConfig& config) {
  const OdeSolver solver = options.solver.value_or(config.sampling.solver);
  const bool deterministic = options.kind.value_or(config.sampling.kind) == SamplerKind::ode;
  if (deterministic && (solver.is_adaptive() || solver == OdeSolver(Solver::implicit_adams)))
    return 1;
  const Shape latent = config.latent_shape();
  return options.batch_size > 0 ? options.batch_size : detail::default_batch(latent[1] * latent[2]);
}

/// A checksum of the configuration, the latent statistics, and these networks.
std::string fingerprint_of(const ModelFiles& files,
                           std::initializer_list<const std::optional<TensorGroup>*> parts) {
  std::uint32_t sum = detail::crc32_of(as_byte_span(to_config(files.config).to_json()));
  const auto add = [&](std::span<const std::byte> bytes) { sum = detail::crc32_of(bytes, sum); };
  for (const Tensor<float>* statistic : {&files.latent_norm.mean, &files.latent_norm.var})
    if (!statistic->empty()) add(std::as_bytes(statistic->span()));
  for (const auto* part : parts) {
    if (!*part) continue;
    const TensorSource& source = (*part)->tensors;
    std::vector<std::string> names = source.names();
    std::sort(names.begin(), names.end());
    for (const auto& name : names) {
      const TensorInfo& info = source.info(name);
      add(as_byte_span(concat(name, " ", name_of(info.dtype), " ", info.shape, " ",
                              source.sampled_checksum(name), "\n")));
    }
  }
  char text[12];
  std::snprintf(text, sizeof text, "%08x", sum);
  return text;
}

/// A part of a set, opened from its file.
struct Part {
  std::string path;
  NpzFile file;
  View<const std::uint8_t> pixels;  // (n, H, W, channels)
  Tensor<std::int64_t> labels;      // (n)
  std::map<std::string, std::string> settings;
  Shard shard;
};

Part open_part(const std::string& path) {
  auto file = NpzFile::open(path);
  const auto pixels = file.mapped("arr_0", true);
  const auto text = file.text("settings.json");
  if (!text || !pixels || pixels->shape().rank() != 4)
    raise<FormatError>(path, ": is not a part written by `rae generate --shard`");
  std::map<std::string, std::string> settings;
  const ConfigNode node = ConfigNode::parse_json(*text, path);
  for (const auto& [key, value] : node.members()) settings[key] = value.as_string();
  const auto shard = settings.find(kShard);
  if (shard == settings.end())
    raise<FormatError>(path, ": is a whole set of samples, not a part of one");
  const Shard which = parse_shard(shard->second);
  settings.erase(shard);
  Part part{path, file, *pixels, file.read<std::int64_t>("arr_1"), std::move(settings), which};
  require_shape(path, part.labels.shape(), Shape{pixels->extent(0)});
  return part;
}

}  // namespace

Shard parse_shard(const std::string& text) {
  constexpr std::uint64_t kMost = 100000;
  const std::size_t slash = text.find('/');
  if (slash != std::string::npos) {
    const auto index = whole_number(std::string_view(text).substr(0, slash)),
               count = whole_number(std::string_view(text).substr(slash + 1));
    if (index && count && *index >= 1 && *index <= *count && *count <= kMost)
      return {static_cast<index_t>(*index), static_cast<index_t>(*count)};
  }
  throw UsageError(concat("--shard: expected I/N with I from 1 to N and N of at most ", kMost,
                          ", for example 1/4 to 4/4, got '", text, "'"));
}

LabelSampling BulkChoice::labels() const {
  if (!label_sampling) return LabelSampling::in_turn;
  try {
    return parse_label_sampling(*label_sampling);
  } catch (const ArgumentError&) {
    throw UsageError(
        concat("--label-sampling: expected equal, random or in-turn, got '", *label_sampling, "'"));
  }
}

void add_bulk_options(CLI::App& command, BulkChoice& choice) {
  command
      .add_option("--label-sampling", choice.label_sampling,
                  "how the classes of the pictures are chosen: equal (the same number of each, in "
                  "random order), random, or in-turn (default)")
      ->type_name("KIND");
  command
      .add_option("--shard", choice.shard,
                  "generate only part I of N (1/N to N/N), as an .npz file")
      ->type_name("I/N");
  command.add_option("--join", choice.join, "join these parts into --out; generates nothing")
      ->type_name("FILE...");
}

std::vector<std::int64_t> choose_labels(LabelSampling sampling, index_t count,
                                        std::span<const std::int64_t> classes, std::uint64_t seed,
                                        Rng rng) {
  if (rng == Rng::philox) return sample_labels(sampling, count, classes, seed);
  TorchCpuGenerator generator(seed);
  return sample_labels(sampling, count, classes, generator);
}

std::string fingerprint(const ModelFiles& files) {
  return fingerprint_of(files, {&files.decoder, &files.dit, &files.guide});
}

std::string autoencoder_fingerprint(const ModelFiles& files) {
  return fingerprint_of(files, {&files.encoder, &files.decoder});
}

std::string sample_to_npz(const Generator& generator, const GenerateOptions& options,
                          const BulkSampling& bulk) {
  const auto pictures = static_cast<index_t>(options.labels.size());
  const index_t begin = bulk.shard.begin(pictures), count = bulk.shard.end(pictures) - begin;
  if (count < 1)
    raise<ArgumentError>("--shard: ", pictures, " pictures cannot be split into ", bulk.shard.count,
                         " parts");
  const std::span<const std::int64_t> labels =
      std::span(options.labels)
          .subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));

  auto settings = generator.png_text(options, 0);
  for (const char* of_one : {"label", "class", "index"}) settings.erase(of_one);
  settings["count"] = std::to_string(pictures);
  for (const auto& [key, value] : bulk.settings) settings[key] = value;
  if (bulk.rounding == Rounding::truncate) settings["rounding"] = "truncate";
  if (!bulk.shard.whole()) settings[kShard] = bulk.shard.name();

  const auto& config = generator.config();
  if (options.rng == Rng::torch_cpu &&
      options.kind.value_or(config.sampling.kind) == SamplerKind::sde)
    raise<ArgumentError>(
        "--rng torch-cpu: the numbers of a stochastic sampler are drawn for all pictures together; "
        "use philox for .npz files");
  const Shape picture = config.image_shape();  // (channels, H, W)
  const Shape record{picture[1], picture[2], picture[0]};
  Communicator& all = ranks();
  std::optional<NpzStream> stream;  // on rank 0
  index_t before = 0;
  all.on_root([&] {
    stream.emplace(bulk.out,
                   NpzStreamPlan{count, record, {{"arr_1", label_array(labels)}}, settings});
    before = stream->done();
  });
  all.broadcast(std::span(&before, 1));
  // A picture does not depend on its batch, so that every rank can get a share of few pictures.
  const index_t most = std::max<index_t>(
      1, std::min(batch_of(options, config), (count - before + all.size() - 1) / all.size()));
  const auto first_of = [&](index_t batch) { return before + batch * most; };
  const auto size_of = [&](index_t batch) { return std::min(most, count - first_of(batch)); };
  PictureProgress progress(before > 0 ? "continuing" : "sampling", before, count);
  std::optional<TorchNoise> noise;
  if (options.rng == Rng::torch_cpu) noise.emplace(options.seed, config.latent_shape());
  const auto compute = [&](index_t batch) {
    const index_t first = first_of(batch), n = size_of(batch);
    GenerateOptions part = options;
    part.labels.assign(labels.begin() + first, labels.begin() + first + n);
    part.first_index = options.first_index + static_cast<std::uint64_t>(begin + first);
    part.batch_size = most;
    if (noise) part.noise = noise->of(static_cast<index_t>(part.first_index), n);
    part.on_step = [&](const StepInfo& info) {
      // The other ranks are about as far in the batches after this one.
      progress.at_step(first, std::min(n * all.size(), count - first), info.step, info.steps);
      return !interrupted();
    };
    detail::Piece piece;
    try {
      const Tensor<float> pixels =
          generator.decode_pixels(generator.sample_latents(part));  // (b, channels, H, W)
      for (const Image& image : Image::from_batch(pixels, bulk.rounding))
        piece.put(std::span<const std::uint8_t>(image.pixels()));
    } catch (...) {
      // At once, because a launcher that ends its ranks gives them little time.
      if (stream) save_finished(*stream);
      throw;
    }
    return piece;
  };
  constexpr auto kBetweenCheckpoints = std::chrono::seconds(2);
  auto last_checkpoint = std::chrono::steady_clock::now();
  const auto take = [&](index_t, detail::Piece& piece) {
    stream->append(piece.values<std::uint8_t>());
    if (std::chrono::steady_clock::now() - last_checkpoint < kBetweenCheckpoints) return;
    stream->checkpoint();
    last_checkpoint = std::chrono::steady_clock::now();
  };
  try {
    detail::share_in_order(all, (count - before + most - 1) / most, compute, take);
    all.on_root([&] { stream->finish(); });
  } catch (const Cancelled&) {
    progress.clear();
    if (!stream) throw;
    save_finished(*stream);
    raise<Cancelled>("interrupted; ", stream->done(), " of ", count,
                     " pictures are saved; the same command continues after them");
  } catch (...) {
    if (stream) save_finished(*stream);
    throw;
  }
  progress.clear();
  std::string summary = describe_pictures(record, count);
  if (!bulk.shard.whole())
    summary += concat(", part ", bulk.shard.name(), " (", begin, " to ", begin + count - 1, ")");
  if (before > 0) summary += concat(", ", before, " of them from an earlier run");
  return summary;
}

std::string join_shards(const std::vector<std::string>& parts, const std::string& out) {
  std::vector<Part> all;
  for (const auto& path : parts) all.push_back(open_part(path));
  std::sort(all.begin(), all.end(),
            [](const Part& a, const Part& b) { return a.shard.index < b.shard.index; });
  const Part& first = all.front();
  index_t pictures = 0;
  std::vector<std::int64_t> labels;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Part& part = all[i];
    if (part.shard.count != first.shard.count || part.settings != first.settings ||
        !(part.pixels.shape().with(0, 1) == first.pixels.shape().with(0, 1)))
      raise<ArgumentError>("--join: '", part.path, "' and '", first.path,
                           "' are parts of different sets");
    if (part.shard.index < static_cast<index_t>(i) + 1)
      raise<ArgumentError>("--join: '", part.path, "' and '", all[i - 1].path, "' are both part ",
                           part.shard.name());
    if (part.shard.index > static_cast<index_t>(i) + 1)
      raise<ArgumentError>("--join: part ", i + 1, "/", part.shard.count, " is missing");
    pictures += part.pixels.extent(0);
    labels.insert(labels.end(), part.labels.span().begin(), part.labels.span().end());
  }
  if (static_cast<index_t>(all.size()) != first.shard.count)
    raise<ArgumentError>("--join: part ", all.size() + 1, "/", first.shard.count, " is missing");

  const Shape& shape = first.pixels.shape();
  const Shape record{shape[1], shape[2], shape[3]};
  NpzStream stream(out, {pictures, record, {{"arr_1", label_array(labels)}}, first.settings});
  const auto size = static_cast<std::size_t>(record.numel());
  ProgressBar bar("joining");
  index_t skip = stream.done();
  for (const Part& part : all) {
    const index_t n = part.pixels.extent(0);
    constexpr std::size_t kChunk = std::size_t{16} << 20;
    const auto step = static_cast<index_t>(std::max<std::size_t>(1, kChunk / size));
    for (index_t i = std::min(skip, n); i < n; i += step) {
      stop_if_interrupted();
      const auto at = static_cast<std::size_t>(i),
                 some = static_cast<std::size_t>(std::min(step, n - i));
      stream.append({part.pixels.data() + at * size, some * size});
      bar.update(static_cast<double>(stream.done()), static_cast<double>(pictures));
    }
    skip -= std::min(skip, n);
  }
  stream.finish();
  bar.clear();
  return concat(describe_pictures(record, pictures), ", of ",
                plural(static_cast<std::int64_t>(all.size()), "part"));
}

}  // namespace rae::tool
