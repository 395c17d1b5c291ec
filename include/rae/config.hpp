// Build-time configuration: the few macros of the library. Everything else is C++.
#pragma once

/// Choice of `core/parallel` backend. CMake sets exactly one of these to 1; OpenMP is the default
/// when the compiler has it.
#if !defined(RAE_PARALLEL_OPENMP) && !defined(RAE_PARALLEL_THREADS) && !defined(RAE_PARALLEL_SERIAL)
#if defined(_OPENMP)
#define RAE_PARALLEL_OPENMP 1
#else
#define RAE_PARALLEL_SERIAL 1
#endif
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
