// Owner: keeps memory alive that somebody else allocated, whatever owns it.
#pragma once

#include <cstddef>
#include <utility>

#include "rae/core/block.hpp"

namespace rae {

/// A shared reference to an owner, which is destroyed with the last reference. What
/// std::shared_ptr<const void> is, without its header.
class Owner {
 public:
  Owner() = default;
  Owner(std::nullptr_t) noexcept {}  // NOLINT: no owner

  /// Takes a smart pointer, such as std::shared_ptr; none where that is null.
  template <class Pointer>
  requires requires(const Pointer& p) { static_cast<bool>(p); }
  Owner(Pointer pointer) {  // NOLINT: any owner will do
    if (static_cast<bool>(pointer)) held_ = new Holder<Pointer>(std::move(pointer));
  }

  Owner(const Owner& other) noexcept : held_(other.held_) {
    if (held_ != nullptr) held_->references.add();
  }
  Owner(Owner&& other) noexcept : held_(std::exchange(other.held_, nullptr)) {}
  Owner& operator=(Owner other) noexcept {
    std::swap(held_, other.held_);
    return *this;
  }
  ~Owner() {
    if (held_ != nullptr && held_->references.remove()) delete held_;
  }

  explicit operator bool() const noexcept { return held_ != nullptr; }

 private:
  struct Held {
    virtual ~Held() = default;
    detail::ReferenceCount references;
  };
  template <class Pointer>
  struct Holder final : Held {
    explicit Holder(Pointer p) : pointer(std::move(p)) {}
    Pointer pointer;
  };

  Held* held_ = nullptr;
};

}  // namespace rae
