// A model without memory: names and shapes of its parameters, for code that must know them before
// weights are read.
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
  explicit Parameter(const Shape& shape, ParameterUse use = ParameterUse::elements)
      : shape_(shape), use_(use), empty_(false) {}

  /// True when the model has no such weight.
  [[nodiscard]] bool empty() const noexcept { return empty_; }
  /// The shape that the weight would have.
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  /// What reads the weight.
  [[nodiscard]] ParameterUse use() const noexcept { return use_; }

 private:
  Shape shape_;
  ParameterUse use_ = ParameterUse::elements;
  bool empty_ = true;
};

/// Name and shape of a parameter.
struct ParameterShape {
  std::string name;                           ///< as the model's `parameters` gives it
  Shape shape;                                ///< extents
  ParameterUse use = ParameterUse::elements;  ///< what reads it
};

/// All parameters of a model in its order: `parameter_shapes<Decoder>(config)`. Takes no memory for
/// weights. Throws what the model's constructor throws.
template <template <class> class Model, class Config>
[[nodiscard]] std::vector<ParameterShape> parameter_shapes(const Config& config) {
  Model<Outline> model(config);
  std::vector<ParameterShape> out;
  model.parameters([&](const std::string& name, auto& parameter) {
    if (!parameter.empty()) out.push_back({name, parameter.shape(), parameter.use()});
  });
  return out;
}

/// Number of elements of all parameters.
[[nodiscard]] inline index_t parameter_count(const std::vector<ParameterShape>& parameters) {
  index_t n = 0;
  for (const ParameterShape& parameter : parameters) n += parameter.shape.numel();
  return n;
}

}  // namespace rae
