// A first program of a user: includes the library, calls a compiled function, and links.
#include "rae/core/parallel.hpp"
#include "rae/io/image_info.hpp"
#include "rae/kernels/gemm.hpp"
#include "rae/version.hpp"

int main() {
  // (1, 2), (2, 1)
  const rae::Tensor<float> a(rae::Shape{1, 2}, {3, 4}), b(rae::Shape{2, 1}, {10, 1});
  rae::Tensor<float> out(rae::Shape{1, 1});  // (1, 1)
  rae::gemm(a, b, out);
  const bool decodes = !rae::image_decoder(rae::ImageFormat::jpeg).empty();
  return decodes && out[0] == 34.0f && rae::kVersion[0] != '\0' && rae::num_threads() > 0 ? 0 : 1;
}
