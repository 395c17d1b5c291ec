#include "rae/train/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "rae/core/owner.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/io/file.hpp"
#include "rae/metrics/linear_probe.hpp"
#include "rae/metrics/psnr.hpp"
#include "rae/metrics/ssim.hpp"
#include "rae/train/classifier_score.hpp"
#include "train/batched_score.hpp"
#include "train/picture_selection.hpp"
#include "train/sample_rows.hpp"
#include "train/training_neighbours.hpp"

namespace rae {

namespace {

using Data = OwnedPointer<const ImageDataset>;
using detail::Selection;

constexpr index_t kBatch = 500;   // pictures of up to 64 x 64 at a time
constexpr index_t kNearest = 4;   // neighbours in the picture
constexpr index_t kGridRows = 8;  // of originals and reconstructions

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
    if (autoencoder_ && options_.reconstruction) {
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
                                o.neighbour_pairs, o.neighbour_queries, o.probe_pictures})
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
  [[nodiscard]] ClassifierScore score_of(const Selection& real, const char* part) {
    ClassifierScore score(*classifier_);
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
      const std::string path = !options_.classifier_file.empty() ? options_.classifier_file
                               : options_.folder.empty()         ? ""
                                                                 : file("classifier.safetensors");
      classifier = path.empty() ? train_classifier(train_, how, on_training)
                                : cached_classifier(path, train_, how, on_training);
      classifier.parameters([&](const std::string&, auto& p) { weights.put_tensor(p.tensor()); });
    });
    weights.broadcast(ranks_);
    if (!ranks_.is_root())
      classifier.parameters(
          [&](const std::string&, auto& p) { p.set(weights.get_tensor<float>()); });
    return classifier;
  }

  /// Writes the first rows that a PNG can hold; nothing if not even one row fits.
  void save(const char* name, std::span<const Image> images, index_t columns,
            index_t gap = 2) const {
    if (options_.folder.empty() || images.empty()) return;
    auto count = static_cast<index_t>(images.size());
    const index_t width = images[0].width(), height = images[0].height();
    while (count > columns && !Image::grid_fits(count, columns, width, height, gap))
      count = (count - 1) / columns * columns;
    if (Image::grid_fits(count, columns, width, height, gap))
      Image::grid(images.first(static_cast<std::size_t>(count)), columns, gap)
          .save_png(file(name), {{"model", config_.name}});
  }

  void judge_samples() {
    ClassifierOptions how = options_.classifier;
    how.training.log_every = 1;  // so that an interruption is noticed after each step
    classifier_.emplace(classifier_of_root(how));
    real_.emplace(score_of(Selection(*test_), options_.samples > 0 ? "samples" : "guided samples"));
    if (ranks_.is_root()) {
      report_.classifier_accuracy = real_->accuracy();
      report_.classifier_by_class = real_->accuracy_by_class();
    }

    Cfg guidance = config_.sampling.guidance;
    if (guidance.scale == 1.0f) guidance = {.scale = 1.5f};
    Tensor<float> queries;  // (N, C, H, W)
    if (options_.samples > 0)
      report_.unguided = judge({}, options_.samples, "samples", "samples.png", queries);
    write_report();
    if (guided_count() > 0)
      report_.guided = judge(options_.guidance.value_or(guidance), guided_count(), "guided samples",
                             "samples_guided.png", queries);
    write_report();
    if (options_.neighbour_queries > 0) ranks_.on_root([&] { find_neighbours(queries); });
    write_report();
  }

  /// Samples and their score. `queries` receives those whose neighbours are sought, when it is
  /// still empty.
  SampleQuality judge(const Cfg& guidance, index_t total, const char* part, const char* png,
                      Tensor<float>& queries) {
    ClassifierScore score(*classifier_);
    std::optional<detail::BatchedStatistics> inception = inception_statistics(total);
    detail::SampleRows shown(classes());
    std::vector<Image> kept;
    const bool keep = queries.empty();
    const index_t wanted =
        std::max({options_.neighbour_queries, options_.neighbour_rows, options_.neighbour_pairs});
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
      put_inception(images, piece);
      for (const Image& image : images) piece.put(image.pixels());
      return piece;
    };
    const Shape picture = config_.image_shape();  // (channels, H, W)
    detail::BatchedScore batches(score, batch_, total);
    const auto take = [&](index_t begin, index_t count, detail::Piece& piece) {
      std::vector<std::int64_t> labels;
      for (index_t i = begin; i < begin + count; ++i) labels.push_back(label_of(i));
      batches.add(piece, labels);
      if (inception) inception->add(piece, count);
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
    const ClassifierScore train = score_of(Selection(*train_, total), part);
    SampleQuality out;
    ranks_.on_root([&] {
      out.guidance = guidance;
      out.count = total;
      out.steps = options_.steps > 0 ? options_.steps : config_.sampling.steps;
      out.class_consistency = score.accuracy();
      out.by_class = score.accuracy_by_class();
      out.frechet_distance = frechet_distance(score.features(), real_->features());
      out.training_frechet_distance = frechet_distance(train.features(), real_->features());
    });
    if (inception) measure_inception(inception->statistics(), total, out);
    return out;
  }

  void find_neighbours(const Tensor<float>& samples) {
    const index_t total = 2 * train_->size();
    const auto tell_of = [&](index_t done) { tell("neighbours", done, total); };
    const Neighbours near =
        detail::nearest_training(*train_, samples, std::min(kNearest, train_->size()), tell_of);
    save("neighbours.png", detail::neighbour_rows(*train_, samples, near, options_.neighbour_rows),
         near.indices.extent(1) + 1);
    save("nearest.png", detail::neighbour_pairs(*train_, samples, near, options_.neighbour_pairs),
         detail::kPairsOfARow, detail::kGapOfPairs);

    NeighbourQuality out;
    out.queries = std::min({samples.extent(0), options_.neighbour_queries, test_->size()});
    const Neighbours real =
        detail::nearest_training(*train_, Selection(*test_, out.queries).pictures(0, out.queries),
                                 1, [&](index_t done) { tell_of(train_->size() + done); });
    const std::vector<double> from_samples = detail::nearest_distances(near, out.queries),
                              from_test = detail::nearest_distances(real, out.queries);
    out.rows =
        detail::nearest_distances(near, std::min(options_.neighbour_rows, samples.extent(0)));
    out.samples_mean = mean(from_samples);
    out.samples_least = *std::min_element(from_samples.begin(), from_samples.end());
    out.test_mean = mean(from_test);
    out.test_least = *std::min_element(from_test.begin(), from_test.end());
    report_.neighbours = std::move(out);
    tell_of(total);
  }

  /// Statistics of the Inception features of `total` pictures; absent without Inception.
  [[nodiscard]] std::optional<detail::BatchedStatistics> inception_statistics(index_t total) const {
    if (!options_.inception) return std::nullopt;
    return detail::BatchedStatistics(options_.inception->dimension(), batch_, total);
  }

  /// Appends the Inception features of pictures, if they are wanted.
  void put_inception(std::span<const Image> images, detail::Piece& piece) const {
    if (!options_.inception) return;
    const Tensor<float> features = (*options_.inception)(images);  // (n, D)
    piece.put(features.span());
  }

  /// The Inception features of real pictures, complete on rank 0.
  [[nodiscard]] FeatureStatistics inception_of(const Selection& real) {
    detail::BatchedStatistics out = *inception_statistics(real.count);
    in_parts(
        real.count,
        [&](index_t begin, index_t n) {
          tell("Inception features of real pictures", begin, real.count);
          detail::Piece piece;
          put_inception(Image::from_batch(real.pictures(begin, n)), piece);
          return piece;
        },
        [&](index_t, index_t n, detail::Piece& piece) { out.add(piece, n); });
    return out.statistics();
  }

  void open_inception_of_test() {
    if (!inception_of_test_) inception_of_test_.emplace(inception_of(Selection(*test_)));
  }

  /// Adds the distances of samples in Inception's features.
  void measure_inception(const FeatureStatistics& samples, index_t total, SampleQuality& out) {
    open_inception_of_test();
    const FeatureStatistics train = inception_of(Selection(*train_, total));
    ranks_.on_root([&] {
      out.inception = InceptionQuality{frechet_distance(samples, *inception_of_test_),
                                       frechet_distance(samples, train),
                                       frechet_distance(train, *inception_of_test_)};
    });
  }

  void reconstruct() {
    const Selection test(*test_);
    const index_t n = test.count;
    const Shape picture = config_.image_shape();                      // (C, H, W)
    const bool large_enough = std::min(picture[1], picture[2]) >= 6;  // for the window of SSIM
    std::vector<double> psnrs, ssims;
    std::optional<ClassifierScore> score;
    std::optional<detail::BatchedScore> batches;
    if (classifier_) {
      score.emplace(*classifier_);
      batches.emplace(*score, batch_, n);
    }
    std::optional<detail::BatchedStatistics> inception = inception_statistics(n);
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
      if (score) detail::put(score->judge(as_tensor(copies)), piece);
      put_inception(copies, piece);
      tell("reconstruction", begin + count, n);
      return piece;
    };
    const auto take = [&](index_t begin, index_t count, detail::Piece& piece) {
      for (std::vector<double>* values : {&psnrs, large_enough ? &ssims : nullptr})
        if (values != nullptr)
          for (const double value : piece.get<double>(static_cast<std::size_t>(count)))
            values->push_back(value);
      if (batches) batches->add(piece, test.labels(begin, count));
      if (inception) inception->add(piece, count);
    };
    in_parts(n, compute, take);
    if (inception) open_inception_of_test();
    ranks_.on_root([&] {
      ReconstructionQuality out{mean(psnrs), large_enough ? mean(ssims) : 0.0};
      if (score) {
        out.class_consistency = score->accuracy();
        out.frechet_distance = frechet_distance(score->features(), real_->features());
      }
      if (inception)
        out.inception_distance = frechet_distance(inception->statistics(), *inception_of_test_);
      report_.reconstruction = out;
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
  std::optional<Classifier<Tensor<float>>> classifier_;
  std::optional<ClassifierScore> real_;                 // of the test pictures
  std::optional<FeatureStatistics> inception_of_test_;  // complete on rank 0
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
