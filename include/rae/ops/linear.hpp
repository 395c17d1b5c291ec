// Linear layers y = x W^T + b, fused with the norm before them and with the activation and the
// residual after them; for Tensor (inference) and for Var (recorded, with a gradient).
#pragma once

#include <utility>

#include "rae/kernels/linear_product.hpp"
#include "rae/ops/activation.hpp"
#include "rae/ops/elementwise.hpp"
#include "rae/ops/norm.hpp"

namespace rae {

/// The residual connection around a linear layer with result y: x + gate * y, x + y without a gate,
/// y without x.
template <class X>
struct Residual {
  X x{};            ///< of the shape of y, or empty
  Chunk<X> gate{};  ///< columns of y, one row per image, per token or for all; or empty
};
/// x + y.
template <class X>
Residual(X) -> Residual<X>;
/// x + gate * y.
template <class X>
Residual(X, Chunk<X>) -> Residual<X>;

namespace detail {
/// Calls multiply(a, out, epilogue) with the rows of x (..., K) as matrix a (M, K) and those of the
/// result as out (M, N), or (M, N/2) after SwiGLU, and returns the result (..., N or N/2).
template <Real T, class Multiply>
Tensor<T> linear_forward(const Tensor<T>& x, index_t n, const Tensor<T>& bias,
                         Activation activation, const Residual<Tensor<T>>& residual,
                         Multiply multiply) {
  const index_t rows = x.shape().rows(), width = activation == Activation::swiglu ? n / 2 : n;
  Tensor<T> out(x.shape().with(-1, width));  // (..., N) or (..., N/2)
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

/// y = activation(x W^T + b), then residual.x + residual.gate * y, for x (..., K), weight W (N, K)
/// and bias b (N) or empty: (..., N), or (..., N/2) with Activation::swiglu. `operands`: the type
/// to which x and W are rounded for the product, T's own (no rounding) or, for float, DType::bf16.
/// Throws ShapeError, ArgumentError.
template <Real T>
Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias,
                 Activation activation = Activation::none, const Residual<Tensor<T>>& residual = {},
                 DType operands = dtype_of<T>()) {
  return detail::linear_forward(x, weight.extent(0), bias, activation, residual,
                                [&](const auto& a, const auto& out, const auto& e) {
                                  gemm<T>(a, weight.view().transposed(), out, e, operands);
                                });
}

/// The same with W packed beforehand, in the type in which it is stored; for Activation::swiglu
/// packed with PanelColumns::halves. Throws ShapeError, ArgumentError.
template <Real T>
Tensor<T> linear(const Tensor<T>& x, const PackedMatrix<T>& weight, const Tensor<T>& bias,
                 Activation activation = Activation::none,
                 const Residual<Tensor<T>>& residual = {}) {
  return detail::linear_forward(
      x, weight.n(), bias, activation, residual,
      [&](const auto& a, const auto& out, const auto& e) { gemm<T>(a, weight, out, e); });
}

/// The same for a normalised x, whose rows are computed as the product reads them.
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
/// x W^T + b, or swiglu(x W^T + b) when `gated`, for x (..., K) or, when `normalized` is not null,
/// for its value: one recorded operation, so that neither the normalised rows nor the gradient
/// before SwiGLU are ever stored as a whole.
template <Real T>
Var<T> linear_step(const Var<T>& x, const Normalized<Var<T>>* normalized, const Var<T>& weight,
                   const Var<T>& bias, bool gated, DType operands) {
  const index_t k = x.extent(-1), n = weight.extent(0), m = x.shape().rows();
  const Normalized<Var<T>> norm = normalized ? *normalized : Normalized<Var<T>>{};
  const NormInputs<T> inputs = norm_inputs(norm);
  PackedMatrix<T> packed;  // (M, K): the rows that were multiplied, for the gradient of W
  Tensor<T> out(x.shape().with(-1, n)), product;  // (..., N); with SwiGLU (..., N/2), (..., N)
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
        PackedMatrix<T> packed_g;  // (M, N)
        LinearOperand<T> gradient{.a = View<const T>(g.data(), {m, g.extent(-1)})};
        if (!product.empty()) gradient.gates = View<const T>(product.data(), {m, n});
        if (weight.requires_grad()) gradient.packed = &packed_g;
        if (bias.requires_grad()) gradient.column_sums = bias.mutable_grad().view();
        if (x.requires_grad() || under_norm) {
          Tensor<T> dx(x.shape());  // (..., K)
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
        Tensor<T> fresh;  // (N, K)
        if (!adds) fresh = Tensor<T>(weight.shape());
        gemm_transposed<T>(packed_g, packed, adds ? weight.mutable_grad().view() : fresh.view(),
                           adds);
        if (!adds) weight.accumulate(std::move(fresh));
      },
      x, weight, bias, norm.shift.whole, norm.norm.weight, norm.norm.bias);
}

/// `linear_step` followed by the activation and the residual.
template <Real T>
Var<T> linear_layer(const Var<T>& x, const Normalized<Var<T>>* normalized, const Var<T>& weight,
                    const Var<T>& bias, Activation activation, const Residual<Var<T>>& residual,
                    DType operands) {
  const Var<T> y = linear_step(x, normalized, weight, bias, activation == Activation::swiglu,
                               operands);  // (..., N) or (..., N/2)
  // The backward passes of the activation and the residual need their inputs, so they are recorded
  // as operations of their own.
  const Var<T> out = activation == Activation::none || activation == Activation::swiglu
                         ? y
                         : activate(y, activation);  // (..., N) or (..., N/2)
  if (residual.x.empty()) return out;
  return residual.gate.empty() ? add(residual.x, out) : gated_add(residual.x, residual.gate, out);
}
}  // namespace detail

/// The same, recorded: gradients go to x, weight, bias and the residual. The products of the
/// backward pass round their operands in the same way.
template <Real T>
Var<T> linear(const Var<T>& x, const Var<T>& weight, const Var<T>& bias,
              Activation activation = Activation::none, const Residual<Var<T>>& residual = {},
              DType operands = dtype_of<T>()) {
  return detail::linear_layer<T>(x, nullptr, weight, bias, activation, residual, operands);
}
/// The same for a normalised x: gradients go also to the parameters of the norm and the modulation.
template <Real T>
Var<T> linear(const Normalized<Var<T>>& x, const Var<T>& weight, const Var<T>& bias,
              Activation activation = Activation::none, const Residual<Var<T>>& residual = {},
              DType operands = dtype_of<T>()) {
  return detail::linear_layer<T>(x.x, &x, weight, bias, activation, residual, operands);
}

/// The same for a normalised x and a weight that is not packed: the norm is computed first.
template <Real T>
Tensor<T> linear(const Normalized<Tensor<T>>& x, const Tensor<T>& weight, const Tensor<T>& bias,
                 Activation activation = Activation::none, const Residual<Tensor<T>>& residual = {},
                 DType operands = dtype_of<T>()) {
  return linear(Tensor<T>(x), weight, bias, activation, residual, operands);
}

}  // namespace rae
