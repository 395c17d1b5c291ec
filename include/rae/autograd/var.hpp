// Var: a tensor whose history is recorded; Tape: the record. Reverse-mode automatic
// differentiation.
//
// Operations append their backward to the tape of the current scope; `Tape::backward` runs them in
// reverse and frees what they held. Source: Griewank and Walther, "Evaluating Derivatives" (2008),
// chapter 3.
#pragma once

#include <utility>
#include <vector>

#include "rae/core/function.hpp"
#include "rae/core/shared.hpp"
#include "rae/core/tensor.hpp"
#include "rae/kernels/elementwise.hpp"

namespace rae {

template <Real T>
class Tape;

/// A handle on a value and its gradient. Copies refer to the same variable.
template <Real T>
class Var {
 public:
  using value_type = T;

  Var() = default;

  /// A leaf. `requires_grad` makes operations on it record themselves.
  explicit Var(Tensor<T> value, bool requires_grad = false) : state_(Shared<State>::make()) {
    state_->value = std::move(value);
    state_->requires_grad = requires_grad;
  }

  [[nodiscard]] bool empty() const noexcept { return !state_ || state_->value.empty(); }
  [[nodiscard]] const Tensor<T>& value() const noexcept { return state_->value; }
  [[nodiscard]] const Shape& shape() const noexcept { return state_->value.shape(); }
  [[nodiscard]] index_t extent(int i) const noexcept { return shape()[i]; }
  [[nodiscard]] bool requires_grad() const noexcept { return state_ && state_->requires_grad; }
  void set_requires_grad(bool on) { state_->requires_grad = on; }

  /// Replaces the value of a leaf: what an optimiser does. The tensor must have the same shape.
  void set_value(Tensor<T> value) {
    require_shape("Var::set_value", value.shape(), shape());
    state_->value = std::move(value);
  }
  /// Mutable access to a leaf's value, for optimisers; not while a tape holds operations on it.
  [[nodiscard]] Tensor<T>& mutable_value() noexcept { return state_->value; }

  /// d loss / d value after `Tape::backward`; empty when nothing has flowed here. Backward passes
  /// add up until `clear_grad`.
  [[nodiscard]] const Tensor<T>& grad() const noexcept { return state_->grad; }
  void clear_grad() const { state_->grad = Tensor<T>(); }

  /// The same value without its history.
  [[nodiscard]] Var detached(bool requires_grad = false) const {
    return Var(value(), requires_grad);
  }

  /// Adds `gradient` to the gradient; for the backward of operations.
  void accumulate(Tensor<T> gradient) const {
    if (!state_->requires_grad) return;
    if (state_->grad.empty())
      return replace_grad(gradient.shape() == shape() ? std::move(gradient)
                                                      : gradient.reshaped(shape()));
    Tensor<T> sum(
        shape());  // not in place: others may share what is there, and it would be copied first
    axpby<T>(T(1), grad(), T(1), gradient, sum);
    replace_grad(std::move(sum));
  }

  /// Puts `gradient`, of the value's shape, in the place of the gradient; for the backward of
  /// operations that have added it themselves.
  void replace_grad(Tensor<T> gradient) const { state_->grad = std::move(gradient); }

  /// The gradient's elements, zero at first, for operations that add to parts of it.
  [[nodiscard]] Tensor<T>& mutable_grad() const {
    if (state_->grad.empty()) state_->grad = Tensor<T>::zeros(shape());
    return state_->grad;
  }

 private:
  struct State {
    Tensor<T> value, grad;
    bool requires_grad = false;
  };
  Shared<State> state_;
};

namespace detail {
template <Real T>
inline thread_local Tape<T>* current_tape = nullptr;
}  // namespace detail

/// The operations of one forward pass. While a `TapeScope` on it is alive, operations of this
/// thread are recorded here.
template <Real T>
class Tape {
 public:
  /// Appends the backward of an operation with result `out`; it runs only if a gradient reaches
  /// `out`.
  template <class Backward>
  void record(const Var<T>& out, Backward backward) {
    steps_.push_back([out, backward = std::move(backward)] {
      if (out.grad().empty()) return;
      backward(out.grad());
      out.clear_grad();
    });
  }

  /// Runs the record in reverse from `loss`, whose gradient is set to `seed` (ones when empty),
  /// adds to the gradients of all leaves, and clears the record. Throws ShapeError when the seed
  /// does not fit.
  void backward(const Var<T>& loss, Tensor<T> seed = {}) {
    if (seed.empty()) seed = Tensor<T>(loss.shape(), T(1));
    require_shape("Tape::backward: seed", seed.shape(), loss.shape());
    loss.accumulate(std::move(seed));
    while (!steps_.empty()) {
      const Function<void()> step = std::move(steps_.back());
      steps_.pop_back();
      step();
    }
  }

  void clear() { steps_.clear(); }
  [[nodiscard]] std::size_t size() const noexcept { return steps_.size(); }

 private:
  std::vector<Function<void()>> steps_;
};

/// Records operations of this thread on a tape until the end of the scope. Scopes nest.
template <Real T>
class TapeScope {
 public:
  explicit TapeScope(Tape<T>& tape) noexcept
      : previous_(std::exchange(detail::current_tape<T>, &tape)) {}
  ~TapeScope() { detail::current_tape<T> = previous_; }
  TapeScope(const TapeScope&) = delete;
  TapeScope& operator=(const TapeScope&) = delete;

 protected:
  explicit TapeScope(std::nullptr_t) noexcept
      : previous_(std::exchange(detail::current_tape<T>, nullptr)) {}

 private:
  Tape<T>* previous_;
};

/// Nothing is recorded until the end of the scope.
template <Real T>
class NoGrad : public TapeScope<T> {
 public:
  NoGrad() noexcept : TapeScope<T>(nullptr) {}
};

namespace detail {

/// Makes the result of an operation and records its backward when one of the inputs needs a
/// gradient.
template <Real T, class Backward, class... Inputs>
Var<T> make_result(Tensor<T> value, Backward backward, const Inputs&... inputs) {
  Tape<T>* tape = current_tape<T>;
  const bool needed = tape != nullptr && (inputs.requires_grad() || ...);
  Var<T> out(std::move(value), needed);
  if (needed) tape->record(out, std::move(backward));
  return out;
}

}  // namespace detail

/// Runs `f(inputs...)` without recording it, and again when its gradient is needed: activations of
/// `f` are not kept in between. Chen et al., "Training Deep Nets with Sublinear Memory Cost"
/// (2016). Gradients of parameters used by `f` are exact.
template <Real T, class F, class... Inputs>
Var<T> checkpoint(F f, const Var<T>& first, const Inputs&... rest) {
  Tape<T>* tape = detail::current_tape<T>;
  if (tape == nullptr) return f(first, rest...);
  Tensor<T> value;
  {
    NoGrad<T> no_grad;
    value = f(first, rest...).value();
  }
  // Parameters inside f may need gradients even when its inputs do not, so the step is always
  // recorded.
  Var<T> out(std::move(value), true);
  tape->record(out, [f, first, rest...](const Tensor<T>& gradient) {
    Tape<T> inner;
    auto again = [&](const Var<T>& x, const auto&... others) {
      const Var<T> result = [&] {
        TapeScope<T> scope(inner);
        return f(x, others...);
      }();
      inner.backward(result, gradient);
      auto pass = [](const Var<T>& outer, const Var<T>& leaf) {
        if (outer.requires_grad() && !leaf.grad().empty()) outer.accumulate(leaf.grad());
      };
      pass(first, x);
      (pass(rest, others), ...);
    };
    again(first.detached(first.requires_grad()), rest.detached(rest.requires_grad())...);
  });
  return out;
}

/// The tensor behind either kind of operand of a model text.
template <Real T>
const Tensor<T>& value_of(const Tensor<T>& x) noexcept {
  return x;
}
template <Real T>
const Tensor<T>& value_of(const Var<T>& x) noexcept {
  return x.value();
}

}  // namespace rae
