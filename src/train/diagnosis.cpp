#include "rae/train/diagnosis.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "rae/core/math.hpp"
#include "rae/diffusion/time_shift.hpp"
#include "rae/metrics/anisotropy.hpp"
#include "rae/metrics/linear_probe.hpp"
#include "rae/metrics/token_spectrum.hpp"
#include "train/picture_selection.hpp"

namespace rae {
namespace {

using detail::Selection;

/// The features of some pictures after one layer.
struct LayerFeatures {
  Tensor<float> means;   // (n, D): the mean of each picture's tokens
  Tensor<float> tokens;  // (m, D): some of the tokens of the first pictures
};

/// The tokens of a picture that are kept: `kept` of `all`, evenly spaced.
index_t kept_token(index_t i, index_t kept, index_t all) { return i * all / kept; }

/// Runs the encoder over pictures, and keeps what the measures need.
class Features {
 public:
  Features(const EncoderNetwork<Tensor<float>>& encoder, const PixelNorm& pixels,
           const DiagnosisOptions& options, index_t total)
      : encoder_(encoder), pixels_(pixels), options_(options), total_(total) {}

  /// `with_tokens`: keep tokens, too.
  std::vector<LayerFeatures> of(const Selection& pictures, bool with_tokens) {
    std::vector<LayerFeatures> out;
    for (index_t begin = 0; begin < pictures.count; begin += options_.batch) {
      const index_t count = std::min(options_.batch, pictures.count - begin);
      const std::vector<Tensor<float>> layers = encoder_.features(
          normalize_pixels(pictures.pictures(begin, count), pixels_));  // (count, N, D) each
      if (out.empty()) start(out, layers, pictures.count, with_tokens);
      for (std::size_t l = 0; l < layers.size(); ++l) add(out[l], layers[l], begin);
      done_ += count;
      if (options_.on_progress && !options_.on_progress(done_, total_))
        raise<Cancelled>("diagnosis: stopped after ", done_, " of ", total_, " pictures");
    }
    return out;
  }

 private:
  void start(std::vector<LayerFeatures>& out, const std::vector<Tensor<float>>& layers,
             index_t pictures, bool with_tokens) {
    const index_t all = layers.front().extent(1), width = layers.front().extent(2);
    kept_ = std::clamp<index_t>(options_.tokens / pictures, 1, all);
    const index_t rows = std::min(options_.tokens, kept_ * pictures);
    out.resize(layers.size());
    for (LayerFeatures& layer : out) {
      layer.means = Tensor<float>(Shape{pictures, width});
      if (with_tokens) layer.tokens = Tensor<float>(Shape{rows, width});
    }
  }

  void add(LayerFeatures& out, const Tensor<float>& x, index_t begin) const {
    const index_t count = x.extent(0), tokens = x.extent(1), width = x.extent(2);
    const float* from = x.data();
    for (index_t b = 0; b < count; ++b) {
      const float* picture = from + b * tokens * width;
      float* mean = out.means.data() + (begin + b) * width;
      for (index_t d = 0; d < width; ++d) {
        double sum = 0;
        for (index_t i = 0; i < tokens; ++i) sum += static_cast<double>(picture[i * width + d]);
        mean[d] = static_cast<float>(sum / static_cast<double>(tokens));
      }
      if (out.tokens.empty()) continue;
      for (index_t i = 0; i < kept_; ++i) {
        const index_t row = (begin + b) * kept_ + i;
        if (row >= out.tokens.extent(0)) break;
        copy_elements(picture + kept_token(i, kept_, tokens) * width, width,
                      out.tokens.data() + row * width);
      }
    }
  }

  const EncoderNetwork<Tensor<float>>& encoder_;
  const PixelNorm& pixels_;
  const DiagnosisOptions& options_;
  index_t total_, done_ = 0, kept_ = 1;
};

/// The mean of the tensors of layers first ... last, of equal shapes.
Tensor<float> mean_of(const std::vector<LayerFeatures>& layers, Tensor<float> LayerFeatures::*which,
                      index_t first, index_t last) {
  Tensor<float> out((layers.front().*which).shape());  // (*)
  const auto count = static_cast<double>(last - first + 1);
  for (index_t i = 0; i < out.numel(); ++i) {
    double sum = 0;
    for (index_t l = first; l <= last; ++l)
      sum += static_cast<double>((layers[static_cast<std::size_t>(l - 1)].*which)[i]);
    out[i] = static_cast<float>(sum / count);
  }
  return out;
}

/// Tokens (N, D) about their mean, each element divided by its deviation.
Tensor<float> standardized(const Tensor<float>& tokens) {
  const index_t n = tokens.extent(0), width = tokens.extent(1);
  Tensor<float> out(tokens.shape());  // (N, D)
  for (index_t d = 0; d < width; ++d) {
    double sum = 0, squares = 0;
    for (index_t i = 0; i < n; ++i) sum += static_cast<double>(tokens[i * width + d]);
    const double mean = sum / static_cast<double>(n);
    for (index_t i = 0; i < n; ++i)
      squares += std::pow(static_cast<double>(tokens[i * width + d]) - mean, 2);
    const double deviation = math::sqrt(squares / static_cast<double>(n));
    for (index_t i = 0; i < n; ++i)
      out[i * width + d] =
          deviation > 0
              ? static_cast<float>((static_cast<double>(tokens[i * width + d]) - mean) / deviation)
              : 0.0f;
  }
  return out;
}

/// The measures that need no classes.
LayerMeasures measure_tokens(const Tensor<float>& tokens, index_t first, index_t last) {
  const std::vector<double> spectrum = token_spectrum(tokens.view());
  std::vector<double> singular;
  for (const double value : spectrum)
    singular.push_back(math::sqrt(value * static_cast<double>(tokens.extent(0))));
  const double variance = std::accumulate(spectrum.begin(), spectrum.end(), 0.0);
  return {.first = first,
          .last = last,
          .effective_rank = effective_rank(singular),
          .anisotropy = anisotropy(tokens.view()),
          .deviation = math::sqrt(variance / static_cast<double>(spectrum.size()))};
}

std::string text_of(double value, const char* format) {
  char out[32];
  std::snprintf(out, sizeof out, format, value);
  return out;
}

std::string percent(double share) { return text_of(100 * share, "%.1f %%"); }

/// The advice about the layers of a latent: their mean by k-NN, where it is clearly better.
void add_layers(const Diagnosis& d, std::vector<Advice>& out) {
  if (d.means.size() < 2 || !d.means.front().knn) return;
  const auto best = std::max_element(
      d.means.begin(), d.means.end(),
      [](const LayerMeasures& a, const LayerMeasures& b) { return a.knn < b.knn; });
  const double last = *d.means.front().knn, gain = *best->knn - last,
               error = math::sqrt(std::max(last * (1 - last), 1e-4) /
                                  static_cast<double>(d.test_pictures));
  if (gain <= 2 * error) {
    out.push_back({"model.encoder.latent_layers", "(the last layer)",
                   concat("no mean of several layers classifies better than the last layer by more "
                          "than two standard errors (k-NN ",
                          percent(last), ", error ", percent(error), ")")});
    return;
  }
  std::string layers;
  for (index_t l = best->first; l <= best->last; ++l)
    layers += concat(layers.empty() ? "[" : ", ", l - 1);
  out.push_back({"model.encoder.latent_layers", layers + "]",
                 concat("the mean of the last ", best->last - best->first + 1,
                        " layers classifies better than the last one (k-NN ", percent(*best->knn),
                        " against ", percent(last), ", standard error ", percent(error),
                        "); RAEv2 averages layers, too")});
}

}  // namespace

Diagnosis diagnose(const EncoderNetwork<Tensor<float>>& encoder, const PixelNorm& pixels,
                   const ImageDataset& train, const ImageDataset* test,
                   const DiagnosisOptions& options) {
  if (options.train_pictures < 1 || options.test_pictures < 1 || options.tokens < 2 ||
      options.batch < 1)
    raise<ArgumentError>(
        "diagnose: expected at least one picture of each kind and in a batch, and "
        "two tokens, got ",
        options.train_pictures, ", ", options.test_pictures, ", ", options.batch, " and ",
        options.tokens);
  const Shape grid =
      encoder.grid_of({1, train.channels(), train.height(), train.width()});  // (h, w)
  const auto classes = static_cast<index_t>(train.class_names().size());
  const bool classified = test != nullptr && classes > 1;
  const Selection of_train(train, options.train_pictures);
  if (of_train.count < 2)
    raise<ArgumentError>("diagnose: expected at least two pictures, got ", of_train.count);
  const Selection of_test(classified ? *test : train, options.test_pictures);

  Diagnosis out{.latent = {encoder.shape().width, grid[0], grid[1]}};
  out.train_pictures = of_train.count;
  Features features(encoder, pixels, options, of_train.count + (classified ? of_test.count : 0));
  const std::vector<LayerFeatures> learnt = features.of(of_train, true);
  std::vector<LayerFeatures> asked;
  std::vector<std::int64_t> labels, test_labels;
  KnnOptions knn = options.knn;
  knn.k = std::min(knn.k, of_train.count);
  if (classified) {
    out.classes = classes;
    out.test_pictures = of_test.count;
    asked = features.of(of_test, false);
    labels = of_train.labels(0, of_train.count);
    test_labels = of_test.labels(0, of_test.count);
  }
  const auto measure = [&](index_t first, index_t last) {
    LayerMeasures of =
        measure_tokens(mean_of(learnt, &LayerFeatures::tokens, first, last), first, last);
    if (!classified) return of;
    const Tensor<float> known = mean_of(learnt, &LayerFeatures::means, first, last),  // (n, D)
        queries = mean_of(asked, &LayerFeatures::means, first, last);                 // (m, D)
    of.knn = knn_accuracy(known.view(), labels, queries.view(), test_labels, knn);
    of.linear = linear_probe_accuracy(fit_linear_probe(known.view(), labels, classes),
                                      queries.view(), test_labels);
    return of;
  };
  const auto layers = static_cast<index_t>(learnt.size());
  for (index_t l = 1; l <= layers; ++l) out.layers.push_back(measure(l, l));
  out.means.push_back(out.layers.back());
  for (index_t k = 2; k < layers; k *= 2) out.means.push_back(measure(layers - k + 1, layers));
  if (layers > 1) out.means.push_back(measure(1, layers));
  out.spectrum = token_spectrum(standardized(learnt.back().tokens).view());
  return out;
}

std::vector<Advice> advice_for(const Diagnosis& d) {
  std::vector<Advice> out;
  const index_t width = d.latent[0];
  const double dimension = static_cast<double>(d.latent.numel());
  out.push_back({"model.time_shift", text_of(automatic_time_shift(d.latent), "%.4g"),
                 concat("sqrt(", width, " x ", d.latent[1], " x ", d.latent[2],
                        " / 4096), and at least 1: noise hides less of a latent of ",
                        static_cast<index_t>(dimension), " elements")});
  constexpr index_t kMultiple = 32;
  const index_t head = (width + kMultiple - 1) / kMultiple * kMultiple;
  out.push_back({"model.dit.hidden_size", concat("[any, ", head, " or more]"),
                 concat("the head must be as wide as a token, ", width,
                        ": with half of that no network gets below a loss of ",
                        text_of(least_loss_of_width(d.spectrum, width / 2), "%.3f"),
                        " (Theorem 1, from these tokens)")});
  const LayerMeasures& last = d.layers.back();
  out.push_back({"decoder.loss.noise_tau", text_of(0.8 * last.deviation, "%.2g"),
                 concat("the paper's 0.8 is for tokens whose elements deviate by about 1; these "
                        "deviate by ",
                        text_of(last.deviation, "%.3g"))});
  add_layers(d, out);
  return out;
}

}  // namespace rae
