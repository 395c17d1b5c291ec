// A span over the elements of a temporary tensor is refused, because it would dangle.
#include "rae/core/tensor.hpp"

rae::Tensor<float> made() { return rae::Tensor<float>(rae::Shape{2}, 1.0f); }

float sum() {
  float total = 0;
#if RAE_MUST_FAIL
  for (const float value : made().span()) total += value;
#else
  const rae::Tensor<float> tensor = made();  // (1)
  for (const float value : tensor.span()) total += value;
#endif
  return total;
}
