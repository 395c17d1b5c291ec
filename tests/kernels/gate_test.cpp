#include "rae/kernels/gate.hpp"

#include <gtest/gtest.h>

#include "rae/kernels/reference/gate.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

template <class T>
void compare(index_t rows, index_t width, index_t groups, double tolerance) {
  const index_t stride = 2 * width + 3;
  // (R, D), (R, D), (R, D), (G, 2D + 3)
  const Tensor<T> x = random_tensor<T>({rows, width}, 1), y = random_tensor<T>({rows, width}, 2),
                  dout = random_tensor<T>({rows, width}, 3),
                  gates = random_tensor<T>({groups, stride}, 4);
  const Rows<const T> gate{gates.data() + 3, groups, stride};
  Tensor<T> out(x.shape()), expected(x.shape());  // (R, D) each
  gated_add<T>(x, gate, y, out);
  reference::gated_add<T>(x, gate, y, expected);
  EXPECT_TRUE(close(out, expected, tolerance));
  Tensor<T> in_place = x;  // (R, D)
  gated_add<T>(std::as_const(in_place).view(), gate, y, in_place);
  EXPECT_TRUE(close(in_place, out, 0.0));

  Tensor<T> dy(x.shape()), expected_dy(x.shape()), sums(gates.shape(), T(1)),
      expected_sums(gates.shape(), T(1));  // (R, D), (R, D), (G, 2D + 3), (G, 2D + 3)
  gated_add_backward<T>(gate, y, dout, dy, Rows<T>{sums.data() + 3, groups, stride});
  reference::gated_add_backward<T>(gate, y, dout, expected_dy,
                                   Rows<T>{expected_sums.data() + 3, groups, stride});
  EXPECT_TRUE(close(dy, expected_dy, tolerance));
  EXPECT_TRUE(close(sums, expected_sums, tolerance * static_cast<double>(rows / groups + 4)));
  Tensor<T> without(x.shape());  // (R, D)
  gated_add_backward<T>(gate, y, dout, without, Rows<T>{});
  EXPECT_TRUE(close(without, dy, 0.0));
}

TEST(GatedAdd, AgreesWithReference) {
  for (const auto& [rows, width, groups] :
       {std::array<index_t, 3>{1, 1, 1}, {6, 7, 3}, {33, 19, 33}, {390, 5, 2}, {300, 130, 1}}) {
    SCOPED_TRACE(concat(rows, " x ", width, ", ", groups, " groups"));
    compare<float>(rows, width, groups, 2e-6);
    compare<double>(rows, width, groups, 1e-14);
  }
}

TEST(GatedAdd, ThreadCountDoesNotChangeABit) {
  // (600, 129), (600, 129), (6, 129)
  const Tensor<float> y = random_tensor<float>({600, 129}, 1),
                      dout = random_tensor<float>({600, 129}, 2),
                      gates = random_tensor<float>({6, 129}, 3);
  for (const index_t groups : {1, 6}) {
    const Rows<const float> gate{gates.data(), groups, 129};
    EXPECT_TRUE(test::same_on_every_thread_count([&] {
      Tensor<float> out(y.shape());  // (600, 129)
      gated_add<float>(dout, gate, y, out);
      return out;
    }));
    for (const bool sums : {false, true})
      EXPECT_TRUE(test::same_on_every_thread_count([&] {
        Tensor<float> dy(y.shape()), dgate(Shape{groups, 129}, 0.f);  // (600, 129), (G, 129)
        gated_add_backward<float>(gate, y, dout, dy, Rows<float>{dgate.data(), groups, 129});
        return sums ? dgate : dy;
      }));
  }
}

TEST(GatedAdd, RejectsMismatchedArguments) {
  const Tensor<float> x(Shape{6, 4}, 1.f), other(Shape{6, 5}, 1.f);  // (6, 4), (6, 5)
  Tensor<float> out(Shape{6, 4}, 9.f);                               // (6, 4)
  EXPECT_THROW(gated_add<float>(x, Rows<const float>{x.data(), 4, 4}, x, out), ShapeError);
  EXPECT_THROW(gated_add<float>(x, Rows<const float>{}, x, out), ShapeError);
  EXPECT_THROW(gated_add<float>(other, Rows<const float>{x.data(), 3, 4}, x, out), ShapeError);
  EXPECT_THROW(gated_add_backward<float>(Rows<const float>{x.data(), 3, 4}, x, x, out,
                                         Rows<float>{out.data(), 2, 4}),
               ShapeError);
  EXPECT_EQ(out[0], 9.f);
}

}  // namespace
}  // namespace rae
