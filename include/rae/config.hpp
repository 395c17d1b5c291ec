// Build-time configuration: the few macros of the library. Everything else is C++.
#pragma once

/// RAE_LIBRARY is 1 in programs that link the compiled library, and in the library itself; CMake's
/// targets and pkg-config set it. A function that is declared with RAE_LIBRARY_FUNCTION is defined
/// there; in programs that use headers alone its address is null.
#if RAE_LIBRARY
#define RAE_LIBRARY_FUNCTION
#else
#define RAE_LIBRARY_FUNCTION [[gnu::weak]]
#endif

/// Checks a precondition inside the library (a bug when false, not a user's mistake): throws
/// std::logic_error, which ends the program inside a noexcept kernel. On in debug builds and with
/// the CMake option RAE_ASSERTS.
#if defined(RAE_ENABLE_ASSERT) || !defined(NDEBUG)
#include <stdexcept>
#include <string>
namespace rae::detail {
[[noreturn]] inline void assertion_failed(const char* condition, const char* file, int line) {
  throw std::logic_error(std::string(file) + ":" + std::to_string(line) +
                         ": assertion failed: " + condition);
}
}  // namespace rae::detail
#define RAE_ASSERT(condition)         \
  ((condition) ? static_cast<void>(0) \
               : ::rae::detail::assertion_failed(#condition, __FILE__, __LINE__))
#else
#define RAE_ASSERT(condition) static_cast<void>(0)
#endif
