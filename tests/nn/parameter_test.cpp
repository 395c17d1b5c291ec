#include "rae/nn/parameter.hpp"

#include <gtest/gtest.h>

#include "rae/models/vit_block.hpp"

namespace rae {
namespace {

TEST(MultiplyAs, AppliesOnlyToWeightsOfProducts) {
  VitBlock<Var<float>> block(8, 16, 2, 1e-6, Activation::gelu, true);
  multiply_as(block, DType::bf16);
  EXPECT_EQ(block.qkv.weight.operands(), DType::bf16);
  EXPECT_EQ(block.fc2.weight.operands(), DType::bf16);
  EXPECT_EQ(block.qkv.bias.operands(), DType::f32);
  EXPECT_EQ(block.norm1.weight.operands(), DType::f32);
  EXPECT_EQ(block.qkv.operands(), DType::bf16);  // also the type of attention
  multiply_as(block, DType::f32);
  EXPECT_EQ(block.qkv.operands(), DType::f32);
}

TEST(MultiplyAs, RefusesOtherTypes) {
  VitBlock<Var<float>> block(8, 16, 2, 1e-6, Activation::gelu, false);
  EXPECT_THROW(multiply_as(block, DType::int8), ArgumentError);
  VitBlock<Var<double>> wide(8, 16, 2, 1e-6, Activation::gelu, false);
  EXPECT_THROW(multiply_as(wide, DType::bf16), ArgumentError);
  EXPECT_NO_THROW(multiply_as(wide, DType::f64));
}

}  // namespace
}  // namespace rae
