// bf16 is a storage type: a value is converted where the code says so, not silently.
#include "rae/core/dtype.hpp"

#if RAE_MUST_FAIL
float widened(rae::bf16 value) { return value; }
#else
float widened(rae::bf16 value) { return static_cast<float>(value); }
#endif
