// A model without memory: names and shapes of its parameters, for whatever must know them before weights are read.
#pragma once

#include <string>
#include <vector>

#include "rae/nn/parameter.hpp"

namespace rae {

/// What a model is instantiated with to have shapes instead of weights; it cannot be run.
struct Outline {
  using value_type = float;  ///< of the weights that it stands for
};

/// The shape of a weight.
template <>
struct Parameter<Outline> {
  using T = float;  ///< of the weight that it stands for

  Parameter() = default;
  /// The shape that the weight would have.
  explicit Parameter(const Shape& shape, ParameterUse = ParameterUse::elements) : shape_(shape), empty_(false) {}

  /// True when the model has no such weight.
  [[nodiscard]] bool empty() const noexcept { return empty_; }
  /// The shape that the weight would have.
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }

 private:
  Shape shape_;
  bool empty_ = true;
};

/// Name and shape of a parameter.
struct ParameterShape {
  std::string name;  ///< as the model's `parameters` gives it
  Shape shape;       ///< extents
};

/// All parameters of a model in its order: `parameter_shapes<Decoder>(config)`. Takes no memory for weights. Throws what the model's
/// constructor throws.
template <template <class> class Model, class Config>
[[nodiscard]] std::vector<ParameterShape> parameter_shapes(const Config& config) {
  Model<Outline> model(config);
  std::vector<ParameterShape> out;
  model.parameters([&](const std::string& name, auto& parameter) {
    if (!parameter.empty()) out.push_back({name, parameter.shape()});
  });
  return out;
}

}  // namespace rae
