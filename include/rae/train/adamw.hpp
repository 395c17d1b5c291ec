// AdamW and the exponential moving average over all parameters of a model, with gradient clipping
// by the global norm.
//
// Loshchilov and Hutter 2019; clipping as torch.nn.utils.clip_grad_norm_; RAE trains with betas
// (0.9, 0.95) and no weight decay.
#pragma once

#include <string>
#include <vector>

#include "rae/core/math.hpp"
#include "rae/kernels/optimizer_step.hpp"
#include "rae/nn/parameter.hpp"

namespace rae {

/// Takes the place of the sum and the update of AdamW where several ranks share the work.
template <Real T>
class SharedUpdate {
 public:
  virtual ~SharedUpdate() = default;
  /// The norm of the gradients of all ranks together. Throws NumericError, on all ranks.
  [[nodiscard]] virtual double gradient_norm() = 0;
  /// Update number `step` of all parameters and averages; clears the gradients.
  virtual void update(index_t step, const AdamWOptions& options, double scale,
                      double ema_decay) = 0;
};

/// Optimiser state of a model in training. The model must outlive it and keep its parameters in
/// place.
template <Real T>
class AdamW {
 public:
  /// One parameter with its moments and its average.
  struct Slot {
    std::string name;
    Var<T> parameter;                    // any shape (*)
    Tensor<T> exp_avg, exp_avg_sq, ema;  // (*), that of the parameter
  };

  template <class Model>
  explicit AdamW(Model& model, const AdamWOptions& options = {}, double ema_decay = 0.9995)
      : options_(options), ema_decay_(ema_decay) {
    model.parameters([&](const std::string& name, Parameter<Var<T>>& p) {
      slots_.push_back(
          {name, p.value, Tensor<T>::zeros(p.shape()), Tensor<T>::zeros(p.shape()), p.tensor()});
    });
  }

  /// Global norm of all gradients, in double.
  [[nodiscard]] double gradient_norm() const {
    double sum = 0;
    for (const Slot& slot : slots_)
      if (!slot.parameter.grad().empty()) sum += sum_of_squares<T>(slot.parameter.grad());
    return math::sqrt(sum);
  }

  /// One update of all parameters that have a gradient, then of the average; clears the gradients.
  /// `max_norm` 0 does not clip. Returns the norm before clipping. Throws NumericError, with
  /// nothing changed, when it is not finite.
  double step(double lr, double max_norm = 0.0) {
    const double norm = shared_ == nullptr ? gradient_norm() : shared_->gradient_norm();
    if (!math::is_finite(norm))
      raise<NumericError>("AdamW: the gradient norm is ", norm, " at step ", step_ + 1);
    const double scale = max_norm > 0 ? math::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
    AdamWOptions options = options_;
    options.lr = lr;
    ++step_;
    if (shared_ != nullptr) {
      shared_->update(step_, options, scale, ema_decay_);
      return norm;
    }
    for (Slot& slot : slots_) {
      if (!slot.parameter.grad().empty())
        adamw_step<T>(slot.parameter.mutable_value(), slot.parameter.grad(), slot.exp_avg,
                      slot.exp_avg_sq, step_, options, scale);
      slot.parameter.clear_grad();
      ema_update<T>(slot.ema, slot.parameter.value(), ema_decay_);
    }
    return norm;
  }

  /// Steps taken so far.
  [[nodiscard]] index_t steps() const noexcept { return step_; }
  void set_steps(index_t steps) noexcept { step_ = steps; }

  /// From now on `step` leaves the norm and the update to `shared`, which must live as long as they
  /// are used; null: no longer.
  void share(SharedUpdate<T>* shared) noexcept { shared_ = shared; }

  /// Parameters with their state, in the order of the model's list; for checkpoints.
  [[nodiscard]] std::vector<Slot>& slots() noexcept { return slots_; }
  [[nodiscard]] const std::vector<Slot>& slots() const noexcept { return slots_; }

  /// Copies the averages into a model of the same kind, for example the one that is sampled.
  template <class Model>
  void copy_ema_to(Model& model) const {
    std::size_t i = 0;
    model.parameters([&](const std::string& name, auto& p) {
      if (i == slots_.size() || slots_[i].name != name)
        raise<ConfigError>("AdamW::copy_ema_to: unexpected parameter ", name);
      p.set(slots_[i++].ema);
    });
  }

 private:
  AdamWOptions options_;
  double ema_decay_;
  index_t step_ = 0;
  std::vector<Slot> slots_;
  SharedUpdate<T>* shared_ = nullptr;
};

}  // namespace rae
