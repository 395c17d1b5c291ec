// Build-time configuration: the few macros of the library. Everything else is C++.
#pragma once

/// Choice of `core/parallel` backend. CMake sets exactly one of these to 1; OpenMP is the default when the compiler has it.
#if !defined(RAE_PARALLEL_OPENMP) && !defined(RAE_PARALLEL_THREADS) && !defined(RAE_PARALLEL_SERIAL)
#if defined(_OPENMP)
#define RAE_PARALLEL_OPENMP 1
#else
#define RAE_PARALLEL_SERIAL 1
#endif
#endif

/// Checks a precondition inside the library (a bug when false, not a user's mistake). On in debug builds and in the tests.
#if defined(RAE_ENABLE_ASSERT) || !defined(NDEBUG)
#include <cassert>
#define RAE_ASSERT(condition) assert(condition)
#else
#define RAE_ASSERT(condition) static_cast<void>(0)
#endif
