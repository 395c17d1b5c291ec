// The unchanged AMX kernels with the AMX instructions emulated in plain loops.
#include "support/amx_emulation.hpp"

#define use_avx512_amx use_emulated_amx
#include "kernels/isa_avx512_amx.cpp"
