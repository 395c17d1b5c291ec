#include "rae/kernels/patch.hpp"

#include "rae/kernels/reference/patch.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

struct Case {
  index_t batch, channels, grid_h, grid_w, patch;
  Shape image() const { return {batch, channels, grid_h * patch, grid_w * patch}; }
  Shape tokens() const { return {batch, grid_h * grid_w, channels * patch * patch}; }
};
constexpr Case kCases[] = {
    {1, 1, 1, 1, 1}, {2, 3, 4, 4, 2}, {1, 3, 2, 5, 14}, {3, 5, 3, 1, 1}, {2, 2, 7, 3, 5}};
constexpr PatchOrder kOrders[] = {PatchOrder::channels_first, PatchOrder::channels_last};

template <class T>
void compare_with_reference() {
  for (const PatchOrder order : kOrders)
    for (const Case& c : kCases) {
      const Tensor<T> image = random_tensor<T>(c.image(), 1);  // (B, C, H, W)
      // (B, N, P*P*C), (B, N, P*P*C), (B, C, H, W), (B, C, H, W)
      Tensor<T> tokens(c.tokens()), expected(c.tokens()), back(c.image()), expected_back(c.image());
      patchify<T>(image, c.patch, order, tokens);
      reference::patchify<T>(image, c.patch, order, expected);
      EXPECT_TRUE(close(tokens, expected, 0.0));
      unpatchify<T>(tokens, c.patch, order, back);
      EXPECT_TRUE(close(back, image, 0.0));
      const Tensor<T> other = random_tensor<T>(c.tokens(), 2);  // (B, N, P*P*C)
      unpatchify<T>(other, c.patch, order, back);
      reference::unpatchify<T>(other, c.patch, order, expected_back);
      EXPECT_TRUE(close(back, expected_back, 0.0));
    }
}

TEST(Patch, AgreesWithReference) {
  compare_with_reference<float>();
  compare_with_reference<double>();
}

// The backward pass of a permutation is its inverse: <patchify(x), g> = <x, unpatchify(g)>.
TEST(Patch, EachIsTheBackwardOfTheOther) {
  const Case c{2, 3, 2, 4, 3};
  for (const PatchOrder order : kOrders) {
    // (B, C, H, W), (B, N, P*P*C)
    const Tensor<double> image = random_tensor<double>(c.image(), 3),
                         gradient = random_tensor<double>(c.tokens(), 4);
    Tensor<double> tokens(c.tokens()), back(c.image());  // (B, N, P*P*C), (B, C, H, W)
    patchify<double>(image, c.patch, order, tokens);
    unpatchify<double>(gradient, c.patch, order, back);
    EXPECT_NEAR(test::dot(tokens, gradient), test::dot(image, back), 1e-12);
  }
}

TEST(Patch, OrderOfFeatures) {
  const Tensor<float> image(Shape{1, 2, 2, 2}, {0, 1, 2, 3, 10, 11, 12, 13});  // (B, C, H, W)
  Tensor<float> tokens(Shape{1, 1, 8});                                        // (1, 1, 8)
  patchify<float>(image, 2, PatchOrder::channels_first, tokens);
  EXPECT_TRUE(close(tokens, Tensor<float>(Shape{1, 1, 8}, {0, 1, 2, 3, 10, 11, 12, 13}), 0.0));
  patchify<float>(image, 2, PatchOrder::channels_last, tokens);
  EXPECT_TRUE(close(tokens, Tensor<float>(Shape{1, 1, 8}, {0, 10, 1, 11, 2, 12, 3, 13}), 0.0));
}

TEST(Patch, RejectsShapes) {
  const Tensor<float> image(Shape{1, 3, 6, 4}, 1.0f);  // (1, 3, 6, 4)
  Tensor<float> tokens(Shape{1, 6, 12}, 5.0f), wrong(Shape{1, 12, 6}, 5.0f),
      copy(Shape{1, 3, 6, 4});  // (1, 6, 12), (1, 12, 6), (1, 3, 6, 4)
  EXPECT_THROW(patchify<float>(image, 4, PatchOrder::channels_first, tokens), ShapeError);
  EXPECT_THROW(patchify<float>(image, 0, PatchOrder::channels_first, tokens), ShapeError);
  EXPECT_THROW(patchify<float>(image, 2, PatchOrder::channels_first, wrong), ShapeError);
  EXPECT_THROW(patchify<float>(image.view().transposed(), 2, PatchOrder::channels_first, tokens),
               ShapeError);
  EXPECT_THROW(unpatchify<float>(wrong, 2, PatchOrder::channels_first, copy), ShapeError);
  EXPECT_THROW(transpose_tokens<float>(tokens, tokens), ShapeError);
  EXPECT_EQ(tokens[0], 5.0f);
}

TEST(TransposeTokens, AgreesWithReferenceAndIsItsOwnInverse) {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{2, 3, 5}, Shape{1, 17, 33}, Shape{3, 64, 16},
                             Shape{2, 1, 40}, Shape{1, 256, 768}}) {
    const Tensor<float> x = random_tensor<float>(shape, 5);  // (B, M, N)
    // (B, N, M), (B, N, M), (B, M, N)
    Tensor<float> out(Shape{shape[0], shape[2], shape[1]}), expected(out.shape()), back(shape);
    transpose_tokens<float>(x, out);
    reference::transpose_tokens<float>(x, expected);
    EXPECT_TRUE(close(out, expected, 0.0)) << shape.to_string();
    transpose_tokens<float>(out, back);
    EXPECT_TRUE(close(back, x, 0.0)) << shape.to_string();
  }
}

}  // namespace
}  // namespace rae
