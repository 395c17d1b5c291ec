// The softmax rows of the kernel table, which attention and the losses are made of.
#include <gtest/gtest.h>

#include "kernels/kernel_table.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

template <class T>
Tensor<T> plain_softmax(const Tensor<T>& x) {
  Tensor<T> out(x.shape());
  double total = 0;
  for (const T v : x.span()) total += std::exp(static_cast<double>(v));
  for (index_t i = 0; i < x.numel(); ++i) out[i] = static_cast<T>(std::exp(static_cast<double>(x[i])) / total);
  return out;
}

template <class T>
void compare(index_t n, double tolerance) {
  const auto& table = detail::kernel_table<T>();
  const Tensor<T> x = random_tensor<T>({n}, 1), dp = random_tensor<T>({n}, 2), p = plain_softmax(x);
  Tensor<T> out(x.shape()), in_place = x, ds(x.shape()), expected(x.shape());
  table.softmax(n, x.data(), out.data());
  EXPECT_TRUE(close(out, p, tolerance));
  table.softmax(n, std::as_const(in_place).data(), in_place.data());
  EXPECT_TRUE(close(in_place, out, 0.0));
  double along = 0;
  for (index_t i = 0; i < n; ++i) along += static_cast<double>(p[i]) * static_cast<double>(dp[i]);
  for (index_t i = 0; i < n; ++i) expected[i] = static_cast<T>(static_cast<double>(p[i]) * (static_cast<double>(dp[i]) - along));
  table.softmax_backward(n, p.data(), dp.data(), ds.data());
  EXPECT_TRUE(close(ds, expected, 4 * tolerance));
}

TEST(Softmax, AgreesWithPlainLoopsOnEveryInstructionSet) {
  test::on_every_isa([](Isa isa) {
    for (const index_t n : {1, 2, 15, 16, 17, 63, 257, 1000}) {
      SCOPED_TRACE(concat(name_of(isa), ", ", n));
      compare<float>(n, 2.5e-7);
      compare<double>(n, 1e-15);
    }
  });
}

TEST(Softmax, LargeScoresDoNotOverflow) {
  test::on_every_isa([](Isa isa) {
    const Tensor<float> x(Shape{3}, {-3e38f, 1e4f, 1e4f});
    Tensor<float> out(Shape{3});
    detail::kernel_table<float>().softmax(3, x.data(), out.data());
    EXPECT_NEAR(out[0], 0.f, 1e-30f) << name_of(isa);
    EXPECT_NEAR(out[1], 0.5f, 1e-7f) << name_of(isa);
  });
}

}  // namespace
}  // namespace rae
