#include "kernels/panel_loop.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "rae/kernels/attention.hpp"
#include "rae/kernels/gemm.hpp"
#include "rae/kernels/linear_product.hpp"
#include "rae/kernels/resize.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

Tensor<float> random(const Shape& shape, std::uint64_t stream) {
  return test::random_tensor<float>(shape, stream);
}

/// The results of every kernel with scratch memory for each range of its loop.
std::vector<Tensor<float>> products() {
  constexpr index_t m = 70, k = 64, n = 96;
  const Tensor<float> a = random({m, k}, 1), b = random({k, n}, 2);  // (M, K), (K, N)
  const Tensor<float> left = random({k, m}, 3);                      // (K, M)
  std::vector<Tensor<float>> out;
  const auto next = [&out](const Shape& shape) -> Tensor<float>& {
    return out.emplace_back(shape, 0.0f);
  };
  for (const DType type : {DType::f32, DType::bf16}) {
    gemm<float>(a, b, next({m, n}), {}, type);
    gemm<float>(a, b, next({m, n / 2}), {.activation = Activation::swiglu}, type);
    gemm<float>(left.view().transposed(), b, next({m, n}), {}, type);
    PackedMatrix<float> packed;
    Tensor<float>& rows = next({m, n});  // (M, N)
    linear_product<float>({.a = a, .packed = &packed}, b, rows, {}, type);
    attention<float>(random({2, 33, 96}, 4), 2, {}, next({2, 33, 32}), type);
    attention_backward<float>(random({2, 33, 96}, 4), 2, {}, random({2, 33, 32}, 5),
                              next({2, 33, 96}), type);
  }
  for (const DType type : {DType::int8, DType::int8w, DType::int4})
    for (const PanelColumns columns : {PanelColumns::neighbours, PanelColumns::halves}) {
      const bool halves = columns == PanelColumns::halves;
      const PackedMatrix<float> matrix(b.view(), type, columns);
      const Activation activation = halves ? Activation::swiglu : Activation::none;
      gemm<float>(a, matrix, next({m, halves ? n / 2 : n}), {.activation = activation});
    }
  resize<float>(random({1, 3, 40, 50}, 6), Resize::bicubic, next({1, 3, 70, 60}));
  return out;
}

TEST(PanelLoop, SlotsHaveSeparateMemory) {
  set_num_threads(3);
  const ParallelLoop loop(1000, 1);
  const detail::SlotMemory<float> memory(loop, 17);
  for (index_t slot = 0; slot < loop.slots(); ++slot) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.of(slot)) % 64, 0u);
    EXPECT_GE(slot == 0 ? 17 : memory.of(slot) - memory.of(slot - 1), 17);
  }
  set_num_threads(0);
}

TEST(PanelLoop, AnotherThreadMayChangeTheThreadCount) {
  set_num_threads(1);
  const auto expected = products();
  std::atomic<bool> stop{false};
  std::thread other([&stop] {
    for (int i = 0; !stop; ++i) set_num_threads(1 + i % 7);
  });
  for (int round = 0; round < 20; ++round) {
    const auto got = products();
    for (std::size_t i = 0; i < got.size(); ++i)
      for (index_t j = 0; j < got[i].numel(); ++j)
        ASSERT_EQ(got[i].data()[j], expected[i].data()[j]) << "product " << i << ", element " << j;
  }
  stop = true;
  other.join();
  set_num_threads(0);
}

}  // namespace
}  // namespace rae
