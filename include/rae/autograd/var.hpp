// Reverse-mode automatic differentiation: Var is a tensor with a gradient, Tape the record of the
// operations on such tensors.
//
// Each operation appends its backward function to the tape of the current scope; `Tape::backward`
// runs them in reverse order and frees the tensors that they hold. Griewank and Walther,
// "Evaluating Derivatives" (2008), chapter 3.
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

/// A tensor and its gradient, of any shape. A Var is a handle: copies refer to the same variable.
/// Two threads must not use the same variable at once unless both only read its value.
template <Real T>
class Var {
 public:
  using value_type = T;  ///< of the elements

  /// No variable: `empty()` is true, and only that and `requires_grad` may be called.
  Var() = default;

  /// A variable that no operation made, a leaf. With `requires_grad` the operations on it are
  /// recorded and its gradient is computed.
  explicit Var(Tensor<T> value, bool requires_grad = false) : state_(Shared<State>::make()) {
    state_->value = std::move(value);
    state_->requires_grad = requires_grad;
  }

  /// True when there is no variable or its value has no elements.
  [[nodiscard]] bool empty() const noexcept { return !state_ || state_->value.empty(); }
  /// The value, (...).
  [[nodiscard]] const Tensor<T>& value() const noexcept { return state_->value; }
  /// The shape of the value and of the gradient.
  [[nodiscard]] const Shape& shape() const noexcept { return state_->value.shape(); }
  /// The extent of dimension i; negative i count from the last.
  [[nodiscard]] index_t extent(int i) const noexcept { return shape()[i]; }
  /// True when operations on this variable are recorded.
  [[nodiscard]] bool requires_grad() const noexcept { return state_ && state_->requires_grad; }
  /// Turns recording on or off for the operations that follow.
  void set_requires_grad(bool on) { state_->requires_grad = on; }

  /// Replaces the value of a leaf, as an optimiser does, by one of the same shape. Throws
  /// ShapeError.
  void set_value(Tensor<T> value) {
    require_shape("Var::set_value", value.shape(), shape());
    state_->value = std::move(value);
  }
  /// The value of a leaf, (...), for an optimiser that changes it in place. Not to be changed while
  /// a tape holds operations on it.
  [[nodiscard]] Tensor<T>& mutable_value() noexcept { return state_->value; }

  /// d loss / d value, (...), after `Tape::backward`; empty when no gradient has reached this
  /// variable. The gradients of several backward passes add up until `clear_grad`.
  [[nodiscard]] const Tensor<T>& grad() const noexcept { return state_->grad; }
  /// The number of times that something was added to the gradient since the variable was made: in
  /// passes of the same operations, a gradient is complete after the same number of changes.
  [[nodiscard]] unsigned grad_changes() const noexcept { return state_->grad_changes; }
  /// Makes the gradient empty.
  void clear_grad() const { state_->grad = Tensor<T>(); }

  /// A leaf with the same value, separate from the operations that made this one.
  [[nodiscard]] Var detached(bool requires_grad = false) const {
    return Var(value(), requires_grad);
  }

  /// Adds `gradient`, with as many elements as the value, to the gradient, if this variable
  /// requires one. For the backward functions of operations. Throws ShapeError.
  void accumulate(Tensor<T> gradient) const {
    if (!state_->requires_grad) return;
    if (state_->grad.empty())
      return replace_grad(gradient.shape() == shape() ? std::move(gradient)
                                                      : gradient.reshaped(shape()));
    // Not in place: others may share the memory of the gradient, which would then be copied first.
    Tensor<T> sum(shape());  // (...)
    axpby<T>(T(1), grad(), T(1), gradient, sum);
    replace_grad(std::move(sum));
  }

  /// Replaces the gradient by `gradient`, of the same shape. For backward functions that have added
  /// the previous gradient themselves.
  void replace_grad(Tensor<T> gradient) const {
    state_->grad = std::move(gradient);
    ++state_->grad_changes;
  }

  /// The gradient, (...), created as zeros when it is empty. For backward functions that add to
  /// parts of it.
  [[nodiscard]] Tensor<T>& mutable_grad() const {
    if (state_->grad.empty()) state_->grad = Tensor<T>::zeros(shape());
    ++state_->grad_changes;
    return state_->grad;
  }

 private:
  struct State {
    Tensor<T> value, grad;  // (...) each; grad may be empty
    bool requires_grad = false;
    unsigned grad_changes = 0;
  };
  Shared<State> state_;
};

namespace detail {
/// The tape of the innermost scope of this thread, or null.
template <Real T>
inline thread_local Tape<T>* current_tape = nullptr;
}  // namespace detail

/// The record of the operations of one forward pass. While a `TapeScope` on a tape exists,
/// operations of the same thread are recorded on it.
template <Real T>
class Tape {
 public:
  /// Appends the backward function of an operation with result `out`. `Tape::backward` calls it
  /// with the gradient of `out`, of the shape of `out`, if one has reached it.
  template <class Backward>
  void record(const Var<T>& out, Backward backward) {
    steps_.push_back([out, backward = std::move(backward)] {
      if (out.grad().empty()) return;
      backward(out.grad());
      out.clear_grad();
    });
  }

  /// Runs the record in reverse order from `loss`, whose gradient is set to `seed` (ones when
  /// empty), adds to the gradients of all leaves that require one, and clears the record.
  /// `after_each`, which may be empty, is called after each operation. Throws ShapeError unless
  /// seed has the shape of loss.
  void backward(const Var<T>& loss, Tensor<T> seed = {}, const Function<void()>& after_each = {}) {
    if (seed.empty()) seed = Tensor<T>(loss.shape(), T(1));
    require_shape("Tape::backward: seed", seed.shape(), loss.shape());
    loss.accumulate(std::move(seed));
    while (!steps_.empty()) {
      const Function<void()> step = std::move(steps_.back());
      steps_.pop_back();
      step();
      if (after_each) after_each();
    }
  }

  /// Discards the record.
  void clear() { steps_.clear(); }
  /// The number of recorded operations.
  [[nodiscard]] std::size_t size() const noexcept { return steps_.size(); }

 private:
  std::vector<Function<void()>> steps_;
};

/// Records the operations of this thread on a tape while it exists. Scopes nest: the innermost
/// counts.
template <Real T>
class TapeScope {
 public:
  /// Starts recording on `tape`, which must live as long as the scope.
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

/// Suspends recording on this thread while it exists.
template <Real T>
class NoGrad : public TapeScope<T> {
 public:
  /// Suspends recording.
  NoGrad() noexcept : TapeScope<T>(nullptr) {}
};

namespace detail {

/// The result of an operation, with `value`; `backward`, called with the gradient of the result, is
/// recorded when there is a tape and one of the inputs requires a gradient.
template <Real T, class Backward, class... Inputs>
Var<T> make_result(Tensor<T> value, Backward backward, const Inputs&... inputs) {
  Tape<T>* tape = current_tape<T>;
  const bool needed = tape != nullptr && (inputs.requires_grad() || ...);
  Var<T> out(std::move(value), needed);  // (...)
  if (needed) tape->record(out, std::move(backward));
  return out;
}

}  // namespace detail

/// f(first, rest...), of any shapes, computed without recording it and a second time, recorded, in
/// the backward pass: the activations inside `f` are not kept in between. Gradients are those of
/// the plain call, also for parameters that `f` uses without taking them as arguments. Chen et al.,
/// "Training Deep Nets with Sublinear Memory Cost" (2016), section 4. Throws what `f` throws.
template <Real T, class F, class... Inputs>
Var<T> checkpoint(F f, const Var<T>& first, const Inputs&... rest) {
  Tape<T>* tape = detail::current_tape<T>;
  if (tape == nullptr) return f(first, rest...);
  Tensor<T> value;  // (...)
  {
    NoGrad<T> no_grad;
    value = f(first, rest...).value();
  }
  // Parameters inside f may require gradients even when its inputs do not, so the call is always
  // recorded.
  Var<T> out(std::move(value), true);  // (...)
  tape->record(out, [f, first, rest...](const Tensor<T>& gradient) {
    Tape<T> inner;
    auto again = [&](const Var<T>& x, const auto&... others) {
      const Var<T> result = [&] {  // (...)
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

/// x itself: with the overload for Var, code for either kind of operand reads the value of both.
template <Real T>
const Tensor<T>& value_of(const Tensor<T>& x) noexcept {
  return x;
}
/// The value of x.
template <Real T>
const Tensor<T>& value_of(const Var<T>& x) noexcept {
  return x.value();
}

}  // namespace rae
