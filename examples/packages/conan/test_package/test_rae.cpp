// A product of two matrices by the installed library.
#include <cstdio>
#include <rae/rae.hpp>
#include <rae/version.hpp>

int main() {
  const rae::Tensor<float> a(rae::Shape{2, 3}, 2.0f), b(rae::Shape{3, 4}, 0.5f);  // (2, 3), (3, 4)
  rae::Tensor<float> c(rae::Shape{2, 4});                                         // (2, 4)
  rae::gemm(a.view(), b.view(), c.view());
  std::printf("rae %s: %g\n", rae::kVersion, static_cast<double>(c[0]));
  return c[0] == 3.0f ? 0 : 1;
}
