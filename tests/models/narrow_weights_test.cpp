// A whole DiT^DH with weights stored as bf16 and as integers, against the velocity with f32
// weights.
#include <gtest/gtest.h>

#include "rae/core/parallel.hpp"

#include <cmath>
#include "rae/core/workspace.hpp"
#include "rae/models/vit_block.hpp"
#include "support/golden_model.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::Golden;

struct Model {
  Golden io{"ddt_official_flags/io.safetensors"}, weights{"ddt_official_flags/weights.safetensors"};
  DitDh<Tensor<float>> dit{test::dit_dh_config(test::golden_config("ddt_official_flags"))};

  Model() { test::load(dit, weights); }

  /// (B, C, h, w)
  Tensor<float> velocity() const {
    const Tensor<std::int64_t> y = io.get<std::int64_t>("y");  // (B)
    return dit(io("x"), io("t"), y.span());
  }
};

/// Root mean square of the difference, relative to that of `expected`.
double relative_error(const Tensor<float>& got, const Tensor<float>& expected) {
  double difference = 0, square = 0;
  for (index_t i = 0; i < got.numel(); ++i) {
    const double d = static_cast<double>(got[i]) - static_cast<double>(expected[i]),
                 e = static_cast<double>(expected[i]);
    difference += d * d;
    square += e * e;
  }
  return std::sqrt(difference / square);
}

// The expected error. Root mean square errors, relative to the root mean square of the operand:
// - bf16: 2^-9 / sqrt(3) per operand.
// - int8: 3 / 127 / sqrt(12) per operand, because the step is 1 / 127 of the largest element of a
//   row, which is about three times the root mean square.
// - int8w, int4: the largest element of a group of 32 is about 2.2 times the root mean square, so
// the
//   error is 2.2 / 128 / sqrt(12) or 2.2 / 8 / sqrt(12); only one of the two operands is rounded.
// A product of two rounded operands has sqrt(2) times the error of one, and n products in sequence
// have sqrt(n) times as much if all contribute equally. They do not, because of gates and
// residuals, so the test accepts half to twice the estimate (measured: 1.15 times for bf16, 0.81
// for int8).
TEST(NarrowWeights, VelocityIsCloseToThatOfF32) {
  const Tensor<float> expected = Model().io("out");  // (B, C, h, w)
  index_t products = 0;
  Model().dit.parameters([&](const std::string& name, auto& p) {
    products += p.shape().rank() == 2 && name.ends_with("weight");
  });
  ASSERT_GT(products, 10);
  const double count = std::sqrt(2.0 * static_cast<double>(products));
  for (const auto& [stored, error_of_operand] :
       {std::pair(DType::bf16, std::ldexp(1.0, -9) / std::sqrt(3.0)),
        std::pair(DType::int8, 3.0 / 127 / std::sqrt(12.0)),
        std::pair(DType::int8w, 2.2 / 128 / std::sqrt(12.0) / std::sqrt(2.0)),
        std::pair(DType::int4, 2.2 / 8 / std::sqrt(12.0) / std::sqrt(2.0))})
    test::on_every_narrow_isa([&, type = stored, estimate = error_of_operand * count](Isa isa) {
      Model model;
      pack_parameters(model.dit, type);
      const double error = relative_error(model.velocity(), expected);
      EXPECT_LT(error, 2 * estimate) << name_of(type) << ", " << name_of(isa);
      EXPECT_GT(error, estimate / 2) << name_of(type) << ", " << name_of(isa);
    });
}

// Attention has bf16 operands if its queries, keys and values come from a weight that is stored in
// a narrower type than f32.
TEST(NarrowWeights, AttentionRoundsTheOutputsOfNarrowWeights) {
  const Tensor<float> x = test::random_tensor<float>({2, 9, 16}, 1),
                      c = test::random_tensor<float>({2, 16}, 2);  // (B, T, D), (B, D)
  const DitBlockOptions options;
  DitBlock<Tensor<float>> dit(16, 2, options);
  VitBlock<Tensor<float>> vit(16, 32, 2, 1e-6, Activation::gelu, false);
  const RopeTable<float> rope = make_rope_table<float>(3, 3, 8);
  for (const auto& [stored, operands] : {std::pair(DType::f32, DType::f32),
                                         {DType::bf16, DType::bf16},
                                         {DType::int8, DType::bf16},
                                         {DType::int4, DType::bf16}}) {
    std::uint64_t stream = 3;
    const auto fill = [&, type = stored](const std::string& name, auto& p) {
      p.set(test::random_tensor<float>(p.shape(), stream++));
      if (name == "attn.qkv.weight") p.pack(type);
    };
    dit.parameters(fill);
    vit.parameters(fill);
    const auto [shift1, scale1, gate1, shift2, scale2, gate2] = chunk<6>(dit.adaln(silu(c)));
    const Tensor<float> dit_qkv =
        dit.qkv(norm_modulate(dit.norm1(), x, shift1, scale1));  // (2, 9, 48)
    // (2, 9, 16) each
    const Tensor<float> g = dit.proj(attention(dit_qkv, 2, &rope, operands), Residual{x, gate1});
    const Tensor<float> dit_out =
        dit.mlp(norm_modulate(dit.norm2(), g, shift2, scale2), Residual{g, gate2});  // (B, T, D)
    EXPECT_TRUE(test::close(dit(x, c, &rope), dit_out, 0)) << name_of(stored);

    const RopeTable<float>* none = nullptr;
    // (2, 9, 16) each
    const Tensor<float> h =
        vit.proj(attention(vit.qkv(vit.norm1(x)), 2, none, operands), Residual{x});
    // (B, T, D)
    const Tensor<float> vit_out = vit.fc2(vit.fc1(vit.norm2(h), Activation::gelu), Residual{h});
    EXPECT_TRUE(test::close(vit(x), vit_out, 0)) << name_of(stored);
  }
}

// Sensitive layers can stay in f32.
TEST(NarrowWeights, EachWeightHasItsOwnType) {
  Model all, mixed;
  const Tensor<float> expected = all.io("out");  // (B, C, h, w)
  pack_parameters(all.dit, DType::int8);
  pack_parameters(mixed.dit, [](const std::string& name) {
    return name.starts_with("blocks.0.mlp") ? DType::int8 : DType::f32;
  });
  const double error = relative_error(mixed.velocity(), expected);
  EXPECT_GT(error, 1e-5);
  EXPECT_LT(error, relative_error(all.velocity(), expected));
}

TEST(NarrowWeights, ThreadCountDoesNotChangeABit) {
  for (const DType stored : {DType::bf16, DType::int8, DType::int8w, DType::int4}) {
    Model model;
    pack_parameters(model.dit, stored);
    EXPECT_TRUE(test::same_on_every_thread_count([&] { return model.velocity(); }, 2))
        << name_of(stored);
  }
}

TEST(NarrowWeights, WarmStepAllocatesNothing) {
  for (const DType stored : {DType::bf16, DType::int8, DType::int8w, DType::int4}) {
    Model model;
    pack_parameters(model.dit, stored);
    const Tensor<std::int64_t> y = model.io.get<std::int64_t>("y");  // (B)
    const Tensor<float> x = model.io("x"), t = model.io("t");        // (B, C, h, w), (B)
    Workspace workspace;
    const WorkspaceScope scope(workspace);
    model.dit(x, t, y.span());
    const auto allocations = workspace.allocations();
    for (int step = 0; step < 3; ++step) model.dit(x, t, y.span());
    EXPECT_EQ(workspace.allocations(), allocations) << name_of(stored);
  }
}

TEST(NarrowWeights, RejectsATypeWithoutProducts) {
  Model model;
  EXPECT_THROW(pack_parameters(model.dit, DType::int64), ArgumentError);
}

}  // namespace
}  // namespace rae
