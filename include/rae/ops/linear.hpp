// The linear layer.
#pragma once

#include <utility>

#include "rae/kernels/linear_product.hpp"
#include "rae/ops/activation.hpp"
#include "rae/ops/elementwise.hpp"
#include "rae/ops/norm.hpp"

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
Tensor<T> linear_forward(const Tensor<T>& x, index_t n, const Tensor<T>& bias,
                         Activation activation, const Residual<Tensor<T>>& residual,
                         Multiply multiply) {
  const index_t rows = x.shape().rows(), width = activation == Activation::swiglu ? n / 2 : n;
  Tensor<T> out(x.shape().with(-1, width));
  BasicEpilogue<T> epilogue{.bias = bias.view(), .activation = activation};
  if (!residual.x.empty()) {
    require_shape("linear: residual", residual.x.shape(), out.shape());
    epilogue.residual = {residual.x.data(), {rows, width}};
  }
  if (!residual.gate.empty()) {
    if (residual.gate.width != width)
      raise<ShapeError>("linear: a gate of ", residual.gate.width, " columns for ", width);
    epilogue.gate = rows_of(residual.gate);
  }
  multiply(View<const T>(x.data(), {rows, x.extent(-1)}), View<T>(out.data(), {rows, width}),
           epilogue);
  return out;
}
}  // namespace detail

/// residual of activation(x W^T + b) for x (..., K), W (N, K), b (N) or empty: (..., N).
/// Activation::swiglu halves N. Throws ShapeError.
template <Real T>
Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias,
                 Activation activation = Activation::none, const Residual<Tensor<T>>& residual = {},
                 DType operands = dtype_of<T>()) {
  return detail::linear_forward(x, weight.extent(0), bias, activation, residual,
                                [&](const auto& a, const auto& out, const auto& e) {
                                  gemm<T>(a, weight.view().transposed(), out, e, operands);
                                });
}

/// The same with W^T packed before, for Activation::swiglu as PanelColumns::halves. Throws
/// ShapeError, ArgumentError.
template <Real T>
Tensor<T> linear(const Tensor<T>& x, const PackedMatrix<T>& weight, const Tensor<T>& bias,
                 Activation activation = Activation::none,
                 const Residual<Tensor<T>>& residual = {}) {
  return detail::linear_forward(
      x, weight.n(), bias, activation, residual,
      [&](const auto& a, const auto& out, const auto& e) { gemm<T>(a, weight, out, e); });
}

/// The same for x under a norm, whose rows are made where the product reads them.
template <Real T>
Tensor<T> linear(const Normalized<Tensor<T>>& x, const PackedMatrix<T>& weight,
                 const Tensor<T>& bias, Activation activation = Activation::none,
                 const Residual<Tensor<T>>& residual = {}) {
  return detail::linear_forward(x.x, weight.n(), bias, activation, residual,
                                [&](const auto& a, const auto& out, const auto& e) {
                                  gemm<T>(a, detail::norm_inputs(x), weight, out, e);
                                });
}

namespace detail {
/// x W^T + b, or SwiGLU of it, for x or, where `normalized` is not null, for what that makes of x:
/// one operation, so that what is between its steps is made where it is read, forward and backward.
template <Real T>
Var<T> linear_step(const Var<T>& x, const Normalized<Var<T>>* normalized, const Var<T>& weight,
                   const Var<T>& bias, bool gated, DType operands) {
  const index_t k = x.extent(-1), n = weight.extent(0), m = x.shape().rows();
  const Normalized<Var<T>> norm = normalized ? *normalized : Normalized<Var<T>>{};
  const NormInputs<T> inputs = norm_inputs(norm);
  PackedMatrix<T> packed;  // the rows that W met, for the sum over them that is dW
  Tensor<T> out(x.shape().with(-1, n)), product;
  LinearOperand<T> rows{.a = View<const T>(x.value().data(), {m, k})};
  if (normalized) rows.norm = &inputs;
  if (weight.requires_grad() && current_tape<T> != nullptr) rows.packed = &packed;
  if (gated) {
    product = std::exchange(out, Tensor<T>(x.shape().with(-1, n / 2)));
    rows.swiglu = View<T>(out.data(), {m, n / 2});
  }
  linear_product<T>(rows, weight.value().view().transposed(),
                    View<T>((gated ? product : out).data(), {m, n}),
                    bias.empty() ? View<const T>() : bias.value().view(), operands);
  const bool under_norm = normalized != nullptr;
  return make_result<T>(
      std::move(out),
      [=](const Tensor<T>& g) {
        PackedMatrix<T> packed_g;
        LinearOperand<T> gradient{.a = View<const T>(g.data(), {m, g.extent(-1)})};
        if (!product.empty()) gradient.gates = View<const T>(product.data(), {m, n});
        if (weight.requires_grad()) gradient.packed = &packed_g;
        if (bias.requires_grad()) gradient.column_sums = bias.mutable_grad().view();
        if (x.requires_grad() || under_norm) {
          Tensor<T> dx(x.shape());
          linear_product<T>(gradient, weight.value().view(), View<T>(dx.data(), {m, k}), {},
                            operands);
          if (under_norm)
            accumulate_norm_gradients(norm, dx);
          else
            x.accumulate(std::move(dx));
        } else {
          pack_and_sum_rows<T>(gradient, operands);
        }
        if (!weight.requires_grad()) return;
        const bool adds = !weight.grad().empty();
        Tensor<T> fresh;
        if (!adds) fresh = Tensor<T>(weight.shape());
        gemm_transposed<T>(packed_g, packed, adds ? weight.mutable_grad().view() : fresh.view(),
                           adds);
        if (!adds) weight.accumulate(std::move(fresh));
      },
      x, weight, bias, norm.shift.whole, norm.norm.weight, norm.norm.bias);
}

/// The layer with what is around it, for x or for what is normalized, as linear_step.
template <Real T>
Var<T> linear_layer(const Var<T>& x, const Normalized<Var<T>>* normalized, const Var<T>& weight,
                    const Var<T>& bias, Activation activation, const Residual<Var<T>>& residual,
                    DType operands) {
  const Var<T> y =
      linear_step(x, normalized, weight, bias, activation == Activation::swiglu, operands);
  // Backward needs what the residual and the activation read, so they are operations of their own
  // here.
  const Var<T> out = activation == Activation::none || activation == Activation::swiglu
                         ? y
                         : activate(y, activation);
  if (residual.x.empty()) return out;
  return residual.gate.empty() ? add(residual.x, out) : gated_add(residual.x, residual.gate, out);
}
}  // namespace detail

/// `operands`: what the products multiply, T's own type or for float DType::bf16, in the backward
/// too.
template <Real T>
Var<T> linear(const Var<T>& x, const Var<T>& weight, const Var<T>& bias,
              Activation activation = Activation::none, const Residual<Var<T>>& residual = {},
              DType operands = dtype_of<T>()) {
  return detail::linear_layer<T>(x, nullptr, weight, bias, activation, residual, operands);
}
template <Real T>
Var<T> linear(const Normalized<Var<T>>& x, const Var<T>& weight, const Var<T>& bias,
              Activation activation = Activation::none, const Residual<Var<T>>& residual = {},
              DType operands = dtype_of<T>()) {
  return detail::linear_layer<T>(x.x, &x, weight, bias, activation, residual, operands);
}

/// For x under a norm, where the product does not make the rows itself.
template <Real T>
Tensor<T> linear(const Normalized<Tensor<T>>& x, const Tensor<T>& weight, const Tensor<T>& bias,
                 Activation activation = Activation::none, const Residual<Tensor<T>>& residual = {},
                 DType operands = dtype_of<T>()) {
  return linear(Tensor<T>(x), weight, bias, activation, residual, operands);
}

}  // namespace rae
