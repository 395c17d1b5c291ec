#include "generate/scheduled_network.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <utility>

#include "rae/ops/embedding.hpp"
#include "rae/ops/tokens.hpp"

namespace rae::detail {
namespace {

using Rows = Conditioning<Tensor<float>>;

/// Copies rows of a table by their indices. `out` keeps its vector, so that only tensors are
/// allocated in each step.
void take_rows(const Rows& table, std::span<const std::int64_t> ids, Rows& out) {
  out.time = {};
  if (!table.time.empty()) out.time = embedding(table.time, ids);
  out.tokens = {};
  if (!table.tokens.empty()) out.tokens = embedding(table.tokens, ids);
  out.modulation.resize(table.modulation.size());
  for (std::size_t i = 0; i < table.modulation.size(); ++i) {
    out.modulation[i] = {};
    out.modulation[i] = embedding(table.modulation[i], ids);
  }
}

/// |a - b| / |b|, summed in a fixed order.
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

ScheduledNetwork::ScheduledNetwork(OwnedPointer<const BackboneNetwork<Tensor<float>>> network,
                                   Schedule schedule, SamplingWork& work)
    : network_(std::move(network)), schedule_(std::move(schedule)), work_(work) {
  std::vector<std::int64_t>& labels = schedule_.labels;
  std::sort(labels.begin(), labels.end());
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
}

Tensor<float> ScheduledNetwork::operator()(const Tensor<float>& x, float t,
                                           std::span<const std::int64_t> labels) {
  condition(t, labels);
  work_.evaluations += static_cast<index_t>(labels.size());
  if (schedule_.reuse_error > 0 && network_->has_head()) return reuse(x, t);
  work_.backbones += static_cast<index_t>(labels.size());
  return (*network_)(x, rows_);
}

NetworkOutputs<Tensor<float>> ScheduledNetwork::with_base(const Tensor<float>& x, float t,
                                                          std::span<const std::int64_t> labels) {
  condition(t, labels);
  work_.evaluations += static_cast<index_t>(labels.size());
  work_.backbones += static_cast<index_t>(labels.size());
  return network_->outputs(x, rows_, {.base = true});
}

/// Sets `rows_` to the conditioning of this time and these labels.
void ScheduledNetwork::condition(float t, std::span<const std::int64_t> labels) {
  if (find(planned_, t, labels)) return take_rows(planned_.rows, ids_, rows_);
  if (find(unplanned_, t, labels)) return take_rows(unplanned_.rows, ids_, rows_);
  const std::vector<float>& times = schedule_.times;
  const auto at = std::lower_bound(times.begin(), times.end(), t, std::greater<>());
  const bool known = std::all_of(labels.begin(), labels.end(), [&](std::int64_t y) {
    return std::binary_search(schedule_.labels.begin(), schedule_.labels.end(), y);
  });
  if (at != times.end() && *at == t && known) {
    const index_t row = network_->conditioning_size() *
                        static_cast<index_t>(sizeof(float) * schedule_.labels.size());
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

/// True when the table has this time and all labels; sets `ids_` to their rows.
bool ScheduledNetwork::find(const Table& table, float t, std::span<const std::int64_t> labels) {
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

void ScheduledNetwork::fill(Table& table, std::span<const float> times,
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
  table.rows = network_->conditioning(t, y);
  work_.conditionings += t.numel();
}

/// Evaluates the backbone on tokens (B, N, C) for the rows `fresh_` and stores its outputs in `s_`.
void ScheduledNetwork::evaluate_backbone(const Tensor<float>& tokens, float t) {
  const auto rows = static_cast<index_t>(ids_.size()), fresh = static_cast<index_t>(fresh_.size());
  const index_t images = tokens.extent(0), count = tokens.extent(1), channels = tokens.extent(2);
  // Either all images with all their labels, or a copy of the image for each row.
  const bool whole = fresh == rows;
  Rows part;
  std::vector<std::int64_t> of_image;
  if (!whole) {
    take_rows(rows_, fresh_, part);
    for (const std::int64_t row : fresh_) of_image.push_back(row % images);
  }
  const Tensor<float> seen = whole
                                 ? tokens
                                 : embedding(tokens.reshaped({images, count * channels}), of_image)
                                       .reshaped({fresh, count, channels});  // (B or fresh, N, C)
  const Tensor<float> s = network_->backbone(seen, whole ? rows_ : part);    // (fresh, N, h)
  const index_t size = s.numel() / fresh;
  if (s_.empty() || s_.extent(0) < rows) {
    // The number of labels per image changed; the first rows belong to the same images.
    Tensor<float> larger(Shape{rows, size});  // (rows, N * h)
    if (!s_.empty()) std::copy_n(std::as_const(s_).data(), s_.numel(), larger.data());
    s_ = std::move(larger);
  }
  for (std::size_t i = 0; i < fresh_.size(); ++i)
    remember(fresh_[i], t, s.data() + static_cast<index_t>(i) * size, size);
  work_.backbones += fresh;
}

/// The network's output, where the backbone is evaluated only for the rows whose estimated change
/// exceeds the limit.
Tensor<float> ScheduledNetwork::reuse(const Tensor<float>& x, float t) {
  const auto rows = static_cast<index_t>(ids_.size());
  if (remembered_.size() < ids_.size()) remembered_.resize(ids_.size());
  fresh_.clear();
  for (index_t i = 0; i < rows; ++i) {
    const Remembered& r = remembered_[static_cast<std::size_t>(i)];
    const double change = r.rate * std::abs(static_cast<double>(r.time) - static_cast<double>(t));
    if (!r.has_rate || !(change <= schedule_.reuse_error)) fresh_.push_back(i);
  }
  const Tensor<float> tokens = grid_to_tokens(x);  // (B, N, C)
  if (!fresh_.empty()) evaluate_backbone(tokens, t);
  const index_t count = tokens.extent(1), size = s_.extent(1);
  const Shape shape{rows, count, size / count};
  if (rows == s_.extent(0)) return network_->velocity(tokens, s_.reshaped(shape), rows_);
  return network_->velocity(
      tokens,
      Tensor<float>(shape, std::as_const(s_).span().first(static_cast<std::size_t>(rows * size))),
      rows_);
}

void ScheduledNetwork::remember(index_t row, float t, const float* s, index_t size) {
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

}  // namespace rae::detail
