#include "rae/kernels/loss.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/kernel_profile.hpp"
#include "kernels/block_sum.hpp"
#include "kernels/contiguous.hpp"
#include "rae/core/parallel.hpp"

namespace rae {
namespace {

template <class T, class Term>
T mean(std::string_view where, const View<const T>& a, const View<const T>& b, Term term) {
  if (a.numel() == 0) raise<ShapeError>(where, ": the mean of no elements is undefined");
  require_shape(where, b.shape(), a.shape());
  detail::require_elements(where, a.numel(), a, b);
  const T *x = a.data(), *y = b.data();
  const double sum = detail::block_sum(a.numel(), [=](index_t i) {
    return term(static_cast<double>(x[i]) - static_cast<double>(y[i]));
  });
  return static_cast<T>(sum / static_cast<double>(a.numel()));
}

template <class T, class Slope>
void mean_backward(std::string_view where, const View<const T>& a, const View<const T>& b,
                   const View<T>& da, Slope slope) {
  detail::require_elements(where, a.numel(), a, b, da);
  const T *x = a.data(), *y = b.data();
  T* out = da.data();
  detail::parallel_elements(a.numel(), [=](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) out[i] = slope(x[i] - y[i]);
  });
}

}  // namespace

template <Real T>
T mse(View<const T> a, View<const T> b) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise,
                                        [&] { return detail::cost_of_bytes(a, b); });
  return mean("mse", a, b, [](double d) { return d * d; });
}

template <Real T>
void mse_backward(View<const T> a, View<const T> b, T dloss, View<T> da) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise,
                                        [&] { return detail::cost_of_bytes(a, b, da); });
  const T scale = T(2) * dloss / static_cast<T>(a.numel());
  mean_backward("mse_backward", a, b, da, [=](T d) { return scale * d; });
}

template <Real T>
T l1(View<const T> a, View<const T> b) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise,
                                        [&] { return detail::cost_of_bytes(a, b); });
  return mean("l1", a, b, [](double d) { return std::abs(d); });
}

template <Real T>
void l1_backward(View<const T> a, View<const T> b, T dloss, View<T> da) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise,
                                        [&] { return detail::cost_of_bytes(a, b, da); });
  const T scale = dloss / static_cast<T>(a.numel());
  mean_backward("l1_backward", a, b, da, [=](T d) {
    return d > 0 ? scale : d < 0 ? -scale : T(0);
  });
}

template <Real T>
T cross_entropy(View<const T> logits, std::span<const std::int64_t> labels, View<T> dlogits,
                double smoothing) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise,
                                        [&] { return detail::cost_of_bytes(logits, dlogits); });
  if (logits.shape().rank() != 2 || logits.numel() == 0)
    raise<ShapeError>("cross_entropy: expected logits (N, K), got ", logits.shape());
  const index_t n = logits.extent(0), k = logits.extent(1);
  if (static_cast<index_t>(labels.size()) != n)
    raise<ShapeError>("cross_entropy: ", n, " rows of logits but ", labels.size(), " labels");
  detail::require_elements("cross_entropy", n * k, logits);
  if (!dlogits.empty()) detail::require_elements("cross_entropy: dlogits", n * k, dlogits);
  for (const std::int64_t label : labels)
    if (label < 0 || label >= k)
      raise<ArgumentError>("cross_entropy: label ", label, " is outside [0, ", k, ")");
  if (!(smoothing >= 0 && smoothing <= 1))
    raise<ArgumentError>("cross_entropy: expected a smoothing between 0 and 1, got ", smoothing);
  const double share = smoothing / static_cast<double>(k);
  std::vector<double> losses(static_cast<std::size_t>(n));
  parallel_for(n, detail::row_grain(16 * k), [&](index_t r) {
    const T* row = logits.data() + r * k;
    const std::int64_t label = labels[static_cast<std::size_t>(r)];
    const auto top = static_cast<double>(*std::max_element(row, row + k));
    double total = 0;
    for (index_t i = 0; i < k; ++i) total += std::exp(static_cast<double>(row[i]) - top);
    double target = static_cast<double>(row[label]) - top;  // mean logit by the target's shares
    if (smoothing > 0) {
      double sum = 0;
      for (index_t i = 0; i < k; ++i) sum += static_cast<double>(row[i]) - top;
      target = (1 - smoothing) * target + share * sum;
    }
    losses[static_cast<std::size_t>(r)] = std::log(total) - target;
    if (dlogits.empty()) return;
    T* gradient = dlogits.data() + r * k;
    for (index_t i = 0; i < k; ++i)
      gradient[i] = static_cast<T>((std::exp(static_cast<double>(row[i]) - top) / total -
                                    ((i == label ? 1 - smoothing : 0.0) + share)) /
                                   static_cast<double>(n));
  });
  const double sum =
      detail::block_sum(n, [&](index_t r) { return losses[static_cast<std::size_t>(r)]; });
  return static_cast<T>(sum / static_cast<double>(n));
}

template <Real T>
T soft_cross_entropy(View<const T> logits, View<const T> targets, View<T> dlogits) {
  const detail::ProfiledKernel profiled(detail::KernelKind::elementwise, [&] {
    return detail::cost_of_bytes(logits, targets, dlogits);
  });
  if (logits.shape().rank() != 2 || logits.numel() == 0)
    raise<ShapeError>("soft_cross_entropy: expected logits (N, K), got ", logits.shape());
  require_shape("soft_cross_entropy: targets", targets.shape(), logits.shape());
  const index_t n = logits.extent(0), k = logits.extent(1);
  detail::require_elements("soft_cross_entropy", n * k, logits, targets);
  if (!dlogits.empty()) detail::require_elements("soft_cross_entropy: dlogits", n * k, dlogits);
  std::vector<double> losses(static_cast<std::size_t>(n));
  parallel_for(n, detail::row_grain(16 * k), [&](index_t r) {
    const T *row = logits.data() + r * k, *target = targets.data() + r * k;
    const auto top = static_cast<double>(*std::max_element(row, row + k));
    double total = 0, shares = 0, mean = 0;  // mean logit by the shares
    for (index_t i = 0; i < k; ++i) {
      const double logit = static_cast<double>(row[i]) - top, q = static_cast<double>(target[i]);
      total += std::exp(logit);
      shares += q;
      mean += q * logit;
    }
    losses[static_cast<std::size_t>(r)] = shares * std::log(total) - mean;
    if (dlogits.empty()) return;
    T* gradient = dlogits.data() + r * k;
    for (index_t i = 0; i < k; ++i)
      gradient[i] = static_cast<T>((shares * std::exp(static_cast<double>(row[i]) - top) / total -
                                    static_cast<double>(target[i])) /
                                   static_cast<double>(n));
  });
  const double sum =
      detail::block_sum(n, [&](index_t r) { return losses[static_cast<std::size_t>(r)]; });
  return static_cast<T>(sum / static_cast<double>(n));
}

template float mse<float>(View<const float>, View<const float>);
template double mse<double>(View<const double>, View<const double>);
template void mse_backward<float>(View<const float>, View<const float>, float, View<float>);
template void mse_backward<double>(View<const double>, View<const double>, double, View<double>);
template float l1<float>(View<const float>, View<const float>);
template double l1<double>(View<const double>, View<const double>);
template void l1_backward<float>(View<const float>, View<const float>, float, View<float>);
template void l1_backward<double>(View<const double>, View<const double>, double, View<double>);
template float cross_entropy<float>(View<const float>, std::span<const std::int64_t>, View<float>,
                                    double);
template double cross_entropy<double>(View<const double>, std::span<const std::int64_t>,
                                      View<double>, double);
template float soft_cross_entropy<float>(View<const float>, View<const float>, View<float>);
template double soft_cross_entropy<double>(View<const double>, View<const double>, View<double>);

}  // namespace rae
