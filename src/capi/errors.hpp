// Exceptions to status codes: every function of the C interface runs inside `guarded`.
#pragma once

#include "rae/error.hpp"
#include "rae/rae.h"

namespace rae::capi {

/// A handle is in use by another thread, or is to be freed while it is in use.
class BusyError : public Error {
 public:
  using Error::Error;
};

/// Stores status and message of the exception that is being handled as the last error of this
/// thread, and returns the status. Allocates nothing.
rae_status record_exception() noexcept;

/// Calls body() and returns RAE_OK, or the status of the exception that it throws.
template <class Body>
rae_status guarded(Body&& body) noexcept {
  try {
    body();
    return RAE_OK;
  } catch (...) {
    return record_exception();
  }
}

/// Throws ArgumentError for a null pointer; `name` is that of the argument.
inline void require_pointer(const void* pointer, const char* name) {
  if (pointer == nullptr) raise<ArgumentError>(name, " is null");
}

}  // namespace rae::capi
