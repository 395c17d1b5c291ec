#include "rae/kernels/norm.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "rae/kernels/reference/norm.hpp"
#include "support/golden.hpp"
#include "support/kernel_data.hpp"

namespace rae {
namespace {

using test::close;
using test::largest;
using test::random_tensor;

struct Case {
  index_t rows, width, groups;  // groups of conditioning, or 0 without conditioning
  bool weight, bias;
};

/// Random inputs of a norm. The conditioning vectors are slices of longer rows, as in the output of
/// an adaLN layer.
template <class T>
struct Data {
  Data(const Case& c, NormKind kind)
      : x(random_tensor<T>({c.rows, c.width}, 1)),
        dout(random_tensor<T>({c.rows, c.width}, 2)),
        weight(random_tensor<T>({c.width}, 3)),
        bias(random_tensor<T>({c.width}, 4)),
        condition(random_tensor<T>({std::max<index_t>(c.groups, 1), 3 * c.width + 5}, 5)) {
    inputs.kind = kind;
    inputs.eps = 1e-6;
    if (c.weight) inputs.weight = std::as_const(weight).view();
    if (c.bias) inputs.bias = std::as_const(bias).view();
    if (c.groups > 0) {
      const index_t stride = condition.extent(1);
      inputs.shift = {std::as_const(condition).data() + 5, c.groups, stride};
      inputs.scale = {std::as_const(condition).data() + 5 + c.width, c.groups, stride};
    }
  }
  Tensor<T> x, dout, weight, bias, condition;  // (R, D), (R, D), (D), (D), (G, 3D + 5)
  NormInputs<T> inputs;
};

/// Gradients that already have values, to which the kernel adds: (rows of dx, dweight, dbias,
/// condition).
template <class T>
struct Gradients {
  explicit Gradients(const Data<T>& data)
      : dx(data.x.shape(), T(7)),
        dweight(data.weight.shape(), T(1)),
        dbias(data.bias.shape(), T(2)),
        condition(data.condition.shape(), T(3)) {}
  NormGradients<T> views(const Data<T>& data) {
    NormGradients<T> g;
    g.dx = dx.view();
    if (data.inputs.bias.empty()) g.add = data.dout.view();
    if (!data.inputs.weight.empty()) g.dweight = dweight.view();
    if (!data.inputs.bias.empty()) g.dbias = dbias.view();
    if (!data.inputs.scale.empty()) {
      const index_t width = dx.extent(1), groups = data.inputs.scale.groups,
                    stride = condition.extent(1);
      g.dshift = {condition.data() + 5, groups, stride};
      g.dscale = {condition.data() + 5 + width, groups, stride};
    }
    return g;
  }
  Tensor<T> dx, dweight, dbias, condition;  // (R, D), (D), (D), (G, 3D + 5)
};

template <class T>
void compare(const Case& c, NormKind kind, double tolerance) {
  const Data<T> data(c, kind);
  Tensor<T> out(data.x.shape()), expected(data.x.shape());  // (R, D) each
  norm<T>(data.x, data.inputs, out);
  reference::norm<T>(data.x, data.inputs, expected);
  EXPECT_TRUE(close(out, expected, tolerance * (1 + largest(expected))));
  Gradients<T> actual(data), wanted(data);
  norm_backward<T>(data.x, data.inputs, data.dout, actual.views(data));
  reference::norm_backward<T>(data.x, data.inputs, data.dout, wanted.views(data));
  EXPECT_TRUE(close(actual.dx, wanted.dx, tolerance * (1 + largest(wanted.dx))));
  EXPECT_TRUE(close(actual.dweight, wanted.dweight, tolerance * (1 + largest(wanted.dweight))));
  EXPECT_TRUE(close(actual.dbias, wanted.dbias, tolerance * (1 + largest(wanted.dbias))));
  EXPECT_TRUE(
      close(actual.condition, wanted.condition, tolerance * (1 + largest(wanted.condition))));
}

constexpr Case kCases[] = {{1, 1, 0, false, false},   {3, 5, 0, true, true},
                           {130, 17, 0, true, false}, {4, 48, 1, false, false},
                           {6, 33, 3, true, true},    {70, 16, 70, true, false},
                           {260, 19, 2, true, true},  {2, 389, 2, false, false}};

TEST(Norm, AgreesWithReferenceOnEveryInstructionSet) {
  test::on_every_isa([](Isa isa) {
    for (const NormKind kind : {NormKind::layer, NormKind::rms})
      for (const Case& c : kCases) {
        SCOPED_TRACE(concat(name_of(isa), kind == NormKind::rms ? " rms " : " layer ", c.rows,
                            " x ", c.width, ", ", c.groups, " groups"));
        compare<float>(c, kind, 4e-6);
        compare<double>(c, kind, 1e-13);
      }
  });
}

TEST(Norm, ThreadCountDoesNotChangeABit) {
  for (const Case& c : {Case{700, 129, 0, true, true}, Case{700, 129, 7, true, true},
                        Case{700, 129, 700, false, false}}) {
    const Data<float> data(c, NormKind::layer);
    EXPECT_TRUE(test::same_on_every_thread_count([&] {
      Tensor<float> out(data.x.shape());  // (R, D)
      norm<float>(data.x, data.inputs, out);
      return out;
    }));
    for (int part = 0; part < 4; ++part)
      EXPECT_TRUE(test::same_on_every_thread_count([&] {
        Gradients<float> g(data);
        norm_backward<float>(data.x, data.inputs, data.dout, g.views(data));
        return part == 0 ? g.dx : part == 1 ? g.dweight : part == 2 ? g.dbias : g.condition;
      }));
  }
}

TEST(Norm, RejectsMismatchedArguments) {
  // (6, 4), (5), (4, 4)
  const Tensor<float> x(Shape{6, 4}, 1.f), wrong(Shape{5}, 1.f), rows(Shape{4, 4}, 0.f);
  Tensor<float> out(Shape{6, 4}, 9.f), narrow(Shape{6, 3});  // (6, 4), (6, 3)
  NormInputs<float> in;
  EXPECT_THROW(norm<float>(x, in, narrow), ShapeError);
  in.weight = wrong.view();
  EXPECT_THROW(norm<float>(x, in, out), ShapeError);
  in.weight = {};
  in.shift = {rows.data(), 4, 4};
  EXPECT_THROW(norm<float>(x, in, out), ShapeError);  // a shift without a scale
  in.scale = {rows.data(), 4, 4};
  EXPECT_THROW(norm<float>(x, in, out), ShapeError);  // 4 groups for 6 rows
  EXPECT_EQ(out[0], 9.f);
}

}  // namespace
}  // namespace rae
