// A const Tensor gives access to const elements only.
#include "rae/core/tensor.hpp"

#if RAE_MUST_FAIL
using Given = const rae::Tensor<float>;
#else
using Given = rae::Tensor<float>;
#endif

void clear(Given& tensor) { *tensor.data() = 0.0f; }
