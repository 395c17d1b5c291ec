// Plain-loop twin of kernels/loss.hpp, on arrays of any shape.
#pragma once

#include "rae/core/math.hpp"
#include "rae/kernels/loss.hpp"

namespace rae::reference {

/// Mean of (a - b)^2.
template <Real T>
[[nodiscard]] T mse(View<const T> a, View<const T> b) {
  double sum = 0;
  for (index_t i = 0; i < a.numel(); ++i)
    sum += math::pow(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]), 2);
  return static_cast<T>(sum / static_cast<double>(a.numel()));
}

/// da = dloss * 2 (a - b) / numel.
template <Real T>
void mse_backward(View<const T> a, View<const T> b, T dloss, View<T> da) {
  for (index_t i = 0; i < a.numel(); ++i)
    da.data()[i] = dloss * 2 * (a.data()[i] - b.data()[i]) / static_cast<T>(a.numel());
}

/// Mean of |a - b|.
template <Real T>
[[nodiscard]] T l1(View<const T> a, View<const T> b) {
  double sum = 0;
  for (index_t i = 0; i < a.numel(); ++i)
    sum += math::fabs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]));
  return static_cast<T>(sum / static_cast<double>(a.numel()));
}

/// da = dloss * sign(a - b) / numel.
template <Real T>
void l1_backward(View<const T> a, View<const T> b, T dloss, View<T> da) {
  for (index_t i = 0; i < a.numel(); ++i) {
    const T sign = static_cast<T>((a.data()[i] > b.data()[i]) - (a.data()[i] < b.data()[i]));
    da.data()[i] = dloss * sign / static_cast<T>(a.numel());
  }
}

/// Mean of -log softmax(logits (N, K))[label], as the formula says: exp overflows for logits beyond
/// 700.
template <Real T>
[[nodiscard]] T cross_entropy(View<const T> logits, std::span<const std::int64_t> labels,
                              View<T> dlogits = {}, double smoothing = 0) {
  double sum = 0;
  const auto n = static_cast<double>(logits.extent(0));
  for (index_t r = 0; r < logits.extent(0); ++r) {
    const std::int64_t label = labels[static_cast<std::size_t>(r)];
    double total = 0;
    for (index_t k = 0; k < logits.extent(1); ++k)
      total += math::exp(static_cast<double>(logits(r, k)));
    for (index_t k = 0; k < logits.extent(1); ++k) {
      const double p = math::exp(static_cast<double>(logits(r, k))) / total,
                   q = (k == label ? 1 - smoothing : 0) +
                       smoothing / static_cast<double>(logits.extent(1));
      sum -= q * math::log(p);
      if (!dlogits.empty()) dlogits(r, k) = static_cast<T>((p - q) / n);
    }
  }
  return static_cast<T>(sum / n);
}

/// Mean of the sum of -q log softmax(logits (N, K)), for targets q (N, K).
template <Real T>
[[nodiscard]] T soft_cross_entropy(View<const T> logits, View<const T> targets,
                                   View<T> dlogits = {}) {
  double sum = 0;
  const auto n = static_cast<double>(logits.extent(0));
  for (index_t r = 0; r < logits.extent(0); ++r) {
    double total = 0, shares = 0;
    for (index_t k = 0; k < logits.extent(1); ++k) {
      total += math::exp(static_cast<double>(logits(r, k)));
      shares += static_cast<double>(targets(r, k));
    }
    for (index_t k = 0; k < logits.extent(1); ++k) {
      const double p = math::exp(static_cast<double>(logits(r, k))) / total,
                   q = static_cast<double>(targets(r, k));
      sum -= q * math::log(p);
      if (!dlogits.empty()) dlogits(r, k) = static_cast<T>((shares * p - q) / n);
    }
  }
  return static_cast<T>(sum / n);
}

}  // namespace rae::reference
