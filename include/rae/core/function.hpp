// Function: one type for callables of any type, such as callbacks.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace rae {

template <class Signature>
class Function;

/// A replacement of std::function<R(A...)> without its large header. Copies share one callable,
/// including its state. Empty by default; an empty one must not be called.
template <class R, class... A>
class Function<R(A...)> {
 public:
  Function() = default;
  Function(std::nullptr_t) noexcept {}  // NOLINT: as std::function

  /// Holds a copy of `callable`, which is moved if it is an rvalue.
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Function> &&
           std::is_invocable_r_v<R, std::decay_t<F>&, A...>)
      Function(F&& callable) {  // NOLINT: as std::function
    using Callable = std::decay_t<F>;
    // The result is empty for a null pointer or an empty function object of another type.
    if constexpr (std::is_pointer_v<std::remove_cvref_t<F>> ||
                  requires { callable.operator bool(); })
      if (!static_cast<bool>(callable)) return;
    held_ = new Holder<Callable>(std::forward<F>(callable));
  }

  Function(const Function& other) noexcept : held_(other.held_) {
    if (held_ != nullptr) __atomic_fetch_add(&held_->references, 1, __ATOMIC_RELAXED);
  }
  Function(Function&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  Function& operator=(Function other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~Function() {
    if (held_ != nullptr && __atomic_fetch_sub(&held_->references, 1, __ATOMIC_ACQ_REL) == 1)
      delete held_;
  }

  /// True unless empty.
  explicit operator bool() const noexcept { return held_ != nullptr; }
  friend bool operator==(const Function& f, std::nullptr_t) noexcept { return f.held_ == nullptr; }

  /// Calls the callable, and throws its exceptions.
  R operator()(A... arguments) const { return held_->call(std::forward<A>(arguments)...); }

 private:
  struct Held {
    virtual ~Held() = default;
    virtual R call(A... arguments) = 0;
    int references = 1;
  };
  template <class F>
  struct Holder final : Held {
    template <class G>
    explicit Holder(G&& g) : callable(std::forward<G>(g)) {}
    R call(A... arguments) override {
      if constexpr (std::is_void_v<R>)
        callable(std::forward<A>(arguments)...);
      else
        return callable(std::forward<A>(arguments)...);
    }
    F callable;
  };

  Held* held_ = nullptr;
};

}  // namespace rae
