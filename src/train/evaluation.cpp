#include "rae/train/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "rae/core/owner.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/random.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/io/file.hpp"
#include "rae/metrics/linear_probe.hpp"
#include "rae/metrics/psnr.hpp"
#include "rae/metrics/ssim.hpp"
#include "rae/train/classifier_score.hpp"
#include "train/batched_score.hpp"
#include "train/sample_rows.hpp"

namespace rae {

namespace {

using Data = OwnedPointer<const ImageDataset>;

constexpr index_t kBatch = 500;  // pictures of up to 64 x 64 at a time
constexpr index_t kBaseBlock =
    10000;                        // training pictures among which neighbours are sought at a time
constexpr index_t kNearest = 4;   // neighbours in the picture
constexpr index_t kGridRows = 8;  // of originals and reconstructions

/// Pictures of a set: all in their order, or some of them by chance, so that sets in the order of
/// their classes are represented.
struct Selection {
  const ImageDataset& data;
  index_t count;                // how many of them
  std::vector<index_t> chosen;  // empty: all

  explicit Selection(const ImageDataset& set) : data(set), count(set.size()) {}
  Selection(const ImageDataset& set, index_t wanted)
      : data(set), count(std::min(wanted, set.size())) {
    if (count == set.size()) return;
    chosen.resize(static_cast<std::size_t>(set.size()));
    std::iota(chosen.begin(), chosen.end(), index_t{0});
    const Philox random(0);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count);
         ++i)  // Fisher and Yates, as far as needed
      std::swap(chosen[i], chosen[i + random.below(i, chosen.size() - i)]);
    chosen.resize(static_cast<std::size_t>(count));
  }

  [[nodiscard]] index_t index(index_t i) const {
    return chosen.empty() ? i : chosen[static_cast<std::size_t>(i)];
  }

  /// (n, C, H, W)
  [[nodiscard]] Tensor<float> pictures(index_t first, index_t n) const {
    Tensor<float> out(Shape{n, data.channels(), data.height(), data.width()});
    const auto size = static_cast<std::size_t>(data.image_size());
    float* target = out.data();
    parallel_for(n, 8, [&](index_t i) {
      data.image(index(first + i), {target + static_cast<std::size_t>(i) * size, size});
    });
    return out;
  }

  [[nodiscard]] std::vector<std::int64_t> labels(index_t first, index_t n) const {
    std::vector<std::int64_t> out;
    for (index_t i = first; i < first + n; ++i) out.push_back(data.label(index(i)));
    return out;
  }
};

/// 8-bit pictures as (N, C, H, W).
Tensor<float> as_tensor(std::span<const Image> images) {
  Tensor<float> out;  // (N, C, H, W)
  index_t offset = 0;
  for (const Image& image : images) {
    const Tensor<float> one = image.to_tensor();  // (1, C, H, W)
    if (out.empty()) out = Tensor<float>(one.shape().with(0, static_cast<index_t>(images.size())));
    std::copy_n(one.data(), one.numel(), out.data() + offset);
    offset += one.numel();
  }
  return out;
}

/// All samples of pictures, one picture after the other.
std::vector<std::uint8_t> samples_of(std::span<const Image> images) {
  std::vector<std::uint8_t> out;
  for (const Image& image : images)
    out.insert(out.end(), image.pixels().begin(), image.pixels().end());
  return out;
}

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The parts of an evaluation share these. The ranks share each batch of pictures; rank 0 adds the
/// results in order, and has the report.
class Evaluation {
 public:
  Evaluation(Communicator& ranks, const Bundle& bundle, Data train, Data test,
             const EvaluationOptions& options)
      : ranks_(ranks),
        options_(options),
        config_(bundle.config),
        train_(std::move(train)),
        test_(std::move(test)) {
    check();
    constexpr index_t kPixels = 64 * 64, kFewest = 8;
    batch_ = std::clamp(kBatch * kPixels / (test_->height() * test_->width()), kFewest, kBatch);
    if (bundle.has(NetworkRole::encoder) && bundle.has("decoder."))
      autoencoder_.emplace(bundle, load_options());
    if (bundle.has("dit.") && bundle.has("decoder.")) generator_.emplace(bundle, load_options());
    if (!autoencoder_ && !generator_)
      raise<ConfigError>(
          bundle.origin,
          ": has no decoder, or neither encoder nor DiT; there is nothing to evaluate");
    if (generator_ && generator_->num_classes() != classes())
      raise<ConfigError>("evaluate: the model has ", generator_->num_classes(),
                         " classes, the data set ", classes());
    if (generator_) require_equal_labels();
  }

  EvaluationReport run() {
    report_.model = config_.name;
    report_.dtype = name_of(options_.dtype, options_.layer_types);
    report_.train_pictures = train_->size();
    report_.test_pictures = test_->size();
    report_.class_names = test_->class_names();
    if (generator_ && (options_.samples > 0 || guided_count() > 0)) judge_samples();
    if (autoencoder_) {
      reconstruct();
      write_report();
    }
    if (autoencoder_ && options_.probes) probe();
    write_report();
    return std::move(report_);
  }

 private:
  [[nodiscard]] LoadOptions load_options() const {
    if (!options_.layer_types.empty()) return {.layer_types = options_.layer_types};
    return {.dtype = options_.dtype};
  }

  void check() const {
    const EvaluationOptions& o = options_;
    if (!train_ || !test_ || train_->size() < 2 || test_->size() < 2)
      raise<ArgumentError>("evaluate: expected at least two training and two test pictures");
    for (const index_t count : {o.samples, o.guided_samples, o.steps, o.neighbour_rows,
                                o.neighbour_queries, o.probe_pictures})
      if (count < 0)
        raise<ArgumentError>("evaluate: expected numbers of pictures and steps of at least 0, got ",
                             count);
    for (const index_t count : {o.samples, o.guided_samples})
      if (count == 1)
        raise<ArgumentError>("evaluate: the Frechet distance needs at least two samples");
    if (ranks_.is_root() && !o.folder.empty() && !std::filesystem::is_directory(o.folder))
      raise<FileError>(o.folder, ": is not a folder");
    const Shape expected = config_.image_shape();
    for (const Data& data : {train_, test_})
      if (const Shape got{data->channels(), data->height(), data->width()}; !(got == expected))
        raise<ConfigError>("evaluate: the model '", config_.name, "' works on pictures ", expected,
                           " (C, H, W), the data set has ", got);
    if (train_->class_names() != test_->class_names())
      raise<ConfigError>("evaluate: training and test set have different classes (",
                         train_->class_names().size(), " and ", test_->class_names().size(), ")");
  }

  /// A class of model and data must have the same label in both. Names that only one of them has
  /// say nothing about labels.
  void require_equal_labels() const {
    const auto& names = config_.class_names;
    const auto& found = test_->class_names();
    for (std::size_t k = 0; k < names.size(); ++k)
      if (const auto at = std::find(found.begin(), found.end(), names[k]);
          at != found.end() && at - found.begin() != static_cast<std::ptrdiff_t>(k))
        raise<ConfigError>("evaluate: the class '", names[k], "' has label ", k,
                           " in the model and ", at - found.begin(),
                           " in the data set; were class folders renamed after the training?");
  }

  [[nodiscard]] index_t classes() const {
    return static_cast<index_t>(test_->class_names().size());
  }
  [[nodiscard]] std::string file(const char* name) const {
    return (std::filesystem::path(options_.folder) / name).string();
  }
  /// Writes everything that was measured so far, so that an interruption does not lose it.
  void write_report() {
    if (options_.folder.empty()) return;
    ranks_.on_root([&] {
      write_file_atomically(file("evaluation.json"), to_config(report_).to_json(2) + "\n");
      write_file_atomically(file("evaluation.txt"), to_text(report_));
    });
  }

  [[nodiscard]] index_t guided_count() const {
    return generator_ && config_.has_null_class() ? options_.guided_samples : 0;
  }

  void tell(const char* part, index_t done, index_t total) const {
    if (options_.on_progress && !options_.on_progress({part, done, total}))
      raise<Cancelled>("evaluate: stopped while measuring ", part);
  }

  /// Calls `compute(begin, n)` for parts of [0, total), each on one rank, and gives the results to
  /// `take(begin, n, piece)` on rank 0, in order. The parts are batches, divided among the ranks
  /// unless `whole`.
  void in_parts(index_t total, const Function<detail::Piece(index_t, index_t)>& compute,
                const Function<void(index_t, index_t, detail::Piece&)>& take, bool whole = false) {
    std::vector<RankPart> parts;
    const int ranks = whole ? 1 : ranks_.size();
    for (index_t begin = 0; begin < total; begin += batch_)
      for (int r = 0; r < ranks; ++r) {
        const RankPart part = part_of(std::min(batch_, total - begin), r, ranks);
        if (part.count() > 0) parts.push_back({begin + part.begin, begin + part.end});
      }
    const auto at = [&](index_t i) { return parts[static_cast<std::size_t>(i)]; };
    detail::share_in_order(
        ranks_, static_cast<index_t>(parts.size()),
        [&](index_t i) { return compute(at(i).begin, at(i).count()); },
        [&](index_t i, detail::Piece& piece) { take(at(i).begin, at(i).count(), piece); });
  }

  /// The classifier's opinion of real pictures, on rank 0.
  [[nodiscard]] ClassifierScore score_of(const Classifier<Tensor<float>>& classifier,
                                         const Selection& real, const char* part) {
    ClassifierScore score(classifier);
    detail::BatchedScore batches(score, batch_, real.count);
    in_parts(
        real.count,
        [&](index_t begin, index_t n) {
          tell(part, begin, real.count);
          detail::Piece piece;
          detail::put(score.judge(real.pictures(begin, n)), piece);
          return piece;
        },
        [&](index_t begin, index_t n, detail::Piece& piece) {
          batches.add(piece, real.labels(begin, n));
        });
    return score;
  }

  /// The classifier on every rank, trained or read by rank 0: trained by all, its weights and the
  /// report would depend on the number of ranks.
  [[nodiscard]] Classifier<Tensor<float>> classifier_of_root(const ClassifierOptions& how) {
    const OnTrainingProgress on_training = [this](const TrainingProgress& p) {
      tell("classifier", p.step, p.steps);
      return true;
    };
    Classifier<Tensor<float>> classifier(classifier_config(*train_, how));
    detail::Piece weights;
    ranks_.on_root([&] {
      classifier = options_.folder.empty() ? train_classifier(train_, how, on_training)
                                           : cached_classifier(file("classifier.safetensors"),
                                                               train_, how, on_training);
      classifier.parameters([&](const std::string&, auto& p) { weights.put_tensor(p.tensor()); });
    });
    weights.broadcast(ranks_);
    if (!ranks_.is_root())
      classifier.parameters(
          [&](const std::string&, auto& p) { p.set(weights.get_tensor<float>()); });
    return classifier;
  }

  /// Writes the first rows that a PNG can hold; nothing if not even one row fits.
  void save(const char* name, std::span<const Image> images, index_t columns) const {
    if (options_.folder.empty() || images.empty()) return;
    auto count = static_cast<index_t>(images.size());
    const index_t width = images[0].width(), height = images[0].height();
    while (count > columns && !Image::grid_fits(count, columns, width, height))
      count = (count - 1) / columns * columns;
    if (Image::grid_fits(count, columns, width, height))
      Image::grid(images.first(static_cast<std::size_t>(count)), columns)
          .save_png(file(name), {{"model", config_.name}});
  }

  void judge_samples() {
    ClassifierOptions how = options_.classifier;
    how.training.log_every = 1;  // so that an interruption is noticed after each step
    const Classifier<Tensor<float>> classifier = classifier_of_root(how);
    const ClassifierScore real = score_of(classifier, Selection(*test_),
                                          options_.samples > 0 ? "samples" : "guided samples");
    if (ranks_.is_root()) {
      report_.classifier_accuracy = real.accuracy();
      report_.classifier_by_class = real.accuracy_by_class();
    }

    Cfg guidance = config_.sampling.guidance;
    if (guidance.scale == 1.0f) guidance = {.scale = 1.5f};
    Tensor<float> queries;  // (N, C, H, W)
    if (options_.samples > 0)
      report_.unguided =
          judge(classifier, real, {}, options_.samples, "samples", "samples.png", queries);
    write_report();
    if (guided_count() > 0)
      report_.guided = judge(classifier, real, options_.guidance.value_or(guidance), guided_count(),
                             "guided samples", "samples_guided.png", queries);
    write_report();
    if (options_.neighbour_queries > 0) ranks_.on_root([&] { find_neighbours(queries); });
    write_report();
  }

  /// Samples and their score. `queries` receives those whose neighbours are sought, when it is
  /// still empty.
  SampleQuality judge(const Classifier<Tensor<float>>& classifier, const ClassifierScore& real,
                      const Cfg& guidance, index_t total, const char* part, const char* png,
                      Tensor<float>& queries) {
    ClassifierScore score(classifier);
    detail::SampleRows shown(classes());
    std::vector<Image> kept;
    const bool keep = queries.empty();
    const index_t wanted = std::max(options_.neighbour_queries, options_.neighbour_rows);
    const auto label_of = [&](index_t i) { return i % classes(); };
    const auto compute = [&](index_t begin, index_t count) {
      GenerateOptions how;
      how.seed = options_.seed;
      how.first_index = static_cast<std::uint64_t>(begin);
      how.steps = options_.steps;
      how.guidance = guidance;
      how.reuse_error = options_.reuse_error;
      for (index_t i = 0; i < count; ++i) how.labels.push_back(label_of(begin + i));
      how.on_step = [&](const StepInfo& info) {
        tell(part, begin + count * info.step / info.steps, total);
        return true;
      };
      const std::vector<Image> images = generator_->sample(how);
      detail::Piece piece;
      detail::put(score.judge(as_tensor(images)), piece);
      for (const Image& image : images) piece.put(image.pixels());
      return piece;
    };
    const Shape picture = config_.image_shape();  // (channels, H, W)
    detail::BatchedScore batches(score, batch_, total);
    const auto take = [&](index_t begin, index_t count, detail::Piece& piece) {
      std::vector<std::int64_t> labels;
      for (index_t i = begin; i < begin + count; ++i) labels.push_back(label_of(i));
      batches.add(piece, labels);
      for (const std::int64_t label : labels) {
        Image image(picture[2], picture[1], static_cast<int>(picture[0]));
        piece.get(image.pixels());
        shown.add(image, label);
        if (keep && static_cast<index_t>(kept.size()) < wanted) kept.push_back(std::move(image));
      }
    };
    // Adaptive solvers choose their steps for all pictures of a batch.
    const OdeSolver solver = config_.sampling.solver;
    in_parts(total, compute, take,
             solver.is_adaptive() || solver == OdeSolver(Solver::implicit_adams));
    ranks_.on_root([&] {
      save(png, shown.pictures(), shown.columns());
      if (keep) queries = as_tensor(kept);
    });
    // The distance falls with the number of pictures, so the training set is measured with as many.
    const ClassifierScore train = score_of(classifier, Selection(*train_, total), part);
    SampleQuality out;
    ranks_.on_root([&] {
      out.guidance = guidance;
      out.count = total;
      out.steps = options_.steps > 0 ? options_.steps : config_.sampling.steps;
      out.class_consistency = score.accuracy();
      out.by_class = score.accuracy_by_class();
      out.frechet_distance = frechet_distance(score.features(), real.features());
      out.training_frechet_distance = frechet_distance(train.features(), real.features());
    });
    return out;
  }

  /// The nearest training pictures of pictures (Q, C, H, W), nearest first, without holding the
  /// training set.
  Neighbours nearest_training(const Tensor<float>& queries, index_t k, index_t done,
                              index_t total) const {
    const Selection train(*train_);
    const index_t n = train.count, count = queries.extent(0), size = train_->image_size();
    using Found = std::vector<std::pair<float, std::int64_t>>;
    std::vector<Found> found(static_cast<std::size_t>(count));
    for (index_t begin = 0; begin < n; begin += kBaseBlock) {
      tell("neighbours", done + begin, total);
      const index_t block = std::min(kBaseBlock, n - begin);
      const Tensor<float> base = train.pictures(begin, block).reshaped({block, size});
      const Neighbours near = nearest_neighbours(queries.reshaped({count, size}), base,
                                                 std::min(k, block), Distance::euclidean);
      for (index_t i = 0; i < near.indices.numel(); ++i)
        found[static_cast<std::size_t>(i / near.indices.extent(1))].emplace_back(
            near.distances[i], begin + near.indices[i]);
    }
    Neighbours out{Tensor<std::int64_t>(Shape{count, k}), Tensor<float>(Shape{count, k})};
    for (index_t q = 0; q < count; ++q) {
      Found& all = found[static_cast<std::size_t>(q)];
      std::sort(all.begin(), all.end());
      for (index_t j = 0; j < k; ++j) {
        out.distances[q * k + j] = all[static_cast<std::size_t>(j)].first;
        out.indices[q * k + j] = all[static_cast<std::size_t>(j)].second;
      }
    }
    return out;
  }

  void find_neighbours(const Tensor<float>& samples) {
    const index_t total = 2 * train_->size(), k = std::min(kNearest, train_->size());
    const Neighbours near = nearest_training(samples, k, 0, total);
    std::vector<Image> images;
    NeighbourQuality out;
    for (index_t i = 0; i < std::min(options_.neighbour_rows, samples.extent(0)); ++i) {
      const index_t size = train_->image_size();
      images.push_back(Image::from_tensor(
          Tensor<float>(Shape{train_->channels(), train_->height(), train_->width()},
                        samples.span().subspan(static_cast<std::size_t>(i * size),
                                               static_cast<std::size_t>(size)))));
      for (index_t j = 0; j < k; ++j)
        images.push_back(
            Image::from_batch(Selection(*train_).pictures(near.indices[i * k + j], 1)).front());
      out.rows.push_back(static_cast<double>(near.distances[i * k]));
    }
    save("neighbours.png", images, k + 1);

    out.queries = std::min({samples.extent(0), options_.neighbour_queries, test_->size()});
    const Neighbours real = nearest_training(
        Selection(*test_, out.queries).pictures(0, out.queries), 1, train_->size(), total);
    std::vector<double> from_samples, from_test;
    for (index_t i = 0; i < out.queries; ++i) {
      from_samples.push_back(static_cast<double>(near.distances[i * k]));
      from_test.push_back(static_cast<double>(real.distances[i]));
    }
    out.samples_mean = mean(from_samples);
    out.samples_least = *std::min_element(from_samples.begin(), from_samples.end());
    out.test_mean = mean(from_test);
    out.test_least = *std::min_element(from_test.begin(), from_test.end());
    report_.neighbours = std::move(out);
    tell("neighbours", total, total);
  }

  void reconstruct() {
    const Selection test(*test_);
    const index_t n = test.count;
    const Shape picture = config_.image_shape();                      // (C, H, W)
    const bool large_enough = std::min(picture[1], picture[2]) >= 6;  // for the window of SSIM
    std::vector<double> psnrs, ssims;
    const auto compute = [&](index_t begin, index_t count) {
      const Tensor<float> images = test.pictures(begin, count);  // (count, C, H, W)
      const std::vector<Image> originals = Image::from_batch(images),
                               copies = autoencoder_->decode(autoencoder_->encode(images));
      const std::vector<std::uint8_t> expected = samples_of(originals), actual = samples_of(copies);
      const Shape shape{count, picture[1], picture[2], picture[0]};
      const View<const std::uint8_t> a(actual.data(), shape), e(expected.data(), shape);
      detail::Piece piece;
      piece.put(std::span<const double>(psnr_per_image(a, e)));
      if (large_enough)
        piece.put(std::span<const double>(ssim_per_image(channels_first(a), channels_first(e))));
      tell("reconstruction", begin + count, n);
      return piece;
    };
    const auto take = [&](index_t, index_t count, detail::Piece& piece) {
      for (std::vector<double>* values : {&psnrs, large_enough ? &ssims : nullptr})
        if (values != nullptr)
          for (const double value : piece.get<double>(static_cast<std::size_t>(count)))
            values->push_back(value);
    };
    in_parts(n, compute, take);
    ranks_.on_root([&] {
      report_.reconstruction = {mean(psnrs), large_enough ? mean(ssims) : 0.0};
      show_reconstructions();
    });
  }

  /// Rows of originals above rows of their reconstructions.
  void show_reconstructions() const {
    const index_t columns = std::min<index_t>(10, test_->size()),
                  rows = std::min(kGridRows / 2, test_->size() / columns);
    const Selection chosen(*test_, columns * rows);
    std::vector<Image> shown;
    for (index_t row = 0; row < rows; ++row) {
      const Tensor<float> images = chosen.pictures(row * columns, columns);  // (columns, C, H, W)
      for (Image& image : Image::from_batch(images)) shown.push_back(std::move(image));
      for (Image& image : autoencoder_->decode(autoencoder_->encode(images)))
        shown.push_back(std::move(image));
    }
    save("reconstructions.png", shown, columns);
  }

  struct Features {
    Tensor<float> latents;  // (n, C*h*w)
    Tensor<float> pixels;   // (n, C*H*W)
  };

  /// Latents and pixels of pictures, on rank 0.
  [[nodiscard]] Features features_of(const Selection& chosen, index_t done, index_t total) {
    const index_t n = chosen.count, width = config_.latent_shape().numel(),
                  size = chosen.data.image_size();
    Tensor<float> latents, pixels;  // (n, C*h*w) and (n, C*H*W), or empty
    if (ranks_.is_root()) {
      latents = Tensor<float>(Shape{n, width});
      pixels = Tensor<float>(Shape{n, size});
    }
    const auto compute = [&](index_t begin, index_t count) {
      const Tensor<float> images = chosen.pictures(begin, count),  // (count, C, H, W)
          z = autoencoder_->encode(images);                        // (count, C, h, w)
      detail::Piece piece;
      piece.put(z.span());
      piece.put(images.span());
      tell("probes", done + begin + count, total);
      return piece;
    };
    const auto take = [&](index_t begin, index_t count, detail::Piece& piece) {
      const auto rows = [&](Tensor<float>& all) {
        const auto row = static_cast<std::size_t>(all.extent(1));
        return all.span().subspan(static_cast<std::size_t>(begin) * row,
                                  static_cast<std::size_t>(count) * row);
      };
      piece.get(rows(latents));
      piece.get(rows(pixels));
    };
    in_parts(n, compute, take);
    return {std::move(latents), std::move(pixels)};
  }

  void probe() {
    const Selection train = options_.probe_pictures > 0
                                ? Selection(*train_, options_.probe_pictures)
                                : Selection(*train_),
                    test(*test_);
    const index_t n = train.count, m = test.count,
                  total = n + 5 * m;  // four probes of the test set
    const std::vector<std::int64_t> train_labels = train.labels(0, n),
                                    test_labels = test.labels(0, m);
    const Features of_train = features_of(train, 0, total);
    const Features of_test = features_of(test, n, total);
    ranks_.on_root([&] {
      KnnOptions knn = options_.knn;
      knn.k = std::min(knn.k, n);
      ProbeQuality out;
      out.pictures = n;
      out.knn_latents =
          knn_accuracy(of_train.latents, train_labels, of_test.latents, test_labels, knn);
      tell("probes", n + 2 * m, total);
      out.knn_pixels =
          knn_accuracy(of_train.pixels, train_labels, of_test.pixels, test_labels, knn);
      tell("probes", n + 3 * m, total);
      out.linear_latents =
          linear_probe_accuracy(fit_linear_probe(of_train.latents, train_labels, classes()),
                                of_test.latents, test_labels);
      tell("probes", n + 4 * m, total);
      out.linear_pixels = linear_probe_accuracy(
          fit_linear_probe(of_train.pixels, train_labels, classes()), of_test.pixels, test_labels);
      tell("probes", total, total);
      report_.probes = out;
    });
  }

  Communicator& ranks_;
  const EvaluationOptions& options_;
  const ModelConfig& config_;
  Data train_, test_;
  std::optional<Autoencoder> autoencoder_;
  std::optional<Generator> generator_;
  EvaluationReport report_;
  index_t batch_ = kBatch;  // pictures at a time: fewer if they are large
};

}  // namespace

EvaluationReport evaluate(const Bundle& bundle, OwnedPointer<const ImageDataset> train,
                          OwnedPointer<const ImageDataset> test, const EvaluationOptions& options) {
  SerialCommunicator alone;
  Communicator& ranks = options.ranks != nullptr ? *options.ranks : alone;
  std::optional<Evaluation> evaluation;
  ranks.agree([&] { evaluation.emplace(ranks, bundle, train, test, options); });
  return evaluation->run();
}

}  // namespace rae
