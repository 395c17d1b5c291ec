// A model without weights: the names and shapes of its parameters, for code that needs them before
// weights are read.
#pragma once

#include <string>
#include <vector>

#include "rae/nn/parameter.hpp"

namespace rae {

/// The Operand of a model that has shapes in place of weights. Such a model cannot be run.
struct Outline {
  using value_type = float;  ///< element type of the weights in its place
};

/// A parameter that has a shape but no elements.
template <>
struct Parameter<Outline> {
  using T = float;  ///< element type of the weight in its place

  Parameter() = default;
  /// A parameter of this shape.
  explicit Parameter(const Shape& shape, ParameterUse use = ParameterUse::elements)
      : shape_(shape), use_(use), empty_(false) {}

  /// True when the model has no such weight.
  [[nodiscard]] bool empty() const noexcept { return empty_; }
  /// The shape of the weight.
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  /// How the model uses the weight.
  [[nodiscard]] ParameterUse use() const noexcept { return use_; }

 private:
  Shape shape_;
  ParameterUse use_ = ParameterUse::elements;
  bool empty_ = true;
};

/// Name and shape of a parameter.
struct ParameterShape {
  std::string name;                           ///< as in the model's `parameters`
  Shape shape;                                ///< extents
  ParameterUse use = ParameterUse::elements;  ///< how the model uses it
};

/// All parameters of a model in its own order: `parameter_shapes<Decoder>(config)`. Allocates no
/// memory for weights. Throws the errors of the model's constructor.
template <template <class> class Model, class Config>
[[nodiscard]] std::vector<ParameterShape> parameter_shapes(const Config& config) {
  Model<Outline> model(config);
  std::vector<ParameterShape> out;
  model.parameters([&](const std::string& name, auto& parameter) {
    if (!parameter.empty()) out.push_back({name, parameter.shape(), parameter.use()});
  });
  return out;
}

/// Total number of elements of the parameters.
[[nodiscard]] inline index_t parameter_count(const std::vector<ParameterShape>& parameters) {
  index_t n = 0;
  for (const ParameterShape& parameter : parameters) n += parameter.shape.numel();
  return n;
}

}  // namespace rae
