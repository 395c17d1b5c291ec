#include <gtest/gtest.h>

#include "rae/autograd/gradcheck.hpp"
#include "rae/kernels/reference/gemm.hpp"
#include "rae/ops/attention.hpp"
#include "rae/ops/linear.hpp"
#include "rae/ops/loss.hpp"
#include "rae/ops/norm.hpp"
#include "rae/ops/qk_norm.hpp"
#include "rae/ops/resize.hpp"

namespace rae {
namespace {

using Inputs = const std::vector<Var<double>>&;

Tensor<double> random_tensor(const Shape& shape, std::uint64_t stream) {
  Tensor<double> out(shape);
  const Philox random(3, stream);
  double* values = out.data();
  for (index_t i = 0; i < out.numel(); ++i)
    values[i] = random.normal(static_cast<std::uint64_t>(i));
  return out;
}

std::vector<Tensor<double>> random_tensors(std::initializer_list<Shape> shapes) {
  std::vector<Tensor<double>> out;
  for (const Shape& shape : shapes) out.push_back(random_tensor(shape, out.size()));
  return out;
}

template <class F>
void expect_gradients(F f, std::initializer_list<Shape> shapes) {
  const GradcheckResult result = gradcheck(f, random_tensors(shapes));
  EXPECT_LT(result.worst, 1e-7) << result.where;
}

TEST(Gradcheck, SeesAWrongGradient) {
  const auto wrong = [](Inputs in) {
    return detail::make_result<double>(
        scale(in[0].value(), 2.0), [x = in[0]](const Tensor<double>& g) { x.accumulate(g); },
        in[0]);
  };
  EXPECT_GT(gradcheck(wrong, random_tensors({{3}})).worst, 0.1);
}

TEST(Ops, Activations) {
  for (const Activation f :
       {Activation::none, Activation::gelu, Activation::gelu_tanh, Activation::silu})
    expect_gradients([f](Inputs in) { return activate(in[0], f); }, {{5, 7}});
  expect_gradients([](Inputs in) { return swiglu(in[0]); }, {{3, 2, 10}});
  expect_gradients([](Inputs in) { return softmax(in[0]); }, {{3, 2, 10}});
}

TEST(Ops, Linear) {
  expect_gradients([](Inputs in) { return linear(in[0], in[1], in[2]); }, {{2, 3, 5}, {7, 5}, {7}});
  expect_gradients([](Inputs in) { return linear(in[0], in[1], Var<double>()); }, {{4, 5}, {3, 5}});
  expect_gradients([](Inputs in) { return linear(in[0], in[1], in[2], Activation::gelu); },
                   {{4, 5}, {3, 5}, {3}});
  expect_gradients(
      [](Inputs in) { return linear(in[0], in[1], in[2], Activation::swiglu, Residual{in[3]}); },
      {{4, 5}, {6, 5}, {6}, {4, 3}});
}

// The norm and SwiGLU are made where the products read and write them; x also flows on beside them.
TEST(Ops, LinearBetweenNormAndSwiglu) {
  for (const bool gated : {false, true})
    expect_gradients(
        [gated](Inputs in) {
          const NormParameters<Var<double>> norm{NormKind::layer, 1e-6, in[3], in[4]};
          return linear(normalize(norm, in[0]), in[1], in[2],
                        gated ? Activation::swiglu : Activation::none, Residual{in[0]});
        },
        {{3, 4, 5}, gated ? Shape{10, 5} : Shape{5, 5}, gated ? Shape{10} : Shape{5}, {5}, {5}});
}

// Rounded operands in all three products of a linear layer; what is not a product stays as it is.
TEST(Ops, LinearInBf16) {
  const auto random = [](const Shape& shape, std::uint64_t stream) {
    return convert<float>(random_tensor(shape, stream));
  };
  const Var<float> x(random({2, 3, 5}, 1), true), weight(random({7, 5}, 2), true),
      bias(random({7}, 3), true);
  const Tensor<float> g = random({6, 7}, 4);
  Tape<float> tape;
  const TapeScope<float> scope(tape);
  const Var<float> out = linear(x, weight, bias, Activation::none, {}, DType::bf16);
  tape.backward(out, g.reshaped(out.shape()));
  Tensor<float> y(Shape{6, 7}), dx(Shape{6, 5}), dweight(Shape{7, 5});
  const View<const float> rows(x.value().data(), {6, 5});
  reference::gemm_bf16(rows, weight.value().view().transposed(), y);
  reference::gemm_bf16(g, weight.value(), dx);
  reference::gemm_bf16(g.view().transposed(), rows, dweight);
  for (index_t i = 0; i < y.numel(); ++i)
    EXPECT_FLOAT_EQ(out.value()[i], y[i] + bias.value()[i % 7]);
  for (index_t i = 0; i < dx.numel(); ++i)
    EXPECT_FLOAT_EQ(std::as_const(x).grad()[i], dx[i]);  // AMX adds in another order
  for (index_t i = 0; i < dweight.numel(); ++i)
    EXPECT_EQ(std::as_const(weight).grad()[i], dweight[i]);
  EXPECT_THROW((void)linear(x, weight, bias, Activation::none, {}, DType::int8), ArgumentError);
}

TEST(Ops, Sums) {
  expect_gradients([](Inputs in) { return add(in[0], in[1]); }, {{2, 3}, {2, 3}});
  expect_gradients([](Inputs in) { return add(in[0], in[0]); }, {{2, 3}});
  expect_gradients([](Inputs in) { return add_broadcast(in[0], in[1]); }, {{4, 3, 5}, {1, 3, 5}});
  expect_gradients([](Inputs in) { return add_per_image(in[0], in[1]); }, {{4, 3, 5}, {4, 5}});
  expect_gradients([](Inputs in) { return scale(in[0], -1.7); }, {{4}});
}

TEST(Ops, Shapes) {
  expect_gradients([](Inputs in) { return reshape(in[0], {6, 2}); }, {{3, 4}});
  expect_gradients([](Inputs in) { return tokens_to_grid(grid_to_tokens(in[0]), 3, 2); },
                   {{2, 5, 3, 2}});
  expect_gradients([](Inputs in) { return prepend_tokens(in[0], in[1]); }, {{1, 2, 3}, {4, 5, 3}});
  expect_gradients([](Inputs in) { return drop_tokens(in[0], 2); }, {{4, 5, 3}});
  expect_gradients([](Inputs in) { return keep_tokens(in[0], 2); }, {{4, 5, 3}});
  expect_gradients([](Inputs in) { return patchify(in[0], 2); }, {{2, 3, 4, 6}});
  expect_gradients([](Inputs in) { return unpatchify(in[0], 2, 3, 2); }, {{2, 6, 12}});
}

TEST(Ops, Lookups) {
  const std::vector<std::int64_t> ids = {2, 0, 2, 3};
  expect_gradients([&](Inputs in) { return embedding(in[0], ids); }, {{4, 3}});
  expect_gradients([](Inputs in) { return repeat(in[0], 3); }, {{2, 3}});
  const Tensor<double> t(Shape{2}, {0.1, 0.9});
  expect_gradients([&](Inputs in) { return fourier_features(t, in[0]); }, {{6}});
}

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

TEST(Ops, GatedAdd) {
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

TEST(Ops, Attention) {
  const RopeTable<double> rope = make_rope_table<double>(3, 2, 8), *none = nullptr;
  expect_gradients([&](Inputs in) { return attention(in[0], 2, none); }, {{2, 5, 18}});
  expect_gradients([&](Inputs in) { return attention(in[0], 2, &rope); }, {{2, 6, 48}});
  expect_gradients([&](Inputs in) { return attention(in[0], 1, none); }, {{1, 70, 12}});
}

TEST(Ops, QkNorm) {
  expect_gradients(
      [](Inputs in) {
        return qk_norm(NormParameters<Var<double>>{NormKind::rms, 1e-6, in[1], {}},
                       NormParameters<Var<double>>{NormKind::layer, 1e-5, in[2], in[3]}, in[0], 4);
      },
      {{2, 3, 24}, {4}, {4}, {4}});
}

TEST(Ops, Resizing) {
  for (const Resize method : {Resize::bilinear, Resize::bicubic, Resize::bicubic_antialias}) {
    expect_gradients([method](Inputs in) { return resize(in[0], method, 3, 5); }, {{2, 3, 4, 4}});
    expect_gradients([method](Inputs in) { return resize(in[0], method, 5, 2); }, {{1, 2, 3, 7}});
  }
}

TEST(Ops, Losses) {
  const Tensor<double> target = random_tensor({4, 3}, 9);
  const std::vector<std::int64_t> labels = {2, 0, 1, 1};
  expect_gradients([&](Inputs in) { return mse_loss(in[0], target); }, {{4, 3}});
  expect_gradients([&](Inputs in) { return l1_loss(in[0], target); }, {{4, 3}});
  expect_gradients([&](Inputs in) { return cross_entropy_loss(in[0], labels); }, {{4, 3}});
  expect_gradients([](Inputs in) { return scale(mean(in[0]), 3.0); }, {{4, 3}});
  EXPECT_THROW(mean(Var<double>()), ShapeError);
  const auto half_square = [](Inputs in) {
    double sum = 0;
    for (const double x : in[0].value().span()) sum += x * x / 2;
    return scale(known_loss(sum, in[0].value(), in[0]), 3.0);
  };
  expect_gradients(half_square, {{4, 3}});
  EXPECT_THROW(known_loss(1.0, target, Var<double>(random_tensor({3}, 1))), ShapeError);
}

TEST(Checkpoint, GradientsEqualThoseWithout) {
  const auto inputs = random_tensors({{3, 4}, {4, 4}, {4}});
  auto block = [](const Var<double>& x, const Var<double>& w, const Var<double>& b) {
    return linear(linear(x, w, b, Activation::gelu), w, b);
  };
  const GradcheckResult result =
      gradcheck([&](Inputs in) { return checkpoint(block, in[0], in[1], in[2]); }, inputs);
  EXPECT_LT(result.worst, 1e-7) << result.where;
  // Parameters that the block captures instead of taking them as inputs.
  const GradcheckResult captured = gradcheck(
      [&](Inputs in) {
        return checkpoint(
            [w = in[1], b = in[2], block](const Var<double>& x) { return block(x, w, b); }, in[0]);
      },
      inputs);
  EXPECT_LT(captured.worst, 1e-7) << captured.where;
}

TEST(Tape, NoGradRecordsNothing) {
  Tape<double> tape;
  const TapeScope<double> scope(tape);
  const Var<double> x(Tensor<double>(Shape{2}, 1.0), true);
  {
    const NoGrad<double> no_grad;
    EXPECT_FALSE(scale(x, 2.0).requires_grad());
  }
  EXPECT_EQ(tape.size(), 0u);
  EXPECT_TRUE(scale(x, 2.0).requires_grad());
  EXPECT_EQ(tape.size(), 1u);
}

TEST(Tape, ConstantsRecordNothing) {
  Tape<double> tape;
  const TapeScope<double> scope(tape);
  EXPECT_FALSE(scale(Var<double>(Tensor<double>(Shape{2}, 1.0)), 2.0).requires_grad());
  EXPECT_EQ(tape.size(), 0u);
}

// Two micro-batches with halved losses give the gradient of the whole batch.
TEST(Tape, GradientsAccumulate) {
  const Tensor<double> x = random_tensor({4, 3}, 1), target = random_tensor({4, 2}, 2),
                       weight = random_tensor({2, 3}, 3);
  auto gradient = [&](int parts) {
    const Var<double> w(weight, true);
    const index_t rows = 4 / parts;
    for (int part = 0; part < parts; ++part) {
      Tape<double> tape;
      const TapeScope<double> scope(tape);
      const Tensor<double> xs(Shape{rows, 3},
                              x.span().subspan(static_cast<std::size_t>(part * rows * 3),
                                               static_cast<std::size_t>(rows * 3)));
      const Tensor<double> ts(Shape{rows, 2},
                              target.span().subspan(static_cast<std::size_t>(part * rows * 2),
                                                    static_cast<std::size_t>(rows * 2)));
      tape.backward(scale(mse_loss(linear(Var<double>(xs), w, Var<double>()), ts), 1.0 / parts));
    }
    return w.grad();
  };
  const Tensor<double> whole_batch = gradient(1), in_parts = gradient(2);
  for (index_t i = 0; i < whole_batch.numel(); ++i) EXPECT_NEAR(whole_batch[i], in_parts[i], 1e-14);
}

TEST(Tape, RejectsASeedOfAnotherShape) {
  Tape<double> tape;
  const TapeScope<double> scope(tape);
  const Var<double> y = scale(Var<double>(Tensor<double>(Shape{2}, 1.0), true), 2.0);
  EXPECT_THROW(tape.backward(y, Tensor<double>(Shape{3}, 1.0)), ShapeError);
}

}  // namespace
}  // namespace rae
