#include "capi/handles.hpp"

#include <unordered_map>

namespace rae::capi {
namespace {

constexpr std::uintptr_t kKinds = 7;  // mask of the bits of a handle that hold its kind

/// The live objects by handle.
struct Table {
  std::mutex mutex;
  std::unordered_map<std::uintptr_t, std::shared_ptr<Object>> objects;
  std::uintptr_t issued = 0;  // number of handles so far
};

/// The table is never destroyed: other threads may still use it while the program ends.
Table& table() {
  static Table& instance = *new Table;
  return instance;
}

const char* name_of(Kind kind) noexcept {
  switch (kind) {
    case Kind::generator: return "generator";
    case Kind::autoencoder: return "autoencoder";
    case Kind::latents: return "latents";
    case Kind::image: return "image";
  }
  return nullptr;
}

/// Throws the reason why a handle is not a live one of this kind.
[[noreturn]] void refuse(Kind kind, std::uintptr_t handle, std::uintptr_t issued) {
  const std::string expected = concat("expected a handle of kind '", name_of(kind), "', got ");
  if (handle == 0) raise<ArgumentError>(expected, "null");
  const auto actual = static_cast<Kind>(handle & kKinds);
  const std::uintptr_t number = handle / (kKinds + 1);
  if (name_of(actual) == nullptr || number == 0 || number > issued)
    raise<ArgumentError>(expected, "a pointer that is no handle");
  if (actual != kind) raise<ArgumentError>(expected, "one of kind '", name_of(actual), "'");
  raise<ArgumentError>(expected, "one that was freed");
}

}  // namespace

void ExclusiveObject::enter() {
  const std::lock_guard lock(mutex_);
  if (depth_ > 0 && user_ != std::this_thread::get_id())
    raise<BusyError>("another thread uses this handle; make a copy for each thread");
  if (depth_ == 0) cancelled_ = false;
  user_ = std::this_thread::get_id();
  ++depth_;
}

void ExclusiveObject::leave() noexcept {
  const std::lock_guard lock(mutex_);
  --depth_;
}

bool ExclusiveObject::in_use() const {
  const std::lock_guard lock(mutex_);
  return depth_ > 0;
}

std::uintptr_t add_object(Kind kind, std::shared_ptr<Object> object) {
  Table& all = table();
  const std::lock_guard lock(all.mutex);
  const std::uintptr_t handle = (all.issued + 1) * (kKinds + 1) + static_cast<std::uintptr_t>(kind);
  all.objects.emplace(handle, std::move(object));
  ++all.issued;
  return handle;
}

std::shared_ptr<Object> find_object(Kind kind, std::uintptr_t handle) {
  Table& all = table();
  const std::lock_guard lock(all.mutex);
  const auto found = all.objects.find(handle);
  if (found == all.objects.end() || static_cast<Kind>(handle & kKinds) != kind)
    refuse(kind, handle, all.issued);
  return found->second;
}

void remove_object(Kind kind, std::uintptr_t handle) {
  const std::shared_ptr<Object> object = find_object(kind, handle);
  const auto* exclusive = dynamic_cast<const ExclusiveObject*>(object.get());
  if (exclusive != nullptr && exclusive->in_use())
    raise<BusyError>("the handle of kind '", name_of(kind), "' cannot be freed while it computes");
  Table& all = table();
  const std::lock_guard lock(all.mutex);
  if (all.objects.erase(handle) == 0) refuse(kind, handle, all.issued);
}

}  // namespace rae::capi
