// Compares two sets of pictures: pairs of pictures by their pixels, and the distributions of
// features that a network computes.
#include "tool/compare.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>

#include "io/suggestion.hpp"
#include "rae/formats/huggingface_encoder.hpp"
#include "rae/formats/official/open.hpp"
#include "rae/generate/features.hpp"
#include "rae/io/config.hpp"
#include "rae/io/file.hpp"
#include "rae/io/npz.hpp"
#include "rae/metrics/frechet.hpp"
#include "rae/metrics/inception_score.hpp"
#include "rae/metrics/precision_recall.hpp"
#include "rae/metrics/psnr.hpp"
#include "rae/metrics/ssim.hpp"
#include "tool/command.hpp"
#include "tool/interrupt.hpp"
#include "tool/model.hpp"
#include "tool/output.hpp"
#include "tool/picture_set.hpp"
#include "tool/progress.hpp"
#include "tool/ranks.hpp"
#include "tool/text.hpp"
#include "train/shared_work.hpp"

namespace rae::tool {
namespace {

const std::vector<std::string> kMetrics{"psnr",      "ssim",   "frechet",
                                        "precision", "recall", "inception-score"};

/// Mean and covariance of the features of a set, given instead of its pictures: arrays "mu" (D) and
/// "sigma" (D, D) of an .npz file.
struct Statistics {
  Tensor<double> mean;        // (D)
  Tensor<double> covariance;  // (D, D)
};

std::optional<Statistics> open_statistics(const std::string& path) {
  if (!has_extension(path, ".npz") && !is_zip_file(path)) return std::nullopt;
  const auto file = NpzFile::open(path);
  if (file.contains("arr_0") || !file.contains("mu") || !file.contains("sigma"))
    return std::nullopt;
  return Statistics{file.read<double>("mu"), file.read<double>("sigma")};
}

FeatureExtractor open_extractor(const Comparison& c) {
  const std::string wanted = !c.features.empty()           ? c.features
                             : c.inception_weights.empty() ? kDefaultModel
                                                           : "inception";
  if (wanted == "inception") {
    if (c.inception_weights.empty())
      throw UsageError(
          "--features inception: --inception-weights must name the weights "
          "(pt_inception-2015-12-05-6726825d.pth)");
    return FeatureExtractor::inception(TensorSource::open(c.inception_weights));
  }
  if (!c.inception_weights.empty())
    throw UsageError("--inception-weights: --features names another network");
  if (std::filesystem::is_directory(wanted))
    return FeatureExtractor::encoder(open_encoder_folder(wanted), wanted);
  if (has_extension(wanted, ".yaml") || has_extension(wanted, ".yml"))
    return FeatureExtractor::encoder(open_official(
        wanted, {.models_dir = c.models_dir, .decoder = false, .dit = false, .guide = false}));
  return FeatureExtractor::encoder(ModelFiles::open(model_path(wanted)));
}

/// One comparison; the member functions add to the report in the order of the printed table.
class Comparer {
 public:
  explicit Comparer(const Comparison& c) : c_(c) {
    for (const auto& name : c.metrics) {
      if (std::find(kMetrics.begin(), kMetrics.end(), name) == kMetrics.end())
        throw UsageError(
            concat("--metrics: unknown metric '", name, "'", detail::suggestion(name, kMetrics)));
      wanted_.insert(name);
    }
    if (wants("psnr") || wants("ssim")) {
      if (!c.paired && !c.metrics.empty())
        throw UsageError("--metrics: psnr and ssim compare pairs of pictures; add --paired");
    }
  }

  void run() {
    const InterruptScope reacts([this] { bar_.tick(); });
    std::optional<Statistics> statistics;
    ranks().agree([&] {
      statistics = open_statistics(c_.reference);
      const ImageOptions options{.exif = !c_.ignore_exif};
      pictures_.emplace(PictureSet::open(c_.pictures, options));
      if (!statistics) reference_.emplace(PictureSet::open(c_.reference, options));
    });
    for (const auto& [path, pictures] :
         {std::pair(&c_.pictures, &pictures_), std::pair(&c_.reference, &reference_)})
      require_same_on_all_ranks(*path, [&, &pictures = pictures] {
        return *pictures ? plural((*pictures)->size(), "picture") : std::string("statistics");
      });
    set("pictures", pictures_->size());
    if (reference_) set("reference pictures", reference_->size());
    if (statistics && c_.paired)
      throw UsageError("--paired: '" + c_.reference + "' holds statistics, not pictures");
    if (c_.paired) pairs();
    if (any({"frechet", "precision", "recall", "inception-score"})) distributions(statistics);
    bar_.clear();
    if (!ranks().is_root()) return;
    if (!c_.out.empty()) write_file_atomically(c_.out, ConfigNode::map(report_).to_json(2) + "\n");
    constexpr std::size_t kWidth = 20;
    for (const auto& [label, value] : table_)
      c_.print(label + std::string(label.size() < kWidth ? kWidth - label.size() : 0, ' ') + " " +
               value);
    for (const auto& note : notes_) c_.print(note);
  }

 private:
  /// True if the metric was requested, or if no metric was named.
  [[nodiscard]] bool wants(const std::string& name) const {
    return wanted_.empty() || wanted_.contains(name);
  }
  [[nodiscard]] bool any(std::initializer_list<const char*> names) const {
    return std::any_of(names.begin(), names.end(),
                       [this](const char* name) { return wants(name); });
  }

  void set(const std::string& label, index_t count) {
    report_.emplace_back(key(label), count);
    table_.emplace_back(label, format_count(count));
  }
  void set(const std::string& label, double value, int decimals, const std::string& unit = "") {
    report_.emplace_back(key(label), value);
    table_.emplace_back(label, format_fixed(value, decimals) + unit);
  }
  static std::string key(std::string label) {
    for (char& c : label)
      c = c == ' ' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return label;
  }

  void progress(index_t done, index_t total) {
    stop_if_interrupted();
    bar_.update(static_cast<double>(done), static_cast<double>(total), concat(done, "/", total));
  }

  /// PSNR and SSIM, each the mean over the pairs.
  void pairs() {
    const PictureSet &a = *pictures_, &b = *reference_;
    if (a.size() != b.size())
      raise<ArgumentError>("--paired: ", c_.pictures, " has ", a.size(), " pictures and ",
                           c_.reference, " has ", b.size());
    if (!a.stems().empty() && !b.stems().empty())
      for (std::size_t i = 0; i < a.stems().size(); ++i)
        if (a.stems()[i] != b.stems()[i])
          raise<ArgumentError>("--paired: '", a.where(static_cast<index_t>(i)), "' and '",
                               b.where(static_cast<index_t>(i)),
                               "' have different names; the pictures of a pair need the same name");
    if (!any({"psnr", "ssim"})) return;
    bar_.begin("pairs");
    double psnr_sum = 0, ssim_sum = 0;
    bool small = false;
    constexpr index_t kBatch = 64;
    const auto count_of = [&](index_t batch) {
      return std::min(kBatch, a.size() - batch * kBatch);
    };
    // PSNR, SSIM, and 1 for pictures that are too small for SSIM.
    const auto compute = [&](index_t batch) {
      const index_t first = batch * kBatch, count = count_of(batch);
      const auto left = a.read(first, count), right = b.read(first, count);
      std::vector<double> values;
      bool no_ssim = false;
      for (std::size_t i = 0; i < left.size(); ++i) {
        const Image &x = left[i], &y = right[i];
        if (x.width() != y.width() || x.height() != y.height() || x.channels() != y.channels())
          raise<ArgumentError>("--paired: '", a.where(first + static_cast<index_t>(i)), "' has ",
                               x.width(), " x ", x.height(), " x ", x.channels(), " samples and '",
                               b.where(first + static_cast<index_t>(i)), "' has ", y.width(), " x ",
                               y.height(), " x ", y.channels());
        const Shape shape{1, x.height(), x.width(), x.channels()};
        const View<const std::uint8_t> p(x.pixels().data(), shape), q(y.pixels().data(), shape);
        no_ssim = no_ssim || std::min(x.width(), x.height()) < 6;
        const bool both = wants("ssim") && !no_ssim;
        for (const double value :
             {psnr(p, q), both ? ssim(channels_first(p), channels_first(q)) : 0.0,
              no_ssim ? 1.0 : 0.0})
          values.push_back(value);
      }
      progress(first + count, a.size());
      detail::Piece piece;
      piece.put(std::span<const double>(values));
      return piece;
    };
    const auto take = [&](index_t batch, detail::Piece& piece) {
      for (index_t i = 0; i < count_of(batch); ++i) {
        const std::vector<double> values = piece.get<double>(3);
        psnr_sum += values[0];
        ssim_sum += values[1];
        small = small || values[2] != 0;
      }
    };
    detail::share_in_order(ranks(), (a.size() + kBatch - 1) / kBatch, compute, take);
    const auto n = static_cast<double>(a.size());
    if (wants("psnr")) set("PSNR", psnr_sum / n, 2, " dB");
    if (!wants("ssim")) return;
    if (small)
      notes_.emplace_back("SSIM is not computed: it needs pictures of at least 6 x 6 pixels.");
    else
      set("SSIM", ssim_sum / n, 4);
  }

  /// Features (N, D) of all pictures of a set, on rank 0.
  Tensor<float> features_of(const PictureSet& set, const FeatureExtractor& network,
                            const std::string& label) {
    bar_.begin(label);
    const index_t batch = network.batch_size();
    Tensor<float> out(Shape{set.size(), network.dimension()});  // (N, D)
    float* target = out.data();
    const auto compute = [&](index_t i) {
      const index_t first = i * batch, count = std::min(batch, set.size() - first);
      const Tensor<float> part = network(set.read(first, count));  // (b, D)
      progress(first + count, set.size());
      detail::Piece piece;
      piece.put(part.span());
      return piece;
    };
    const auto take = [&](index_t, detail::Piece& piece) {
      const std::size_t count = piece.bytes().size() / sizeof(float);
      piece.get(std::span(target, count));
      target += count;
    };
    detail::share_in_order(ranks(), (set.size() + batch - 1) / batch, compute, take);
    return out;
  }

  /// Metrics of the two distributions of features.
  void distributions(const std::optional<Statistics>& statistics) {
    const bool manifolds = any({"precision", "recall"}) && reference_.has_value();
    if (!reference_ && !wanted_.empty() && any({"precision", "recall"}))
      throw UsageError("--metrics: precision and recall need pictures, but '" + c_.reference +
                       "' holds statistics");
    const index_t least =
        std::min(pictures_->size(), reference_ ? reference_->size() : pictures_->size());
    if (manifolds && least <= c_.neighbours)
      raise<ArgumentError>("precision and recall use ", c_.neighbours,
                           " neighbours, but a set has only ", plural(least, "picture"),
                           "; choose other metrics (--metrics frechet) or a smaller --neighbours");
    if (wants("frechet") && least < 2)
      raise<ArgumentError>("the Frechet distance needs at least two pictures in each set");
    std::optional<FeatureExtractor> opened;
    ranks().agree([&] {
      opened.emplace(open_extractor(c_));
      if (!opened->is_inception() && wanted_.contains("inception-score"))
        throw UsageError("--metrics inception-score: needs --inception-weights FILE");
    });
    const FeatureExtractor& network = *opened;
    report_.emplace_back("features", network.name());
    table_.emplace_back("features",
                        printable(concat(network.name(), ", ", network.dimension(), " numbers")));

    const Tensor<float> a = features_of(*pictures_, network, "features of A");  // (N, D)
    const Tensor<float> b = reference_ ? features_of(*reference_, network, "features of B")
                                       : Tensor<float>();  // (M, D)
    bar_.clear();
    ranks().on_root([&] { measure(a, b, statistics, network); });
    if (least <= network.dimension())
      notes_.push_back(concat("The Frechet distance is unreliable with ", least, " pictures and ",
                              network.dimension(),
                              " features; 10,000 pictures or more are usual."));
  }

  /// Metrics of features a (N, D) and b (M, D), or `statistics` instead of b.
  void measure(const Tensor<float>& a, const Tensor<float>& b,
               const std::optional<Statistics>& statistics, const FeatureExtractor& network) {
    const bool manifolds = any({"precision", "recall"}) && reference_.has_value();
    if (wants("frechet")) {
      bar_.begin("Frechet distance");
      frechet(a, b, statistics);
    }
    if (manifolds) {
      bar_.begin("precision and recall");
      const PrecisionRecall result = precision_recall(a.view(), b.view(), c_.neighbours);
      if (wants("precision")) set("precision", result.precision, 4);
      if (wants("recall")) set("recall", result.recall, 4);
    }
    if (network.is_inception() && wants("inception-score")) {
      const Tensor<float> logits = network.logits(a);  // (N, classes)
      const InceptionScore score =
          inception_score(logits.view(), std::min<index_t>(10, a.extent(0)));
      set("inception score", score.mean, 3);
      report_.emplace_back("inception_score_deviation", score.deviation);
      table_.back().second += " +- " + format_fixed(score.deviation, 3);
    }
  }

  /// Frechet distance between features a (N, D) and b (M, D), or `given` statistics instead of b.
  void frechet(const Tensor<float>& a, const Tensor<float>& b,
               const std::optional<Statistics>& given) {
    FeatureStatistics first(a.extent(1));
    first.update(a.view());
    if (!given) {
      FeatureStatistics second(b.extent(1));
      second.update(b.view());
      return set("Frechet distance", frechet_distance(first, second), 4);
    }
    if (!(given->mean.shape() == Shape{a.extent(1)}))
      raise<FormatError>(c_.reference, ": statistics of ", given->mean.shape(),
                         " features do not fit the ", a.extent(1), " of the network");
    set("Frechet distance",
        frechet_distance(first.mean(), first.covariance(), given->mean, given->covariance), 4);
  }

  const Comparison& c_;
  std::set<std::string> wanted_;
  std::optional<PictureSet> pictures_, reference_;
  ProgressBar bar_{""};
  ConfigNode::Map report_;
  std::vector<std::pair<std::string, std::string>> table_;
  std::vector<std::string> notes_;
};

}  // namespace

void compare(const Comparison& comparison) { Comparer(comparison).run(); }

std::string metric_names() {
  std::string out;
  for (const auto& name : kMetrics) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace rae::tool
