// A linear layer fused with a norm before it and an activation and a residual after it, compared
// with the separate operations.
#include "rae/nn/linear.hpp"

#include <gtest/gtest.h>

#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::random_tensor;

constexpr index_t kImages = 3, kTokens = 4, kIn = 20, kOut = 50;

template <class X>
Linear<X> layer(ParameterUse use) {
  Linear<X> out(kIn, kOut, true, use);
  std::uint64_t stream = 1;
  out.parameters(
      [&](const std::string&, auto& p) { p.set(random_tensor<float>(p.shape(), stream++)); });
  return out;
}

testing::AssertionResult near(const Tensor<float>& got, const Tensor<float>& expected) {
  return close(got, expected, 1e-6 * (1 + test::largest(expected)));
}

/// Inputs of a layer, its norm and its residual.
struct Data {
  // (B, T, K), (K), (B, 2K), (B, T, N), (B, T, N/2), (B, 2N)
  Tensor<float> x = random_tensor<float>({kImages, kTokens, kIn}, 3),
                weight = random_tensor<float>({kIn}, 4),
                modulation = random_tensor<float>({kImages, 2 * kIn}, 5),
                wide = random_tensor<float>({kImages, kTokens, kOut}, 6),
                narrow = random_tensor<float>({kImages, kTokens, kOut / 2}, 7),
                gates = random_tensor<float>({kImages, 2 * kOut}, 8);

  [[nodiscard]] Normalized<Tensor<float>> under_norm() const {
    const auto [shift, scale] = chunk<2>(modulation);
    return norm_modulate<Tensor<float>>({NormKind::rms, 1e-6, weight, {}}, x, shift, scale);
  }
};

// All combinations of: a norm of x or none, every activation, and no residual, a residual, or a
// gated residual. The separate operations use the product of the same layer, so results may differ
// only by rounding after the product.
TEST(Linear, FusesTheOperationsBeforeAndAfterTheProduct) {
  const Data d;
  for (const DType stored : {DType::f32, DType::bf16, DType::int8})
    for (const bool packed : {false, true}) {
      if (!packed && stored != DType::f32) continue;
      for (const Activation activation : {Activation::none, Activation::gelu, Activation::swiglu}) {
        const bool halves = activation == Activation::swiglu;
        auto plain = layer<Tensor<float>>(ParameterUse::products),
             fused = halves ? layer<Tensor<float>>(ParameterUse::swiglu_products) : plain;
        if (packed) {
          plain.weight.pack(stored);
          fused.weight.pack(stored);
        }
        const Tensor<float>& base = halves ? d.narrow : d.wide;  // (B, T, N or N/2)
        const Chunk<Tensor<float>> gate{d.gates, kOut, base.extent(-1)};
        const auto expect = [&](const auto& in) {
          const Tensor<float> product = plain(Tensor<float>(in));  // (B, T, N)
          const Tensor<float> y =
              halves ? swiglu(product) : activate(product, activation);  // (B, T, N or N/2)
          EXPECT_TRUE(near(fused(in, activation), y)) << name_of(stored);
          EXPECT_TRUE(near(fused(in, activation, Residual{base}), add(base, y))) << name_of(stored);
          EXPECT_TRUE(near(fused(in, activation, Residual{base, gate}), gated_add(base, gate, y)))
              << name_of(stored);
        };
        expect(d.x);
        expect(d.under_norm());
      }
    }
}

// Training and inference compute the same result.
TEST(Linear, VarAndTensorAgree) {
  const Data d;
  for (const Activation activation : {Activation::none, Activation::gelu, Activation::swiglu}) {
    const auto use =
        activation == Activation::swiglu ? ParameterUse::swiglu_products : ParameterUse::products;
    const Tensor<float>& base =
        activation == Activation::swiglu ? d.narrow : d.wide;  // (B, T, N or N/2)
    const auto gate = [&](auto x) { return Chunk<decltype(x)>{x, kOut, base.extent(-1)}; };
    const auto [shift, scale] = chunk<2>(Var<float>(d.modulation));
    const Var<float> trained = layer<Var<float>>(use)(
        norm_modulate<Var<float>>({NormKind::rms, 1e-6, Var<float>(d.weight), {}}, Var<float>(d.x),
                                  shift, scale),
        activation, Residual{Var<float>(base), gate(Var<float>(d.gates))});  // (B, T, N or N/2)
    const Tensor<float> run = layer<Tensor<float>>(use)(
        d.under_norm(), activation, Residual{base, gate(d.gates)});  // (B, T, N or N/2)
    EXPECT_TRUE(near(run, trained.value()));
  }
}

TEST(Linear, RejectsMismatchedArguments) {
  const Data d;
  auto plain = layer<Tensor<float>>(ParameterUse::products),
       halves = layer<Tensor<float>>(ParameterUse::swiglu_products);
  EXPECT_THROW(plain(d.x, Residual{d.narrow}), ShapeError);
  EXPECT_THROW(plain(d.x, Residual{d.wide, Chunk<Tensor<float>>{d.gates, 0, kOut - 1}}),
               ShapeError);
  EXPECT_THROW(plain(d.narrow), ShapeError);
  plain.weight.pack();
  halves.weight.pack();
  EXPECT_THROW(plain(d.x, Activation::swiglu), ArgumentError);
  EXPECT_THROW(halves(d.x), ArgumentError);
}

}  // namespace
}  // namespace rae
