// Which instruction set the kernels use.
#pragma once

#include "rae/core/cpu.hpp"

namespace rae {

/// The variant in use: the widest that the CPU supports, unless the environment variable RAE_ISA
/// names another (as name_of does). An unknown or unsupported name selects baseline.
[[nodiscard]] Isa active_isa() noexcept;

/// Selects a variant for the whole program, for tests and measurements. Matrices packed before must
/// be packed again. Not to be called while kernels run. Throws ArgumentError when the CPU does not
/// support it.
void set_isa(Isa isa);

}  // namespace rae
