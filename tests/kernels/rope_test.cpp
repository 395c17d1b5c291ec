#include "rae/kernels/rope.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "rae/kernels/reference/rope.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

Tensor<float> rows_of(const Tensor<float>& table, const std::vector<index_t>& rows) {
  const index_t d = table.extent(1);
  Tensor<float> out(Shape{static_cast<index_t>(rows.size()), d});  // (rows, D)
  for (std::size_t r = 0; r < rows.size(); ++r)
    std::copy_n(table.data() + rows[r] * d, d, out.data() + static_cast<index_t>(r) * d);
  return out;
}

// Converts between (B, H, T, hd), the order of the golden tensors, and (B, T, H, hd).
Tensor<float> exchange_heads_and_tokens(const Tensor<float>& x) {
  Tensor<float> out(Shape{x.extent(0), x.extent(2), x.extent(1), x.extent(3)});  // (B, T, H, hd)
  const View<float> to = out.view();
  for (index_t b = 0; b < x.extent(0); ++b)
    for (index_t i = 0; i < x.extent(1); ++i)
      for (index_t j = 0; j < x.extent(2); ++j)
        for (index_t k = 0; k < x.extent(3); ++k) to(b, j, i, k) = x.view()(b, i, j, k);
  return out;
}

TEST(RopeTable, Golden) {
  const test::Golden golden("tables/io.safetensors");
  for (const auto& [head_dim, grid] :
       {std::pair<index_t, index_t>{64, 16}, {72, 4}, {12, 4}, {20, 3}}) {
    const RopeTable<float> table = make_rope_table<float>(grid, grid, head_dim);
    const std::string name = "d" + std::to_string(head_dim / 2) + ".n" + std::to_string(grid);
    EXPECT_TRUE(close(table.cos, golden("rope.cos." + name), 2e-6)) << name;
    EXPECT_TRUE(close(table.sin, golden("rope.sin." + name), 2e-6)) << name;
  }
  for (const index_t head_dim : {72, 128}) {
    const RopeTable<float> table = make_rope_table<float>(16, 16, head_dim);
    const std::string name = "d" + std::to_string(head_dim / 2) + ".n16.row17_255";
    EXPECT_TRUE(close(rows_of(table.cos, {17, 255}), golden("rope.cos." + name), 2e-6)) << name;
    EXPECT_TRUE(close(rows_of(table.sin, {17, 255}), golden("rope.sin." + name), 2e-6)) << name;
  }
}

TEST(RopeTable, AgreesWithReferenceOnARectangle) {
  const RopeTable<double> table = make_rope_table<double>(3, 5, 24);  // (T, hd)
  for (index_t t = 0; t < 15; ++t)
    for (index_t i = 0; i < 24; ++i) {
      const double angle = reference::rope_angle(24, t / 5, t % 5, i);
      EXPECT_NEAR(table.cos[t * 24 + i], std::cos(angle), 1e-14);
      EXPECT_NEAR(table.sin[t * 24 + i], std::sin(angle), 1e-14);
    }
}

TEST(ApplyRope, Golden) {
  const test::Golden golden("tables/io.safetensors");
  const RopeTable<float> table = make_rope_table<float>(4, 4, 12);
  for (const std::string name :
       {"rope.apply", "rope.apply2"}) {  // the second has two tokens per row of the table
    const Tensor<float> x = exchange_heads_and_tokens(golden(name + "_in"));  // (B, T, H, hd)
    Tensor<float> out(x.shape());                                             // (B, T, H, hd)
    apply_rope<float>(x, table.view(), out);
    EXPECT_TRUE(close(exchange_heads_and_tokens(out), golden(name + "_out"), 5e-6)) << name;
  }
}

template <class T>
void compare_with_reference(double tolerance) {
  for (const auto& [grid_h, grid_w, repeats] :
       {std::array<index_t, 3>{1, 1, 1}, {3, 5, 1}, {2, 4, 3}, {16, 16, 1}})
    for (const bool inverse : {false, true}) {
      const Tensor<T> x =
          random_tensor<T>({2, grid_h * grid_w * repeats, 3, 20}, 1);  // (B, T, H, hd)
      Tensor<T> out(x.shape()), expected(x.shape()), in_place = x;     // (B, T, H, hd) each
      const RopeTable<T> table = make_rope_table<T>(grid_h, grid_w, 20);
      apply_rope<T>(x, table.view(), out, inverse);
      reference::apply_rope<T>(x, grid_h, grid_w, expected, inverse);
      EXPECT_TRUE(close(out, expected, tolerance)) << grid_h << " x " << grid_w;
      const View<T> same = in_place.view();
      apply_rope<T>(same, table.view(), same, inverse);
      EXPECT_TRUE(close(in_place, out, 0.0));
    }
}

TEST(ApplyRope, AgreesWithReference) {
  compare_with_reference<float>(2e-6);
  compare_with_reference<double>(1e-13);
}

TEST(ApplyRope, InverseRotatesBackAndIsTheBackward) {
  const Tensor<double> x = random_tensor<double>({1, 6, 2, 8}, 2),
                       dout = random_tensor<double>({1, 6, 2, 8}, 3);  // (1, 6, 2, 8) each
  const RopeTable<double> table = make_rope_table<double>(2, 3, 8);
  Tensor<double> out(x.shape()), back(x.shape()), dx(x.shape());  // (1, 6, 2, 8) each
  apply_rope<double>(x, table.view(), out);
  apply_rope<double>(out, table.view(), back, true);
  EXPECT_TRUE(close(back, x, 1e-14));
  apply_rope<double>(dout, table.view(), dx, true);
  const auto loss = [&](const Tensor<double>& v) {
    apply_rope<double>(v, table.view(), out);
    return test::dot(out, dout);
  };
  EXPECT_TRUE(close(dx, test::numeric_gradient(loss, x), 1e-8));
}

// The purpose of rotary embedding: scores depend only on the relative position of two tokens.
TEST(ApplyRope, ScoresDependOnRelativePositions) {
  const RopeTable<double> table = make_rope_table<double>(4, 4, 16);
  Tensor<double> q(Shape{1, 16, 1, 16}), k = q;  // (1, 16, 1, 16) each
  // (16) each
  const Tensor<double> one = random_tensor<double>({16}, 4), other = random_tensor<double>({16}, 5);
  for (index_t i = 0; i < q.numel(); ++i) {
    q[i] = one[i % 16];
    k[i] = other[i % 16];
  }
  Tensor<double> rq(q.shape()), rk(k.shape());  // (1, 16, 1, 16) each
  apply_rope<double>(q, table.view(), rq);
  apply_rope<double>(k, table.view(), rk);
  const auto score = [&](index_t a, index_t b) {
    double sum = 0;
    for (index_t i = 0; i < 16; ++i) sum += rq.view()(0, a, 0, i) * rk.view()(0, b, 0, i);
    return sum;
  };
  EXPECT_NEAR(score(0, 6), score(5, 11), 1e-12);  // one row down, two columns right
  EXPECT_NEAR(score(6, 0), score(15, 9), 1e-12);
  EXPECT_GT(std::abs(score(0, 6) - score(0, 9)), 1e-3);
}

TEST(ApplyRope, ThreadCountDoesNotChangeABit) {
  const Tensor<float> x = random_tensor<float>({2, 256, 4, 64}, 6);  // (2, 256, 4, 64)
  const RopeTable<float> table = make_rope_table<float>(16, 16, 64);
  EXPECT_TRUE(test::same_on_every_thread_count([&] {
    Tensor<float> out(x.shape());  // (2, 256, 4, 64)
    apply_rope<float>(x, table.view(), out);
    return out;
  }));
}

TEST(SincosPositionTable, Golden) {
  const test::Golden golden("tables/io.safetensors");
  EXPECT_TRUE(close(sincos_position_table<float>(4, 4, 24), golden("dit_pos.24.4"), 1e-6));
  const Tensor<float> table = sincos_position_table<float>(16, 16, 1152);  // (N, D)
  EXPECT_TRUE(close(rows_of(table, {0, 17, 255}), golden("dit_pos.1152.16.rows0_17_255"), 1e-6));
  Tensor<float> decoder(Shape{4, 1152}, 0.0f);  // row 0 belongs to the class token and is zero
  std::copy_n(rows_of(table, {0, 17, 255}).data(), 3 * 1152, decoder.data() + 1152);
  EXPECT_TRUE(close(decoder, golden("dec_pos.1152.16.rows0_1_18_256"), 1e-6));
}

TEST(SincosPositionTable, AgreesWithReferenceOnARectangle) {
  const Tensor<double> table = sincos_position_table<double>(3, 5, 20);  // (15, 20)
  for (index_t t = 0; t < 15; ++t)
    for (index_t i = 0; i < 20; ++i)
      EXPECT_NEAR(table[t * 20 + i], reference::sincos_channel(20, t / 5, t % 5, i), 1e-14);
}

TEST(Rope, RejectsBadSizes) {
  EXPECT_THROW((void)make_rope_table<float>(0, 4, 8), ArgumentError);
  EXPECT_THROW((void)make_rope_table<float>(4, 4, 6), ArgumentError);
  EXPECT_THROW((void)make_rope_table<float>(4, 4, 0), ArgumentError);
  EXPECT_THROW((void)sincos_position_table<float>(4, -1, 8), ArgumentError);
  EXPECT_THROW((void)sincos_position_table<float>(4, 4, 10), ArgumentError);
  EXPECT_THROW((void)sincos_position_table<float>(index_t{1} << 40, index_t{1} << 40, 8),
               ShapeError);
  const RopeTable<float> table = make_rope_table<float>(2, 2, 8);
  const Tensor<float> x(Shape{1, 4, 2, 8}, 1.0f), five(Shape{1, 5, 2, 8}, 1.0f),
      narrow(Shape{1, 4, 2, 4}, 1.0f);         // (1, 4, 2, 8), (1, 5, 2, 8), (1, 4, 2, 4)
  Tensor<float> out(Shape{1, 4, 2, 8}, 7.0f);  // (1, 4, 2, 8)
  EXPECT_THROW(apply_rope<float>(five, table.view(), out), ShapeError);
  EXPECT_THROW(apply_rope<float>(narrow, table.view(), out), ShapeError);
  EXPECT_THROW(apply_rope<float>(x, {}, out), ShapeError);
  EXPECT_THROW(apply_rope<float>(x, {table.cos.view(), five.view()}, out), ShapeError);
  EXPECT_THROW(apply_rope<float>(x.reshaped({4, 16}), table.view(), out), ShapeError);
  EXPECT_EQ(out[0], 7.0f);
}

}  // namespace
}  // namespace rae
