// Plain-loop twin of kernels/optimizer_step.hpp, computed in double.
#pragma once

#include "rae/core/math.hpp"
#include "rae/kernels/optimizer_step.hpp"

namespace rae::reference {

/// One AdamW update (Loshchilov and Hutter 2019, algorithm 2 with the step size of PyTorch).
template <Real T>
void adamw_step(View<T> param, View<const T> grad, View<T> exp_avg, View<T> exp_avg_sq,
                index_t step, const AdamWOptions& options, double grad_scale = 1.0) {
  for (index_t i = 0; i < param.numel(); ++i) {
    const double g = static_cast<double>(grad.data()[i]) * grad_scale;
    const double m =
        options.beta1 * static_cast<double>(exp_avg.data()[i]) + (1 - options.beta1) * g;
    const double v =
        options.beta2 * static_cast<double>(exp_avg_sq.data()[i]) + (1 - options.beta2) * g * g;
    const double m_hat = m / (1 - math::pow(options.beta1, static_cast<double>(step)));
    const double v_hat = v / (1 - math::pow(options.beta2, static_cast<double>(step)));
    const double decayed =
        static_cast<double>(param.data()[i]) * (1 - options.lr * options.weight_decay);
    param.data()[i] =
        static_cast<T>(decayed - options.lr * m_hat / (math::sqrt(v_hat) + options.eps));
    exp_avg.data()[i] = static_cast<T>(m);
    exp_avg_sq.data()[i] = static_cast<T>(v);
  }
}

/// ema = decay * ema + (1 - decay) * param.
template <Real T>
void ema_update(View<T> ema, View<const T> param, double decay) {
  for (index_t i = 0; i < ema.numel(); ++i)
    ema.data()[i] = static_cast<T>(decay * static_cast<double>(ema.data()[i]) +
                                   (1 - decay) * static_cast<double>(param.data()[i]));
}

/// Sum of squares.
template <Real T>
[[nodiscard]] double sum_of_squares(View<const T> x) {
  double sum = 0;
  for (index_t i = 0; i < x.numel(); ++i) sum += math::pow(static_cast<double>(x.data()[i]), 2);
  return sum;
}

}  // namespace rae::reference
