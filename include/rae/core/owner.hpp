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

namespace detail {

/// Deletes an object: the part of std::unique_ptr that OwnedPointer::make needs.
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

/// A pointer to something that an owner keeps: what std::shared_ptr<T> is to a class that others
/// only pass on. T may be incomplete, except where the pointer is made from a smart pointer.
template <class T>
class OwnedPointer {
 public:
  OwnedPointer() = default;
  OwnedPointer(std::nullptr_t) noexcept {}  // NOLINT: no object

  /// Takes a std::shared_ptr or std::unique_ptr.
  template <class Pointer>
  requires requires(const Pointer& p) { static_cast<T*>(p.get()); }
  OwnedPointer(Pointer pointer)  // NOLINT: any owner will do
      : pointer_(pointer.get()), owner_(std::move(pointer)) {}

  /// A new object of T, or of a class D that derives from it.
  template <class D = T, class... Arguments>
  [[nodiscard]] static OwnedPointer make(Arguments&&... arguments) {
    return detail::Deleting<D>(new D(std::forward<Arguments>(arguments)...));
  }

  explicit operator bool() const noexcept { return pointer_ != nullptr; }
  [[nodiscard]] T* get() const noexcept { return pointer_; }
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
