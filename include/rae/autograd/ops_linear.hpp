// The linear layer of the model text.
#pragma once

#include "rae/autograd/ops_basic.hpp"
#include "rae/autograd/ops_norm.hpp"
#include "rae/kernels/gemm.hpp"

namespace rae {

/// What the result y of a linear layer is added to: x + gate * y, or x + y without a gate.
template <class X>
struct Residual {
  X x{};            // of the shape of y; empty: y alone
  Chunk<X> gate{};  // one row per image, per token, or one for all
};
template <class X>
Residual(X) -> Residual<X>;
template <class X>
Residual(X, Chunk<X>) -> Residual<X>;

namespace detail {
/// `multiply(a, out, epilogue)` with the matrices that a layer of n columns reads and writes.
template <Real T, class Multiply>
Tensor<T> linear_forward(const Tensor<T>& x, index_t n, const Tensor<T>& bias, Activation activation, const Residual<Tensor<T>>& residual,
                         Multiply multiply) {
  const index_t rows = x.shape().rows(), width = activation == Activation::swiglu ? n / 2 : n;
  Tensor<T> out(x.shape().with(-1, width));
  BasicEpilogue<T> epilogue{.bias = bias.view(), .activation = activation};
  if (!residual.x.empty()) {
    require_shape("linear: residual", residual.x.shape(), out.shape());
    epilogue.residual = {residual.x.data(), {rows, width}};
  }
  if (!residual.gate.empty()) {
    if (residual.gate.width != width) raise<ShapeError>("linear: a gate of ", residual.gate.width, " columns for ", width);
    epilogue.gate = rows_of(residual.gate);
  }
  multiply(View<const T>(x.data(), {rows, x.extent(-1)}), View<T>(out.data(), {rows, width}), epilogue);
  return out;
}
}  // namespace detail

/// residual of activation(x W^T + b) for x (..., K), W (N, K), b (N) or empty: (..., N). Activation::swiglu halves N. Throws ShapeError.
template <Real T>
Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias, Activation activation = Activation::none,
                 const Residual<Tensor<T>>& residual = {}, DType operands = dtype_of<T>()) {
  return detail::linear_forward(x, weight.extent(0), bias, activation, residual, [&](const auto& a, const auto& out, const auto& e) {
    gemm<T>(a, weight.view().transposed(), out, e, operands);
  });
}

/// The same with W^T packed before, for Activation::swiglu as PanelColumns::halves. Throws ShapeError, ArgumentError.
template <Real T>
Tensor<T> linear(const Tensor<T>& x, const PackedMatrix<T>& weight, const Tensor<T>& bias, Activation activation = Activation::none,
                 const Residual<Tensor<T>>& residual = {}) {
  return detail::linear_forward(x, weight.n(), bias, activation, residual,
                                [&](const auto& a, const auto& out, const auto& e) { gemm<T>(a, weight, out, e); });
}

/// The same for x under a norm, whose rows are made where the product reads them.
template <Real T>
Tensor<T> linear(const Normalized<Tensor<T>>& x, const PackedMatrix<T>& weight, const Tensor<T>& bias,
                 Activation activation = Activation::none, const Residual<Tensor<T>>& residual = {}) {
  return detail::linear_forward(x.x, weight.n(), bias, activation, residual,
                                [&](const auto& a, const auto& out, const auto& e) { gemm<T>(a, detail::norm_inputs(x), weight, out, e); });
}

/// `operands`: what the products multiply, T's own type or for float DType::bf16, in the backward too.
template <Real T>
Var<T> linear(const Var<T>& x, const Var<T>& weight, const Var<T>& bias, Activation activation = Activation::none,
              const Residual<Var<T>>& residual = {}, DType operands = dtype_of<T>()) {
  // Backward needs what the residual and the activation read, so they are operations of their own here.
  if (!residual.x.empty()) {
    const Var<T> y = linear(x, weight, bias, activation, {}, operands);
    return residual.gate.empty() ? add(residual.x, y) : gated_add(residual.x, residual.gate, y);
  }
  if (activation == Activation::swiglu) return swiglu(linear(x, weight, bias, Activation::none, {}, operands));
  if (activation != Activation::none) return activate(linear(x, weight, bias, Activation::none, {}, operands), activation);
  const Tensor<T> no_bias;
  return detail::make_result<T>(
      linear(x.value(), weight.value(), bias.empty() ? no_bias : bias.value(), Activation::none, {}, operands),
      [x, weight, bias, operands](const Tensor<T>& g) {
        const index_t k = x.extent(-1), n = weight.extent(0), rows = x.shape().rows();
        const View<const T> dout(g.data(), {rows, n});
        if (x.requires_grad()) {
          Tensor<T> dx(x.shape());
          gemm<T>(dout, weight.value().view(), View<T>(dx.data(), {rows, k}), {}, operands);
          x.accumulate(std::move(dx));
        }
        if (weight.requires_grad())
          gemm<T>(dout.transposed(), View<const T>(x.value().data(), {rows, k}), weight.mutable_grad().view(),
                  BasicEpilogue<T>{.accumulate = true}, operands);
        if (bias.requires_grad()) add_column_sums<T>(g, bias.mutable_grad());
      },
      x, weight, bias);
}

/// For x under a norm, where the product does not make the rows itself.
template <class X>
X linear(const Normalized<X>& x, const X& weight, const X& bias, Activation activation = Activation::none, const Residual<X>& residual = {},
         DType operands = dtype_of<typename X::value_type>()) {
  return linear(X(x), weight, bias, activation, residual, operands);
}

}  // namespace rae
