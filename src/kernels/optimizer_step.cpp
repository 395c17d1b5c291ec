#include "rae/kernels/optimizer_step.hpp"

#include <cmath>

#include "core/kernel_profile.hpp"
#include "kernels/block_sum.hpp"
#include "kernels/contiguous.hpp"
#include "rae/core/parallel.hpp"

namespace rae {

template <Real T>
void adamw_step(View<T> param, View<const T> grad, View<T> exp_avg, View<T> exp_avg_sq,
                index_t step, const AdamWOptions& o, double grad_scale) {
  const detail::ProfiledKernel profiled(detail::KernelKind::update, [&] {
    return detail::cost_of_bytes(param, grad, exp_avg, exp_avg_sq);
  });
  detail::require_elements("adamw_step", param.numel(), param, grad, exp_avg, exp_avg_sq);
  if (step < 1) raise<ArgumentError>("adamw_step: steps count from 1, got ", step);
  const double correction1 = 1.0 - std::pow(o.beta1, static_cast<double>(step));
  const double correction2 = std::sqrt(1.0 - std::pow(o.beta2, static_cast<double>(step)));
  const T keep = static_cast<T>(1.0 - o.lr * o.weight_decay),
          size = static_cast<T>(o.lr / correction1);
  const T b1 = static_cast<T>(o.beta1), b2 = static_cast<T>(o.beta2),
          c1 = static_cast<T>(1.0 - o.beta1), c2 = static_cast<T>(1.0 - o.beta2);
  const T eps = static_cast<T>(o.eps), scale = static_cast<T>(grad_scale),
          root = static_cast<T>(correction2);
  T *p = param.data(), *m = exp_avg.data(), *v = exp_avg_sq.data();
  const T* g = grad.data();
  detail::parallel_elements(param.numel(), [=](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const T gradient = g[i] * scale;
      m[i] = b1 * m[i] + c1 * gradient;
      v[i] = b2 * v[i] + c2 * gradient * gradient;
      p[i] = p[i] * keep - size * m[i] / (std::sqrt(v[i]) / root + eps);
    }
  });
}

template <Real T>
void ema_update(View<T> ema, View<const T> param, double decay) {
  const detail::ProfiledKernel profiled(detail::KernelKind::update,
                                        [&] { return detail::cost_of_bytes(ema, param); });
  detail::require_elements("ema_update", ema.numel(), ema, param);
  const T d = static_cast<T>(decay), rest = static_cast<T>(1.0 - decay);
  T* e = ema.data();
  const T* p = param.data();
  detail::parallel_elements(ema.numel(), [=](index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) e[i] = d * e[i] + rest * p[i];
  });
}

template <Real T>
double sum_of_squares(View<const T> x) {
  const detail::ProfiledKernel profiled(detail::KernelKind::update,
                                        [&] { return detail::cost_of_bytes(x); });
  detail::require_elements("sum_of_squares", x.numel(), x);
  const T* data = x.data();
  return detail::block_sum(x.numel(), [=](index_t i) {
    return static_cast<double>(data[i]) * static_cast<double>(data[i]);
  });
}

template void adamw_step<float>(View<float>, View<const float>, View<float>, View<float>, index_t,
                                const AdamWOptions&, double);
template void adamw_step<double>(View<double>, View<const double>, View<double>, View<double>,
                                 index_t, const AdamWOptions&, double);
template void ema_update<float>(View<float>, View<const float>, double);
template void ema_update<double>(View<double>, View<const double>, double);
template double sum_of_squares<float>(View<const float>);
template double sum_of_squares<double>(View<const double>);

}  // namespace rae
