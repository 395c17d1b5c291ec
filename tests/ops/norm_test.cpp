#include "rae/ops/norm.hpp"

#include <gtest/gtest.h>

#include "rae/ops/linear.hpp"
#include "support/gradients.hpp"

namespace rae {
namespace {

using test::expect_gradients;
using test::Inputs;

class NormOps : public testing::TestWithParam<NormKind> {};

TEST_P(NormOps, Gradients) {
  const NormKind kind = GetParam();
  auto affine = [kind](Inputs in) { return NormParameters<Var<double>>{kind, 1e-6, in[1], in[2]}; };
  expect_gradients(
      [kind](Inputs in) {
        return normalize(NormParameters<Var<double>>{kind, 1e-6, {}, {}}, in[0]);
      },
      {{3, 5}});
  expect_gradients([&](Inputs in) { return normalize(affine(in), in[0]); }, {{70, 19}, {19}, {19}});
  // One row of conditioning per image, then one per token.
  for (const Shape& condition : {Shape{3, 34}, Shape{3, 4, 34}})
    expect_gradients(
        [&](Inputs in) {
          const auto [shift, scale] = chunk<2>(in[3]);
          return norm_modulate(affine(in), in[0], shift, scale);
        },
        {{3, 4, 17}, {17}, {17}, condition});
}

INSTANTIATE_TEST_SUITE_P(Kinds, NormOps, testing::Values(NormKind::layer, NormKind::rms));

TEST(ModulationOps, GatedAdd) {
  for (const Shape& gate : {Shape{3, 14}, Shape{3, 4, 14}})
    expect_gradients([](Inputs in) { return gated_add(in[0], chunk<2>(in[1])[1], in[2]); },
                     {{3, 4, 7}, gate, {3, 4, 7}});
  expect_gradients([](Inputs in) { return gated_add(in[0], whole(in[1]), in[2]); },
                   {{30, 5, 7}, {7}, {30, 5, 7}});
  expect_gradients(
      [](Inputs in) {
        const auto [shift, scale] = chunk<2>(in[1]);
        return linear(
            norm_modulate<Var<double>>({NormKind::rms, 1e-6, {}, {}}, in[0], shift, scale), in[2],
            Var<double>(), Activation::none, Residual{in[0], whole(in[3])});
      },
      {{2, 3, 5}, {2, 10}, {5, 5}, {5}});
}

TEST(ModulationOps, QkNorm) {
  expect_gradients(
      [](Inputs in) {
        return qk_norm(NormParameters<Var<double>>{NormKind::rms, 1e-6, in[1], {}},
                       NormParameters<Var<double>>{NormKind::layer, 1e-5, in[2], in[3]}, in[0], 4);
      },
      {{2, 3, 24}, {4}, {4}, {4}});
}

}  // namespace
}  // namespace rae
