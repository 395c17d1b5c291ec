// Uses only the header-only part: a kernel in plain loops and the sampler, on the calling thread.
#include <string_view>

#include "rae/core/parallel.hpp"
#include "rae/diffusion/sampler.hpp"
#include "rae/diffusion/time_grid.hpp"
#include "rae/kernels/reference/gemm.hpp"

int main() {
  // (1, 2), (2, 1)
  const rae::Tensor<float> a(rae::Shape{1, 2}, {3, 4}), b(rae::Shape{2, 1}, {10, 1});
  rae::Tensor<float> out(rae::Shape{1, 1});  // (1, 1)
  rae::reference::gemm<float>(a, b, out);
  const auto towards_one = [](const rae::Tensor<float>& x, float t) {
    return rae::Tensor<float>(x.shape(), (x[0] - 1.0f) / t);
  };
  const rae::Tensor<float> x = rae::sample(towards_one, rae::Tensor<float>(rae::Shape{1}, 5.0f),
                                           rae::full_time_grid(4, 2.0));  // (1)
  rae::set_num_threads(4);
  const bool serial =
      rae::num_threads() == 1 && rae::parallel_backend() == std::string_view("serial");
  return serial && out[0] == 34.0f && x[0] > 0.999f && x[0] < 1.001f ? 0 : 1;
}
