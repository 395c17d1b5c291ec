// Parameter: a weight of a module, for inference (Tensor, optionally packed) or training (Var).
//
// Every module lists its parameters once, with the names of the official checkpoints, in
// `parameters(f)`, which calls f(name, parameter) for each. Loading, saving, optimisers and
// weight averages all use that list.
#pragma once

#include <concepts>
#include <string>
#include <utility>

#include "rae/core/random.hpp"
#include "rae/ops/fake_quantize.hpp"
#include "rae/ops/linear.hpp"

namespace rae {

/// The tensor type of a model: Tensor<T> for inference, Var<T> for training, which records
/// operations on the tape.
template <class X>
concept Operand = requires {
  typename X::value_type;
};

/// How a model uses a weight: element by element, or only in matrix products. A weight of products
/// can be stored in the packed layout of the kernel alone. Products with Activation::swiglu, which
/// combines the two halves of the outputs, need another column order in it.
enum class ParameterUse { elements, products, swiglu_products };

/// The column order of the packed layout for a weight of this use.
[[nodiscard]] constexpr PanelColumns panel_columns(ParameterUse use) noexcept {
  return use == ParameterUse::swiglu_products ? PanelColumns::halves : PanelColumns::neighbours;
}

/// A weight. An inference model stores it once: in `value`, or after `pack` in `packed`.
template <Operand X>
struct Parameter {
  using T = typename X::value_type;
  X value;                   ///< the elements; empty after `pack`
  PackedMatrix<T> packed{};  ///< a packed weight (N, K); empty before `pack`

  Parameter() = default;
  /// Zeros of the given shape. Throws ShapeError, std::bad_alloc.
  explicit Parameter(const Shape& shape, ParameterUse use = ParameterUse::elements)
      : value(Tensor<T>::zeros(shape)), use_(use) {
    if constexpr (requires { value.set_requires_grad(true); }) value.set_requires_grad(true);
  }

  /// True when the model has no such weight.
  [[nodiscard]] bool empty() const noexcept { return value.empty() && packed.empty(); }
  /// The shape of the weight, packed or not.
  [[nodiscard]] const Shape& shape() const noexcept {
    return packed.empty() ? value.shape() : packed_shape_;
  }

  /// The elements in row-major order. Throws ArgumentError for a packed weight, which stores them
  /// in another layout.
  [[nodiscard]] const Tensor<T>& tensor() const {
    if (!packed.empty())
      raise<ArgumentError>("Parameter: a packed weight ", packed_shape_,
                           " has no plain elements; set it again first");
    return value_of(value);
  }

  /// Replaces the elements; a packed weight becomes a plain one again. Throws ShapeError.
  void set(const Tensor<T>& t) {
    require_shape("Parameter::set", t.shape(), shape());
    if constexpr (requires { value.set_value(t); })
      value.set_value(t);
    else
      value = t;
    packed = {};
  }

  /// How the model uses the weight.
  [[nodiscard]] ParameterUse use() const noexcept { return use_; }

  /// Replaces a weight (N, K) of products by its packed form, with elements of type `stored`: T
  /// itself or, for float, a narrower type (see PackedMatrix). Does nothing for other weights and
  /// in training models. Throws ArgumentError for other types.
  void pack(DType stored = dtype_of<T>()) {
    if constexpr (std::same_as<X, Tensor<T>>) {
      if (use_ != ParameterUse::elements && !value.empty())
        pack(std::as_const(value).view(), stored);
    }
  }

  /// Sets the weight to contiguous `elements` of the parameter's shape and packs it, without a copy
  /// of the elements in between. A weight that is not packed is set to a copy of them. Throws
  /// ShapeError, ArgumentError.
  void pack(const View<const T>& elements, DType stored = dtype_of<T>()) {
    require_shape("Parameter::pack", elements.shape(), shape());
    if constexpr (std::same_as<X, Tensor<T>>) {
      if (use_ != ParameterUse::elements) {
        packed = PackedMatrix<T>(elements.transposed(), stored, panel_columns(use_));
        packed_shape_ = elements.shape();
        value = X();
        return;
      }
    }
    set(Tensor<T>(elements.shape(),
                  std::span<const T>(elements.data(), static_cast<std::size_t>(elements.numel()))));
  }

  /// The operand type of products with a weight that is not packed: T itself, or DType::bf16 for
  /// float. With bf16 each product rounds both operands to it; the stored weight stays in T.
  [[nodiscard]] DType operands() const noexcept { return operands_; }
  /// Sets the operand type of a weight of products; does nothing for other weights. Throws
  /// ArgumentError for other types.
  void multiply_as(DType operands) {
    if (operands != dtype_of<T>() && !(operands == DType::bf16 && dtype_of<T>() == DType::f32))
      raise<ArgumentError>("Parameter: ", name_of(dtype_of<T>()), " cannot be multiplied as ",
                           name_of(operands), "; f32 can be as f32 or bf16");
    if (use_ != ParameterUse::elements) operands_ = operands;
  }

  /// From now on, products in training read a weight of products rounded as a packed weight of the
  /// type `stored` is: int8w or int4. The gradient goes to the weight itself, which stays f32. Any
  /// other type: not rounded. Does nothing for other weights, for inference and for double.
  void quantize_as(DType stored) {
    if (use_ != ParameterUse::elements) quantized_ = stored;
  }
  /// The weight as products read it, for a weight that is not packed: `value`, or its rounded copy
  /// after `quantize_as`.
  [[nodiscard]] X operand() const {
    if constexpr (std::same_as<X, Var<float>>) {
      if (has_groups(quantized_)) return fake_quantize(value, quantized_);
    }
    return value;
  }

  /// Sets the weight to one that is already packed. Throws ShapeError.
  void pack(PackedMatrix<T> matrix) {
    require_shape("Parameter::pack", Shape{matrix.n(), matrix.k()}, shape());
    packed_shape_ = Shape{matrix.n(), matrix.k()};
    packed = std::move(matrix);
    value = X();
  }

 private:
  ParameterUse use_ = ParameterUse::elements;
  DType operands_ = dtype_of<T>();
  DType quantized_ = dtype_of<T>();
  Shape packed_shape_;
};

/// Calls f(prefix + name, parameter) for every parameter of a module.
template <class Module, class F>
void visit(const std::string& prefix, Module& module, F&& f) {
  module.parameters([&](const std::string& name, auto& parameter) { f(prefix + name, parameter); });
}

/// Copies all parameters to another instance of the same model, for example from training (Var) to
/// inference (Tensor). Throws ConfigError for a parameter that the target lacks, ShapeError,
/// ArgumentError for packed weights.
template <class From, class To>
void copy_parameters(From& from, To& to) {
  from.parameters([&](const std::string& name, auto& source) {
    bool found = false;
    to.parameters([&](const std::string& other, auto& target) {
      if (name != other) return;
      target.set(source.tensor());
      found = true;
    });
    if (!found)
      raise<ConfigError>("copy_parameters: no parameter named ", name,
                         " in the target; are the configurations equal?");
  });
}

/// Packs all weights of matrix products of a model. To be called once, after loading; the plain
/// elements are freed.
template <class Module>
void pack_parameters(Module& module) {
  module.parameters([](const std::string&, auto& parameter) { parameter.pack(); });
}

/// The same, with the element type `stored_as(name)` for each weight (see PackedMatrix). Throws
/// ArgumentError for other types.
template <class Module, std::invocable<const std::string&> F>
void pack_parameters(Module& module, F&& stored_as) {
  module.parameters(
      [&](const std::string& name, auto& parameter) { parameter.pack(stored_as(name)); });
}
/// The same, with one element type for all weights.
template <class Module>
void pack_parameters(Module& module, DType stored) {
  pack_parameters(module, [=](const std::string&) { return stored; });
}

/// Sets the operand type of all products of a model, including those of attention: DType::bf16, to
/// train in bf16 with f32 weights, or T's own type. Throws ArgumentError for other types.
template <class Module>
void multiply_as(Module& module, DType operands) {
  module.parameters([=](const std::string&, auto& parameter) { parameter.multiply_as(operands); });
}

/// Trains a model with the rounding errors of packed weights of the type `stored_as(name)`; see
/// `Parameter::quantize_as`.
template <class Module, std::invocable<const std::string&> F>
void quantize_parameters(Module& module, F&& stored_as) {
  module.parameters(
      [&](const std::string& name, auto& parameter) { parameter.quantize_as(stored_as(name)); });
}

/// Total number of elements of all parameters.
template <class Module>
index_t count_parameters(Module& module) {
  index_t n = 0;
  module.parameters([&](const std::string&, auto& parameter) {
    n += parameter.empty() ? 0 : parameter.shape().numel();
  });
  return n;
}

}  // namespace rae
