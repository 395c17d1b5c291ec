// The scope that a thread asks, and calls of functions that cannot ask.
#pragma once

#include "rae/core/cancellation.hpp"

namespace rae::detail {

/// The innermost scope of this thread; null when there is none.
[[nodiscard]] const CancellationScope* cancellation_scope() noexcept;
/// Replaces it, for a thread that works for another one.
void set_cancellation_scope(const CancellationScope* scope) noexcept;

/// Calls `work`, a function that takes long and cannot ask, such as one of another library. In a
/// scope it runs on a thread of its own, and when the scope says so, this function throws Cancelled
/// at once while that thread goes on to the end of `work`, whose result nobody reads. So `work`
/// must own everything that it uses. Throws what `work` throws.
void run_cancellable(const Function<void()>& work);

}  // namespace rae::detail
