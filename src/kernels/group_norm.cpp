#include "rae/kernels/group_norm.hpp"

#include <algorithm>
#include <array>

#include "core/kernel_profile.hpp"
#include "kernels/contiguous.hpp"
#include "kernels/kernel_table.hpp"
#include "rae/core/parallel.hpp"
#include "rae/core/tensor.hpp"

namespace rae {
namespace {

/// The groups of pictures (B, C, positions); the elements of a group follow each other.
struct Groups {
  index_t pictures, channels, positions, groups;

  [[nodiscard]] index_t count() const { return pictures * groups; }
  [[nodiscard]] index_t channels_each() const { return channels / groups; }
  [[nodiscard]] index_t size() const { return channels_each() * positions; }
  /// The first channel of a group.
  [[nodiscard]] index_t channel(index_t group) const { return group % groups * channels_each(); }
};

template <class T>
Groups groups_of(std::string_view where, const View<const T>& x, const View<const T>& weight,
                 index_t groups) {
  const Shape& s = x.shape();
  if (s.rank() < 2 || s.numel() == 0) raise<ShapeError>(where, ": expected x (B, C, ...), got ", s);
  if (groups < 1 || s[1] % groups != 0)
    raise<ArgumentError>(where, ": expected a number of groups that divides ", s[1],
                         " channels, got ", groups);
  detail::require_elements(concat(where, ": x"), s.numel(), x);
  detail::require_elements(concat(where, ": weight"), s[1], weight);
  return {s[0], s[1], s.numel() / (s[0] * s[1]), groups};
}

template <class T>
detail::NormRow<T> plain_row(double eps) {
  return {NormKind::layer, static_cast<T>(eps), nullptr, nullptr, nullptr, nullptr};
}

/// Sum of term(i) for i in [0, n), in lanes that a compiler can vectorise.
template <class T, class Term>
T lane_sum(index_t n, Term term) {
  constexpr index_t kSumLanes = 16;
  std::array<T, kSumLanes> lanes{};
  const index_t whole = n / kSumLanes * kSumLanes;
  for (index_t i = 0; i < whole; i += kSumLanes)
    for (index_t lane = 0; lane < kSumLanes; ++lane)
      lanes[static_cast<std::size_t>(lane)] += term(i + lane);
  for (index_t i = whole; i < n; ++i) lanes[static_cast<std::size_t>(i - whole)] += term(i);
  T sum = 0;
  for (const T lane : lanes) sum += lane;
  return sum;
}

}  // namespace

template <Real T>
void group_norm(View<const T> x, View<const T> weight, View<const T> bias, index_t groups,
                double eps, View<T> out) {
  const detail::ProfiledKernel profiled(detail::KernelKind::norm,
                                        [&] { return detail::cost_of_bytes(x, out); });
  const Groups g = groups_of("group_norm", x, weight, groups);
  detail::require_elements("group_norm: bias", g.channels, bias);
  detail::require_elements("group_norm: out", x.numel(), out);
  const auto& table = detail::kernel_table<T>();
  const T *source = x.data(), *factor = weight.data(), *offset = bias.data();
  T* target = out.data();
  parallel_for(g.count(), detail::row_grain(g.size()), [=, &table](index_t group) {
    T* const to = target + group * g.size();
    table.norm(g.size(), source + group * g.size(), plain_row<T>(eps), to);
    for (index_t c = 0; c < g.channels_each(); ++c) {
      const T w = factor[g.channel(group) + c], b = offset[g.channel(group) + c];
      T* const row = to + c * g.positions;
      for (index_t i = 0; i < g.positions; ++i) row[i] = row[i] * w + b;
    }
  });
}

template <Real T>
void group_norm_backward(View<const T> x, View<const T> weight, index_t groups, double eps,
                         View<const T> dout, View<T> dx, View<T> dweight, View<T> dbias) {
  const detail::ProfiledKernel profiled(detail::KernelKind::norm,
                                        [&] { return detail::cost_of_bytes(x, dout); });
  const Groups g = groups_of("group_norm_backward", x, weight, groups);
  detail::require_elements("group_norm_backward: dout, dx", x.numel(), dout, dx);
  if (!dweight.empty())
    detail::require_elements("group_norm_backward: dweight", g.channels, dweight);
  if (!dbias.empty()) detail::require_elements("group_norm_backward: dbias", g.channels, dbias);
  const auto& table = detail::kernel_table<T>();
  const T *source = x.data(), *factor = weight.data(), *gradient = dout.data();
  T* target = dx.data();
  Tensor<T> sums_storage(
      Shape{2, g.pictures, g.channels});  // of the weight's, of the bias's gradient
  T* const sums = sums_storage.data();
  const ParallelLoop loop(g.count(), detail::row_grain(g.size()));
  Tensor<T> scratch_storage(Shape{loop.slots(), g.size()});  // (slots, elements of a group)
  T* const scratch = scratch_storage.data();
  loop.run([=, &table](index_t begin, index_t end, index_t slot) {
    T* const work = scratch + slot * g.size();
    for (index_t group = begin; group < end; ++group) {
      const T *from = source + group * g.size(), *given = gradient + group * g.size();
      const index_t first = group / g.groups * g.channels + g.channel(group);
      table.norm(g.size(), from, plain_row<T>(eps), work);
      for (index_t c = 0; c < g.channels_each(); ++c) {
        const T *n = work + c * g.positions, *d = given + c * g.positions;
        sums[first + c] = lane_sum<T>(g.positions, [=](index_t i) { return n[i] * d[i]; });
        sums[g.pictures * g.channels + first + c] =
            lane_sum<T>(g.positions, [=](index_t i) { return d[i]; });
      }
      for (index_t c = 0; c < g.channels_each(); ++c) {
        const T w = factor[g.channel(group) + c];
        for (index_t i = c * g.positions; i < (c + 1) * g.positions; ++i) work[i] = given[i] * w;
      }
      table.norm_backward(g.size(), from, plain_row<T>(eps), work, target + group * g.size(),
                          {nullptr, nullptr, nullptr, nullptr, nullptr});
    }
  });
  for (index_t b = 0; b < g.pictures; ++b)
    for (index_t c = 0; c < g.channels; ++c) {
      if (!dweight.empty()) dweight.data()[c] += sums[b * g.channels + c];
      if (!dbias.empty()) dbias.data()[c] += sums[(g.pictures + b) * g.channels + c];
    }
}

template void group_norm<float>(View<const float>, View<const float>, View<const float>, index_t,
                                double, View<float>);
template void group_norm<double>(View<const double>, View<const double>, View<const double>,
                                 index_t, double, View<double>);
template void group_norm_backward<float>(View<const float>, View<const float>, index_t, double,
                                         View<const float>, View<float>, View<float>, View<float>);
template void group_norm_backward<double>(View<const double>, View<const double>, index_t, double,
                                          View<const double>, View<double>, View<double>,
                                          View<double>);

}  // namespace rae
