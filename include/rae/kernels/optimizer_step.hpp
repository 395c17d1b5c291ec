// AdamW, the exponential moving average of weights, and the norm that gradient clipping needs.
//
// Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), as torch.optim.AdamW
// computes it.
#pragma once

#include "rae/core/dtype.hpp"
#include "rae/core/view.hpp"

namespace rae {

/// Hyper-parameters of AdamW; the defaults are those of RAE's training.
struct AdamWOptions {
  double lr = 2e-4, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.0;
};

/// One update with gradient grad * grad_scale. `step` counts from 1. All arrays contiguous and of
/// equal size. Throws ShapeError, ArgumentError for step < 1.
template <Real T>
void adamw_step(View<T> param, View<const T> grad, View<T> exp_avg, View<T> exp_avg_sq,
                index_t step, const AdamWOptions& options, double grad_scale = 1.0);

/// ema = decay * ema + (1 - decay) * param. Throws ShapeError.
template <Real T>
void ema_update(View<T> ema, View<const T> param, double decay);

/// Sum of squares in double, in a fixed order. Throws ShapeError for strided memory.
template <Real T>
[[nodiscard]] double sum_of_squares(View<const T> x);

extern template void adamw_step<float>(View<float>, View<const float>, View<float>, View<float>,
                                       index_t, const AdamWOptions&, double);
extern template void adamw_step<double>(View<double>, View<const double>, View<double>,
                                        View<double>, index_t, const AdamWOptions&, double);
extern template void ema_update<float>(View<float>, View<const float>, double);
extern template void ema_update<double>(View<double>, View<const double>, double);
extern template double sum_of_squares<float>(View<const float>);
extern template double sum_of_squares<double>(View<const double>);

}  // namespace rae
