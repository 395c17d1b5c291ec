// Learning-rate schedules of the official training: warm-up, then linear or cosine decay to a final
// rate, then constant.
//
// Loshchilov and Hutter 2017, "SGDR", equation 5 without restarts (cosine); the linear decay is
// that of the official stage 2.
#pragma once

#include <numbers>

#include "rae/core/math.hpp"
#include "rae/core/shape.hpp"

namespace rae {

/// Shape of the decay.
enum class LrDecay { linear, cosine };

/// Learning rate as a function of the optimiser step. The defaults are constant at `base_lr`.
struct LrSchedule {
  LrDecay decay = LrDecay::linear;
  double base_lr = 2e-4, final_lr = 2e-4;
  index_t warmup_steps = 0, decay_end_step = 0;
  bool warmup_from_zero = false;  ///< ramp up linearly; otherwise the warm-up is constant at
                                  ///< base_lr, as official stage 2 has it

  /// Rate of step k; the first step is 0.
  [[nodiscard]] double operator()(index_t k) const noexcept {
    if (k < warmup_steps)
      return warmup_from_zero
                 ? base_lr * static_cast<double>(k + 1) / static_cast<double>(warmup_steps)
                 : base_lr;
    if (k >= decay_end_step) return final_lr;
    const double p = static_cast<double>(k - warmup_steps) /
                     static_cast<double>(decay_end_step - warmup_steps),
                 r = final_lr / base_lr;
    return base_lr * (decay == LrDecay::linear
                          ? 1.0 - (1.0 - r) * p
                          : r + (1.0 - r) * 0.5 * (1.0 + math::cos(std::numbers::pi * p)));
  }
};

}  // namespace rae
