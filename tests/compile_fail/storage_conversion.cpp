// bf16 is a storage type: conversions must be written explicitly.
#include "rae/core/dtype.hpp"

#if RAE_MUST_FAIL
float widened(rae::bf16 value) { return value; }
#else
float widened(rae::bf16 value) { return static_cast<float>(value); }
#endif
