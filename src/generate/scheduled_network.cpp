#include "generate/scheduled_network.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace rae::detail {
namespace {

using Rows = Conditioning<Tensor<float>>;

/// Elements of one row of a model's conditioning.
index_t row_size(const DitDhConfig& c) { return (6 * c.depth[0] + 1) * c.hidden_size[0]; }
index_t row_size(const LightningDitConfig& c) { return (6 * c.depth + 2) * c.hidden_size; }

/// Rows of a table by their numbers; `out` keeps its vector, so that a warm step needs no memory
/// but that of its tensors.
void take_rows(const Rows& table, std::span<const std::int64_t> ids, Rows& out) {
  out.time = {};
  if (!table.time.empty()) out.time = embedding(table.time, ids);
  out.modulation.resize(table.modulation.size());
  for (std::size_t i = 0; i < table.modulation.size(); ++i) {
    out.modulation[i] = {};
    out.modulation[i] = embedding(table.modulation[i], ids);
  }
}

/// |a - b| / |b|, summed in one order.
double relative_difference(const float* a, const float* b, index_t n) {
  double difference = 0, square = 0;
  for (index_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += d * d;
    square += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return square > 0 ? std::sqrt(difference / square) : 0.0;
}

}  // namespace

template <class Model>
ScheduledNetwork<Model>::ScheduledNetwork(std::shared_ptr<const Model> model, Schedule schedule,
                                          SamplingWork& work)
    : model_(std::move(model)), schedule_(std::move(schedule)), work_(work) {
  std::vector<std::int64_t>& labels = schedule_.labels;
  std::sort(labels.begin(), labels.end());
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
}

template <class Model>
Tensor<float> ScheduledNetwork<Model>::operator()(const Tensor<float>& x, float t,
                                                  std::span<const std::int64_t> labels) {
  condition(t, labels);
  work_.evaluations += static_cast<index_t>(labels.size());
  if constexpr (requires { model_->backbone(x, rows_); }) {
    if (schedule_.reuse_error > 0) return reuse(x, t);
  }
  work_.backbones += static_cast<index_t>(labels.size());
  return (*model_)(x, rows_);
}

/// Brings the conditioning of a time and labels into `rows_`.
template <class Model>
void ScheduledNetwork<Model>::condition(float t, std::span<const std::int64_t> labels) {
  if (find(planned_, t, labels)) return take_rows(planned_.rows, ids_, rows_);
  if (find(unplanned_, t, labels)) return take_rows(unplanned_.rows, ids_, rows_);
  const std::vector<float>& times = schedule_.times;
  const auto at = std::lower_bound(times.begin(), times.end(), t, std::greater<>());
  const bool known = std::all_of(labels.begin(), labels.end(), [&](std::int64_t y) {
    return std::binary_search(schedule_.labels.begin(), schedule_.labels.end(), y);
  });
  if (at != times.end() && *at == t && known) {
    const index_t row =
        row_size(model_->config()) * static_cast<index_t>(sizeof(float) * schedule_.labels.size());
    const index_t count =
        std::clamp<index_t>(schedule_.conditioning_bytes / row, 1, times.end() - at);
    fill(planned_, {at, static_cast<std::size_t>(count)}, schedule_.labels);
    (void)find(planned_, t, labels);
    return take_rows(planned_.rows, ids_, rows_);
  }
  std::vector<std::int64_t> once(labels.begin(), labels.end());
  std::sort(once.begin(), once.end());
  once.erase(std::unique(once.begin(), once.end()), once.end());
  fill(unplanned_, {&t, 1}, std::move(once));
  (void)find(unplanned_, t, labels);
  take_rows(unplanned_.rows, ids_, rows_);
}

/// True when the table has this time and all labels; `ids_` are then their rows.
template <class Model>
bool ScheduledNetwork<Model>::find(const Table& table, float t,
                                   std::span<const std::int64_t> labels) {
  const auto time = std::find(table.times.begin(), table.times.end(), t);
  if (time == table.times.end()) return false;
  const auto first =
      (time - table.times.begin()) * static_cast<std::ptrdiff_t>(table.labels.size());
  ids_.clear();
  for (const std::int64_t label : labels) {
    const auto found = std::lower_bound(table.labels.begin(), table.labels.end(), label);
    if (found == table.labels.end() || *found != label) return false;
    ids_.push_back(first + (found - table.labels.begin()));
  }
  return true;
}

template <class Model>
void ScheduledNetwork<Model>::fill(Table& table, std::span<const float> times,
                                   std::vector<std::int64_t> labels) {
  const std::size_t count = labels.size();
  table.times.assign(times.begin(), times.end());
  table.labels = std::move(labels);
  Tensor<float> t(Shape{static_cast<index_t>(times.size() * count)});  // (times * labels)
  std::vector<std::int64_t> y;
  for (std::size_t i = 0; i < times.size(); ++i) {
    std::fill_n(t.data() + i * count, count, times[i]);
    y.insert(y.end(), table.labels.begin(), table.labels.end());
  }
  table.rows = {};
  table.rows = model_->conditioning(t, y);
  work_.conditionings += t.numel();
}

/// The network's output where the backbone is evaluated for those rows only whose output would
/// change by more than the bound.
template <class Model>
Tensor<float> ScheduledNetwork<Model>::reuse(const Tensor<float>& x, float t) {
  if constexpr (requires { model_->backbone(x, rows_); }) {
    const DitDhConfig& config = model_->config();
    const auto rows = static_cast<index_t>(ids_.size());
    const index_t images = x.extent(0), tokens_count = config.grid_h * config.grid_w,
                  width = config.hidden_size[0];
    const index_t size = tokens_count * width;
    if (remembered_.size() < ids_.size()) {
      // The rows of another number of labels for each image begin with the same images.
      Tensor<float> larger(Shape{rows, size});  // (rows, N * h)
      if (!s_.empty()) std::copy_n(std::as_const(s_).data(), s_.numel(), larger.data());
      s_ = std::move(larger);
      remembered_.resize(ids_.size());
    }
    fresh_.clear();
    for (index_t i = 0; i < rows; ++i) {
      const Remembered& r = remembered_[static_cast<std::size_t>(i)];
      const double change = r.rate * std::abs(static_cast<double>(r.time) - static_cast<double>(t));
      if (!r.has_rate || !(change <= schedule_.reuse_error)) fresh_.push_back(i);
    }
    const Tensor<float> tokens = grid_to_tokens(x);  // (B, N, C)
    if (!fresh_.empty()) {
      // All images once and under all their labels, or each row by itself.
      const bool whole = static_cast<index_t>(fresh_.size()) == rows;
      Rows part;
      std::vector<std::int64_t> of_image;
      if (!whole) {
        take_rows(rows_, fresh_, part);
        for (const std::int64_t row : fresh_) of_image.push_back(row % images);
      }
      const Shape wide{images, tokens_count * config.in_channels};
      const Tensor<float> seen = whole ? tokens
                                       : embedding(tokens.reshaped(wide), of_image)
                                             .reshaped({static_cast<index_t>(fresh_.size()),
                                                        tokens_count, config.in_channels});
      const Tensor<float> s = model_->backbone(seen, whole ? rows_ : part);  // (fresh rows, N, h)
      for (std::size_t i = 0; i < fresh_.size(); ++i)
        remember(fresh_[i], t, s.data() + static_cast<index_t>(i) * size, size);
      work_.backbones += static_cast<index_t>(fresh_.size());
    }
    const Shape shape{rows, tokens_count, width};
    if (rows == s_.extent(0)) return model_->velocity(tokens, s_.reshaped(shape), rows_);
    return model_->velocity(
        tokens,
        Tensor<float>(shape, std::as_const(s_).span().first(static_cast<std::size_t>(rows * size))),
        rows_);
  } else {
    (void)t;
    return (*model_)(x, rows_);
  }
}

template <class Model>
void ScheduledNetwork<Model>::remember(index_t row, float t, const float* s, index_t size) {
  Remembered& r = remembered_[static_cast<std::size_t>(row)];
  float* kept = s_.data() + row * size;
  if (r.present && r.time != t) {
    r.rate = relative_difference(kept, s, size) /
             std::abs(static_cast<double>(r.time) - static_cast<double>(t));
    r.has_rate = true;
  }
  r.present = true;
  r.time = t;
  std::copy_n(s, size, kept);
}

template class ScheduledNetwork<DitDh<Tensor<float>>>;
template class ScheduledNetwork<LightningDit<Tensor<float>>>;

}  // namespace rae::detail
