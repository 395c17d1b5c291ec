// Uses one kernel alone: a matrix product.
#include "rae/core/tensor.hpp"
#include "rae/kernels/gemm.hpp"

int main() {
  // (1, 2), (2, 1)
  const rae::Tensor<float> a(rae::Shape{1, 2}, {3, 4}), b(rae::Shape{2, 1}, {10, 1});
  rae::Tensor<float> out(rae::Shape{1, 1});  // (1, 1)
  rae::gemm(a, b, out);
  bool caught = false;
  try {
    rae::gemm(a, a, out);
  } catch (const rae::ShapeError&) {
    caught = true;
  }
  return out[0] == 34.0f && caught ? 0 : 1;
}
