// Shared: a reference-counted value.
#pragma once

#include <utility>

#include "rae/core/block.hpp"

namespace rae {

/// A replacement of std::shared_ptr<T> with std::make_shared, without its header. Empty by default.
template <class T>
class Shared {
 public:
  Shared() = default;

  /// Creates the value T{arguments...}.
  template <class... Arguments>
  [[nodiscard]] static Shared make(Arguments&&... arguments) {
    Shared out;
    out.held_ = new Held{T{std::forward<Arguments>(arguments)...}, {}};
    return out;
  }

  Shared(const Shared& other) noexcept : held_(other.held_) {
    if (held_ != nullptr) held_->references.add();
  }
  Shared(Shared&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  Shared& operator=(Shared other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~Shared() {
    if (held_ != nullptr && held_->references.remove()) delete held_;
  }

  /// True unless empty.
  explicit operator bool() const noexcept { return held_ != nullptr; }
  /// The value; null when empty.
  [[nodiscard]] T* get() const noexcept { return held_ != nullptr ? &held_->value : nullptr; }
  /// The value; must not be empty.
  [[nodiscard]] T& operator*() const noexcept { return held_->value; }
  [[nodiscard]] T* operator->() const noexcept { return &held_->value; }

 private:
  struct Held {
    T value;
    detail::ReferenceCount references;
  };
  Held* held_ = nullptr;
};

}  // namespace rae
