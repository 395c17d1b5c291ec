// The instruction set that the kernels use.
#pragma once

#include <string_view>

#include "rae/core/cpu.hpp"

namespace rae {

/// The variant for a request, as the environment variable RAE_ISA makes it: the one of this name
/// (see `name_of`), or for an empty request the widest that this processor and operating system
/// support. Throws ArgumentError for an unknown name and for a variant that is not available here;
/// the message lists those that are.
[[nodiscard]] Isa choose_isa(std::string_view requested);

/// The variant in use: at first what `choose_isa` returns for RAE_ISA, which is read at the first
/// use of a kernel. Throws ArgumentError as `choose_isa` does, and kernels then do the same.
[[nodiscard]] Isa active_isa();

/// Selects a variant for the whole program, for tests and measurements. Matrices that were packed
/// before must be packed again. Not to be called while kernels run. Throws ArgumentError when it is
/// not available here.
void set_isa(Isa isa);

}  // namespace rae
