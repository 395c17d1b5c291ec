#include "rae/kernels/gaussian.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/block_sum.hpp"
#include "kernels/contiguous.hpp"
#include "rae/core/parallel.hpp"

namespace rae {
namespace {

constexpr index_t kExpWork = 16;  // additions that take as long as one exponential

/// The number C of elements of one distribution.
template <class T>
index_t dimension(std::string_view where, const View<const T>& moments) {
  const Shape& s = moments.shape();
  if (s.rank() < 1 || moments.numel() == 0 || s[-1] % 2 != 0)
    raise<ShapeError>(where, ": expected means and logarithms of variances (..., 2C), got ", s);
  detail::require_elements(where, moments.numel(), moments);
  return s[-1] / 2;
}

template <class T>
T clamped(T log_variance) {
  return std::clamp(log_variance, static_cast<T>(kLeastLogVariance),
                    static_cast<T>(kLargestLogVariance));
}

template <class T>
bool is_inside(T log_variance) {
  return log_variance >= static_cast<T>(kLeastLogVariance) &&
         log_variance <= static_cast<T>(kLargestLogVariance);
}

/// Calls body(moment, element) for each element of the distributions: the places of its mean and of
/// the element itself.
template <class Body>
void for_elements(index_t rows, index_t c, Body body) {
  parallel_for(rows, detail::row_grain(kExpWork * c), [=](index_t row) {
    for (index_t i = 0; i < c; ++i) body(2 * row * c + i, row * c + i);
  });
}

}  // namespace

template <Real T>
void gaussian_sample(View<const T> moments, View<const T> noise, View<T> out) {
  const index_t c = dimension("gaussian_sample", moments), n = moments.numel() / 2;
  detail::require_elements("gaussian_sample", n, noise, out);
  const T *m = moments.data(), *e = noise.data();
  T* to = out.data();
  for_elements(n / c, c, [=](index_t at, index_t i) {
    to[i] = m[at] + std::exp(clamped(m[at + c]) / 2) * e[i];
  });
}

template <Real T>
void gaussian_sample_backward(View<const T> moments, View<const T> noise, View<const T> dout,
                              View<T> dmoments) {
  const index_t c = dimension("gaussian_sample_backward", moments), n = moments.numel() / 2;
  detail::require_elements("gaussian_sample_backward", n, noise, dout);
  detail::require_elements("gaussian_sample_backward", 2 * n, dmoments);
  const T *m = moments.data(), *e = noise.data(), *g = dout.data();
  T* to = dmoments.data();
  for_elements(n / c, c, [=](index_t at, index_t i) {
    to[at] = g[i];
    to[at + c] = is_inside(m[at + c]) ? g[i] * e[i] * std::exp(m[at + c] / 2) / 2 : T(0);
  });
}

template <Real T>
T gaussian_kl(View<const T> moments) {
  const index_t c = dimension("gaussian_kl", moments), n = moments.numel() / 2;
  const T* m = moments.data();
  const double sum = detail::block_sum(n, [=](index_t i) {
    const index_t at = i / c * 2 * c + i % c;
    const auto mean = static_cast<double>(m[at]),
               log_variance = static_cast<double>(clamped(m[at + c]));
    return mean * mean + std::expm1(log_variance) - log_variance;
  });
  return static_cast<T>(sum / 2 / static_cast<double>(n));
}

template <Real T>
void gaussian_kl_backward(View<const T> moments, T dloss, View<T> dmoments) {
  const index_t c = dimension("gaussian_kl_backward", moments), n = moments.numel() / 2;
  detail::require_elements("gaussian_kl_backward", 2 * n, dmoments);
  const T* m = moments.data();
  T* to = dmoments.data();
  const T scale = dloss / static_cast<T>(n);
  for_elements(n / c, c, [=](index_t at, index_t) {
    to[at] = scale * m[at];
    to[at + c] = is_inside(m[at + c]) ? scale * std::expm1(m[at + c]) / 2 : T(0);
  });
}

template void gaussian_sample<float>(View<const float>, View<const float>, View<float>);
template void gaussian_sample<double>(View<const double>, View<const double>, View<double>);
template void gaussian_sample_backward<float>(View<const float>, View<const float>,
                                              View<const float>, View<float>);
template void gaussian_sample_backward<double>(View<const double>, View<const double>,
                                               View<const double>, View<double>);
template float gaussian_kl<float>(View<const float>);
template double gaussian_kl<double>(View<const double>);
template void gaussian_kl_backward<float>(View<const float>, float, View<float>);
template void gaussian_kl_backward<double>(View<const double>, double, View<double>);

}  // namespace rae
