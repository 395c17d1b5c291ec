// Mean and variance of each latent element (C, h, w), which normalise the data of the diffusion
// model.
//
// Source: appendix of the paper on latent normalisation. The exact statistics use Welford's
// algorithm with Chan's merge; the momentum statistics are those of the official script.
#pragma once

#include <vector>

#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {

namespace detail {

/// The shape of a sample of a batch (B, ...). Throws ShapeError for rank 0, B = 0 or, unless
/// `first`, a shape other than `expected`, and NumericError for NaN or infinity.
template <Real T>
Shape require_latent_batch(std::string_view where, const Tensor<T>& batch, const Shape& expected,
                           bool first) {
  if (batch.empty() || batch.rank() < 1 || batch.extent(0) < 1)
    raise<ShapeError>(where, ": expected a batch (B, ...) with B >= 1, got ", batch.shape());
  const Shape sample(std::span<const index_t>(batch.shape().begin() + 1, batch.shape().end()));
  if (!first) require_shape(where, sample, expected);
  if (!all_finite(batch.span())) raise<NumericError>(where, ": the batch contains NaN or infinity");
  return sample;
}

/// A tensor with the given values and shape.
template <Real T = float>
Tensor<T> to_tensor(const std::vector<double>& values, const Shape& shape) {
  Tensor<T> out(shape);  // of `shape`
  T* target = out.data();
  for (const double value : values) *target++ = static_cast<T>(value);
  return out;
}

}  // namespace detail

/// Exact running mean and variance of every latent element, in double. Parts can be computed
/// separately and merged; the order of samples and parts changes only the rounding of the result.
class LatentStatistics {
 public:
  /// Statistics without samples.
  LatentStatistics() = default;

  /// Restores saved statistics: mean and biased variance (C, h, w) of `count` samples. Throws
  /// ShapeError for different shapes, ArgumentError for a count below 1, NumericError for NaN,
  /// infinity or a negative variance.
  LatentStatistics(const Tensor<double>& mean, const Tensor<double>& variance, index_t count) {
    if (mean.empty()) raise<ShapeError>("LatentStatistics: the mean is empty");
    require_shape("LatentStatistics: variance", variance.shape(), mean.shape());
    if (count < 1)
      raise<ArgumentError>("LatentStatistics: expected a count of at least 1, got ", count);
    bool valid = all_finite(mean.span()) && all_finite(variance.span());
    for (const double v : variance.span()) valid = valid && v >= 0;
    if (!valid)
      raise<NumericError>(
          "LatentStatistics: mean or variance contains NaN, infinity or a negative variance");
    reset(mean.shape());
    count_ = count;
    for (std::size_t i = 0; i < mean_.size(); ++i) {
      mean_[i] = mean.data()[i];
      squares_[i] = variance.data()[i] * static_cast<double>(count);
    }
  }

  /// Restores statistics exactly: mean and `squares` (C, h, w) of `count` samples. Throws as the
  /// constructor.
  [[nodiscard]] static LatentStatistics restored(const Tensor<double>& mean,
                                                 const Tensor<double>& squares, index_t count) {
    LatentStatistics out(mean, squares, count);
    out.squares_.assign(squares.span().begin(), squares.span().end());
    return out;
  }

  /// Adds the samples of a batch (B, C, h, w). The first batch fixes the shape. Throws ShapeError,
  /// NumericError; nothing is added in that case.
  template <Real T>
  void update(const Tensor<T>& batch) {
    const Shape sample =
        detail::require_latent_batch("LatentStatistics::update", batch, shape_, count_ == 0);
    if (count_ == 0) reset(sample);
    const index_t n = sample.numel(), samples = batch.extent(0);
    const T* values = batch.data();
    parallel_elements(n, index_t{1024}, [&](index_t begin, index_t end) {
      for (index_t b = 0; b < samples; ++b) {
        const double inverse = 1.0 / static_cast<double>(count_ + b + 1);
        const T* row = values + b * n;
        for (index_t i = begin; i < end; ++i) {
          const auto at = static_cast<std::size_t>(i);
          const double value = static_cast<double>(row[i]);
          const double delta = value - mean_[at];
          mean_[at] += delta * inverse;
          squares_[at] += delta * (value - mean_[at]);
        }
      }
    });
    count_ += samples;
  }

  /// Adds all samples of `other`. Throws ShapeError.
  void merge(const LatentStatistics& other) {
    if (other.count_ == 0) return;
    if (count_ == 0) {
      *this = other;
      return;
    }
    require_shape("LatentStatistics::merge", other.shape_, shape_);
    const double mine = static_cast<double>(count_), theirs = static_cast<double>(other.count_);
    for (std::size_t i = 0; i < mean_.size(); ++i) {
      const double delta = other.mean_[i] - mean_[i];
      squares_[i] += other.squares_[i] + delta * delta * (mine * theirs / (mine + theirs));
      mean_[i] += delta * (theirs / (mine + theirs));
    }
    count_ += other.count_;
  }

  /// Number of samples added so far.
  [[nodiscard]] index_t count() const noexcept { return count_; }

  /// Mean (C, h, w). Throws ArgumentError before the first sample.
  template <Real T = float>
  [[nodiscard]] Tensor<T> mean() const {
    require_samples("mean");
    return detail::to_tensor<T>(mean_, shape_);
  }

  /// Biased variance (C, h, w): the mean squared deviation. Throws ArgumentError before the first
  /// sample.
  template <Real T = float>
  [[nodiscard]] Tensor<T> variance() const {
    require_samples("variance");
    Tensor<T> out(shape_);  // (C, h, w)
    const double inverse = 1.0 / static_cast<double>(count_);
    T* target = out.data();
    for (const double square : squares_) *target++ = static_cast<T>(square * inverse);
    return out;
  }

  /// Sum of squared deviations from the mean (C, h, w), from which `restored` continues without
  /// rounding. Throws ArgumentError before the first sample.
  [[nodiscard]] Tensor<double> squares() const {
    require_samples("squares");
    return detail::to_tensor<double>(squares_, shape_);
  }

 private:
  void reset(const Shape& sample) {
    mean_.assign(static_cast<std::size_t>(sample.numel()), 0.0);
    squares_.assign(static_cast<std::size_t>(sample.numel()), 0.0);
    shape_ = sample;
  }
  void require_samples(std::string_view function) const {
    if (count_ == 0) raise<ArgumentError>("LatentStatistics::", function, ": no samples yet");
  }

  Shape shape_;
  index_t count_ = 0;
  std::vector<double> mean_, squares_;  // of each element; squares_: sum of squared deviations
};

/// The statistics of the official script: exponential moving averages that start at mean 0 and
/// variance 1, m <- 0.9 m + 0.1 batch. They reflect only the last tens of batches; use them to
/// reproduce official files of statistics.
class MomentumLatentStatistics {
 public:
  /// Throws ArgumentError unless 0 < momentum <= 1.
  explicit MomentumLatentStatistics(double momentum = 0.1) : momentum_(momentum) {
    if (!(momentum > 0.0 && momentum <= 1.0))
      raise<ArgumentError>("MomentumLatentStatistics: expected momentum in (0, 1], got ", momentum);
  }

  /// Updates the averages by a batch (B, C, h, w). Throws ShapeError, NumericError; nothing changes
  /// in that case.
  template <Real T>
  void update(const Tensor<T>& batch) {
    LatentStatistics own;
    own.update(batch);
    update(own.mean(), own.variance());
  }

  /// The same, for a batch of this mean and biased variance (C, h, w). Throws ShapeError.
  void update(const Tensor<float>& mean, const Tensor<float>& variance) {
    require_shape("MomentumLatentStatistics: variance", variance.shape(), mean.shape());
    if (mean_.empty()) {
      shape_ = mean.shape();
      mean_.assign(static_cast<std::size_t>(mean.numel()), 0.0);
      variance_.assign(static_cast<std::size_t>(mean.numel()), 1.0);
    }
    require_shape("MomentumLatentStatistics::update", mean.shape(), shape_);
    for (std::size_t i = 0; i < mean_.size(); ++i) {
      mean_[i] += momentum_ * (static_cast<double>(mean.data()[i]) - mean_[i]);
      variance_[i] += momentum_ * (static_cast<double>(variance.data()[i]) - variance_[i]);
    }
  }

  /// Mean (C, h, w). Throws ArgumentError before the first batch.
  [[nodiscard]] Tensor<float> mean() const { return read("mean", mean_); }

  /// Variance (C, h, w). Throws ArgumentError before the first batch.
  [[nodiscard]] Tensor<float> variance() const { return read("variance", variance_); }

 private:
  Tensor<float> read(std::string_view function, const std::vector<double>& values) const {
    if (values.empty())
      raise<ArgumentError>("MomentumLatentStatistics::", function, ": no batch yet");
    return detail::to_tensor(values, shape_);
  }

  double momentum_;
  Shape shape_;
  std::vector<double> mean_, variance_;
};

}  // namespace rae
