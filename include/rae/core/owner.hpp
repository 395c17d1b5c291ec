// Owner and OwnedPointer: shared ownership of an object that any smart pointer holds.
#pragma once

#include <cstddef>
#include <utility>

#include "rae/core/block.hpp"

namespace rae {

/// A shared reference to a smart pointer of any type, which is destroyed with the last reference. A
/// replacement of std::shared_ptr<const void> without its header. Empty by default.
class Owner {
 public:
  Owner() = default;
  Owner(std::nullptr_t) noexcept {}  // NOLINT: empty

  /// Holds a smart pointer, such as std::shared_ptr; empty if it is null.
  template <class Pointer>
  requires requires(const Pointer& p) { static_cast<bool>(p); }
  Owner(Pointer pointer) {  // NOLINT: any smart pointer
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

  /// True unless empty.
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

namespace detail {

/// Deletes an object on destruction: the part of std::unique_ptr that OwnedPointer::make needs.
template <class T>
class Deleting {
 public:
  explicit Deleting(T* object) noexcept : object_(object) {}
  Deleting(Deleting&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Deleting(const Deleting&) = delete;
  Deleting& operator=(const Deleting&) = delete;
  ~Deleting() { delete object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  [[nodiscard]] T* get() const noexcept { return object_; }

 private:
  T* object_;
};

}  // namespace detail

/// A pointer to an object that an Owner keeps alive: a replacement of std::shared_ptr<T> without
/// its header. T may be incomplete, except where the pointer is constructed from a smart pointer.
/// Empty by default.
template <class T>
class OwnedPointer {
 public:
  OwnedPointer() = default;
  OwnedPointer(std::nullptr_t) noexcept {}  // NOLINT: empty

  /// Holds a std::shared_ptr or std::unique_ptr.
  template <class Pointer>
  requires requires(const Pointer& p) { static_cast<T*>(p.get()); }
  OwnedPointer(Pointer pointer)  // NOLINT: any smart pointer
      : pointer_(pointer.get()), owner_(std::move(pointer)) {}

  /// Creates an object of T, or of a class D derived from T.
  template <class D = T, class... Arguments>
  [[nodiscard]] static OwnedPointer make(Arguments&&... arguments) {
    return detail::Deleting<D>(new D(std::forward<Arguments>(arguments)...));
  }

  /// True unless empty.
  explicit operator bool() const noexcept { return pointer_ != nullptr; }
  /// The object; null when empty.
  [[nodiscard]] T* get() const noexcept { return pointer_; }
  /// The object; must not be empty.
  [[nodiscard]] T& operator*() const noexcept { return *pointer_; }
  [[nodiscard]] T* operator->() const noexcept { return pointer_; }
  friend bool operator==(const OwnedPointer& p, std::nullptr_t) noexcept {
    return p.pointer_ == nullptr;
  }

 private:
  T* pointer_ = nullptr;
  Owner owner_;
};

}  // namespace rae
