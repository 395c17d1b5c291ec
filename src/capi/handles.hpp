// The handles of the C interface and the objects that they stand for.
//
// A handle is a number that is never used twice, not an address: a table of live objects says what
// it stands for, so that a null, freed or foreign handle can be refused without undefined
// behaviour.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "capi/errors.hpp"
#include "rae/core/cancellation.hpp"
#include "rae/core/tensor.hpp"
#include "rae/generate/autoencoder.hpp"
#include "rae/generate/generator.hpp"
#include "rae/io/image.hpp"

namespace rae::capi {

/// The kinds of objects; the lowest bits of a handle.
enum class Kind : std::uintptr_t { generator = 1, autoencoder = 2, latents = 3, image = 4 };

/// Base of all objects.
struct Object {
  virtual ~Object() = default;
};

/// An object that computes for one thread at a time.
class ExclusiveObject : public Object {
 public:
  /// Begins a call. Throws BusyError when another thread uses the object.
  void enter();
  /// Ends it.
  void leave() noexcept;
  /// True during a call.
  [[nodiscard]] bool in_use() const;
  /// Makes the call in progress throw Cancelled.
  void cancel() noexcept { cancelled_ = true; }
  /// True after `cancel`, until the next call begins.
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_; }

 private:
  mutable std::mutex mutex_;
  std::thread::id user_;
  int depth_ = 0;  // calls of the user's callback inside of a call count as well
  std::atomic<bool> cancelled_{false};
};

struct GeneratorObject final : ExclusiveObject {
  using Handle = rae_generator;
  static constexpr Kind kKind = Kind::generator;
  explicit GeneratorObject(Generator value)
      : generator(std::move(value)), dtype(generator.type_name()) {}
  Generator generator;
  std::string dtype;
};

struct AutoencoderObject final : ExclusiveObject {
  using Handle = rae_autoencoder;
  static constexpr Kind kKind = Kind::autoencoder;
  explicit AutoencoderObject(Autoencoder value) : autoencoder(std::move(value)) {}
  Autoencoder autoencoder;
};

struct LatentsObject final : Object {
  using Handle = rae_latents;
  static constexpr Kind kKind = Kind::latents;
  explicit LatentsObject(Tensor<float> value) : latents(std::move(value)) {}
  const Tensor<float> latents;  // (B, C, h, w)
};

struct ImageObject final : Object {
  using Handle = rae_image;
  static constexpr Kind kKind = Kind::image;
  explicit ImageObject(Image value, std::map<std::string, std::string> settings = {})
      : image(std::move(value)), text(std::move(settings)) {}
  const Image image;
  const std::map<std::string, std::string> text;  // for its PNG file
};

/// Adds an object to the table and returns its handle.
std::uintptr_t add_object(Kind kind, std::shared_ptr<Object> object);
/// The object of a handle. Throws ArgumentError when it is none of this kind.
std::shared_ptr<Object> find_object(Kind kind, std::uintptr_t handle);
/// Removes an object from the table. Throws as `find_object`, and BusyError when it is in use.
void remove_object(Kind kind, std::uintptr_t handle);

/// The handle of a new object.
template <class O, class... Arguments>
typename O::Handle* make_handle(Arguments&&... arguments) {
  return reinterpret_cast<typename O::Handle*>(
      add_object(O::kKind, std::make_shared<O>(std::forward<Arguments>(arguments)...)));
}

/// The object of a handle, which lives at least as long as the result. Throws ArgumentError.
template <class O>
std::shared_ptr<O> object_of(const typename O::Handle* handle) {
  return std::static_pointer_cast<O>(
      find_object(O::kKind, reinterpret_cast<std::uintptr_t>(handle)));
}

/// Frees a handle; null does nothing.
template <class O>
rae_status free_handle(const typename O::Handle* handle) noexcept {
  return guarded([&] {
    if (handle != nullptr) remove_object(O::kKind, reinterpret_cast<std::uintptr_t>(handle));
  });
}

/// A call of an object that computes for one thread at a time; `cancel` stops it.
template <class O>
class ExclusiveCall {
 public:
  /// Throws ArgumentError, BusyError.
  explicit ExclusiveCall(const typename O::Handle* handle)
      : object_(object_of<O>(handle)),
        entered_(*object_),
        scope_([object = object_.get()] { return object->cancelled(); }) {}
  O* operator->() const noexcept { return object_.get(); }

 private:
  struct Entered {
    explicit Entered(ExclusiveObject& entered) : object(entered) { object.enter(); }
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;
    ~Entered() { object.leave(); }
    ExclusiveObject& object;
  };
  std::shared_ptr<O> object_;
  Entered entered_;
  CancellationScope scope_;
};

}  // namespace rae::capi
