// A Tensor accepts only the supported types of numbers.
#include <string>

#include "rae/core/tensor.hpp"

#if RAE_MUST_FAIL
using Value = std::string;
#else
using Value = float;
#endif

rae::index_t size() { return rae::Tensor<Value>(rae::Shape{2}).numel(); }
