// Parameter: a named weight of a module, for inference (Tensor, optionally packed) or training
// (Var).
//
// Every module lists its parameters once, with the names of the official checkpoints, in
// `parameters(f)`, which calls f(name, parameter) for each. Loading, saving, optimisers and
// averages all walk that list.
#pragma once

#include <concepts>
#include <string>
#include <utility>

#include "rae/core/random.hpp"
#include "rae/ops/linear.hpp"

namespace rae {

/// What a model is instantiated with: Tensor<T> runs, Var<T> records and can be trained.
template <class X>
concept Operand = requires {
  typename X::value_type;
};

/// What reads a weight: its elements one by one, or matrix products only, for which the kernel's
/// own arrangement can stand in its place. That of products whose two halves SwiGLU joins
/// (Activation::swiglu) differs from that of others.
enum class ParameterUse { elements, products, swiglu_products };

/// The arrangement in which products read such a weight.
[[nodiscard]] constexpr PanelColumns panel_columns(ParameterUse use) noexcept {
  return use == ParameterUse::swiglu_products ? PanelColumns::halves : PanelColumns::neighbours;
}

/// A weight. Inference models hold it once: as `value`, or after `pack` as `packed`.
template <Operand X>
struct Parameter {
  using T = typename X::value_type;
  X value;
  PackedMatrix<T> packed{};

  Parameter() = default;
  explicit Parameter(const Shape& shape, ParameterUse use = ParameterUse::elements)
      : value(Tensor<T>::zeros(shape)), use_(use) {
    if constexpr (requires { value.set_requires_grad(true); }) value.set_requires_grad(true);
  }

  [[nodiscard]] bool empty() const noexcept { return value.empty() && packed.empty(); }
  [[nodiscard]] const Shape& shape() const noexcept {
    return packed.empty() ? value.shape() : packed_shape_;
  }

  /// The elements in row-major order. Throws ArgumentError for a packed weight, which has them in
  /// another order.
  [[nodiscard]] const Tensor<T>& tensor() const {
    if (!packed.empty())
      raise<ArgumentError>("Parameter: a packed weight ", packed_shape_,
                           " has no plain elements; set it again first");
    return value_of(value);
  }

  /// Replaces the elements. Throws ShapeError.
  void set(const Tensor<T>& t) {
    require_shape("Parameter::set", t.shape(), shape());
    if constexpr (requires { value.set_value(t); })
      value.set_value(t);
    else
      value = t;
    packed = {};
  }

  /// What reads the weight.
  [[nodiscard]] ParameterUse use() const noexcept { return use_; }

  /// Arranges the weight (N, K) of products for the kernel, in place of its elements, and stores it
  /// as `stored`: T's own type or, for float, a narrower one (see PackedMatrix). Other weights and
  /// those of training models stay. Throws ArgumentError for another type.
  void pack(DType stored = dtype_of<T>()) {
    if constexpr (std::same_as<X, Tensor<T>>) {
      if (use_ != ParameterUse::elements && !value.empty())
        pack(std::as_const(value).view(), stored);
    }
  }

  /// The same with elements that lie elsewhere, of the parameter's shape and contiguous: they are
  /// arranged where they are read, or copied when this weight stays as it is. Throws ShapeError,
  /// ArgumentError.
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

  /// What the products of a weight that is not packed multiply: T's own type, or for float
  /// DType::bf16, to which both operands are rounded in each product while the weight itself stays
  /// as it is.
  [[nodiscard]] DType operands() const noexcept { return operands_; }
  /// Sets it, where the weight is one of products. Throws ArgumentError for another type.
  void multiply_as(DType operands) {
    if (operands != dtype_of<T>() && !(operands == DType::bf16 && dtype_of<T>() == DType::f32))
      raise<ArgumentError>("Parameter: ", name_of(dtype_of<T>()), " cannot be multiplied as ",
                           name_of(operands), "; f32 can be as f32 or bf16");
    if (use_ != ParameterUse::elements) operands_ = operands;
  }

  /// Takes a weight of products that was packed before. Throws ShapeError.
  void pack(PackedMatrix<T> matrix) {
    require_shape("Parameter::pack", Shape{matrix.n(), matrix.k()}, shape());
    packed_shape_ = Shape{matrix.n(), matrix.k()};
    packed = std::move(matrix);
    value = X();
  }

 private:
  ParameterUse use_ = ParameterUse::elements;
  DType operands_ = dtype_of<T>();
  Shape packed_shape_;
};

/// Calls f(prefix + name, parameter) for every parameter of a module.
template <class Module, class F>
void visit(const std::string& prefix, Module& module, F&& f) {
  module.parameters([&](const std::string& name, auto& parameter) { f(prefix + name, parameter); });
}

/// Copies parameters between two instances of one model text, for example from training (Var) to
/// inference (Tensor).
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

/// Packs every weight of matrix products of a model, once after loading; each is then held in that
/// form only.
template <class Module>
void pack_parameters(Module& module) {
  module.parameters([](const std::string&, auto& parameter) { parameter.pack(); });
}

/// The same with `stored_as(name)` telling for each weight what it is stored as (see PackedMatrix).
/// One type can be given for all.
template <class Module, std::invocable<const std::string&> F>
void pack_parameters(Module& module, F&& stored_as) {
  module.parameters(
      [&](const std::string& name, auto& parameter) { parameter.pack(stored_as(name)); });
}
template <class Module>
void pack_parameters(Module& module, DType stored) {
  pack_parameters(module, [=](const std::string&) { return stored; });
}

/// Lets all products of a model round their operands to bf16, those of attention too, or none with
/// T's own type: how a model trains in bf16 with f32 weights. Throws ArgumentError for another
/// type.
template <class Module>
void multiply_as(Module& module, DType operands) {
  module.parameters([=](const std::string&, auto& parameter) { parameter.multiply_as(operands); });
}

/// Number of elements of all parameters.
template <class Module>
index_t count_parameters(Module& module) {
  index_t n = 0;
  module.parameters([&](const std::string&, auto& parameter) {
    n += parameter.empty() ? 0 : parameter.shape().numel();
  });
  return n;
}

}  // namespace rae
