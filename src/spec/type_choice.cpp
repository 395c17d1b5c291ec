#include "rae/spec/type_choice.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace rae {
namespace {

double square(double x) { return x * x; }

/// The step of a layer from one type to the next narrower one.
struct Step {
  std::size_t layer;
  TypeCost from, to;

  [[nodiscard]] double added() const { return square(to.error) - square(from.error); }
  [[nodiscard]] std::uint64_t saved() const { return from.bytes - to.bytes; }
  [[nodiscard]] double price() const { return added() / static_cast<double>(saved()); }
};

/// The steps of a layer from its first type on: the lower convex hull of squared error over bytes,
/// so that their prices grow.
std::vector<Step> steps_of(const std::vector<LayerCosts>& layers, std::size_t i) {
  std::vector<TypeCost> types = layers[i].types;
  std::stable_sort(std::next(types.begin()), types.end(),
                   [](const TypeCost& a, const TypeCost& b) { return a.bytes > b.bytes; });
  std::vector<Step> out;
  for (std::size_t next = 1; next < types.size(); ++next) {
    const TypeCost& type = types[next];
    // Steps whose target is no better than this type are taken together with this one.
    while (true) {
      const TypeCost& from = out.empty() ? types.front() : out.back().to;
      if (type.bytes < from.bytes) {
        const Step step{i, from, type};
        if (out.empty() || step.price() > out.back().price()) {
          out.push_back(step);
          break;
        }
      } else if (out.empty() || type.error >= from.error) {
        break;  // not smaller, and not more exact
      }
      out.pop_back();
    }
  }
  return out;
}

/// A choice while it is made.
class Choice {
 public:
  explicit Choice(const std::vector<LayerCosts>& layers)
      : layers_(layers), squares_(std::size(kNetworkRoles)) {
    for (const LayerCosts& layer : layers) {
      if (layer.types.empty()) raise<ArgumentError>("choose_types: ", layer.name, " has no types");
      taken_.push_back(layer.types.front());
      bytes_ += taken_.back().bytes;
      square_of(taken_.size() - 1) += square(taken_.back().error);
    }
  }

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  /// The squared error of the network of a step's layer after the step.
  [[nodiscard]] double square_after(const Step& step) {
    return square_of(step.layer) + step.added();
  }
  /// True when the layer has the type from which the step begins.
  [[nodiscard]] bool reaches(const Step& step) const {
    return taken_[step.layer].type == step.from.type;
  }
  void take(const Step& step) {
    taken_[step.layer] = step.to;
    bytes_ -= step.saved();
    square_of(step.layer) += step.added();
  }

  [[nodiscard]] TypeChoice result() const {
    TypeChoice out;
    out.bytes = bytes_;
    for (std::size_t i = 0; i < layers_.size(); ++i)
      out.types.emplace(layers_[i].name, taken_[i].type);
    for (const double sum : squares_) out.errors.push_back(std::sqrt(std::max(0.0, sum)));
    return out;
  }

 private:
  [[nodiscard]] double& square_of(std::size_t layer) {
    return squares_[static_cast<std::size_t>(layers_[layer].role)];
  }

  const std::vector<LayerCosts>& layers_;
  std::vector<double> squares_;  // by role
  std::vector<TypeCost> taken_;  // by layer
  std::uint64_t bytes_ = 0;
};

}  // namespace

TypeChoice choose_types(const std::vector<LayerCosts>& layers, const TypeLimit& limit) {
  if (limit.bytes.has_value() == limit.error.has_value())
    raise<ArgumentError>("choose_types: expected a limit of either bytes or error");
  Choice choice(layers);
  std::vector<Step> steps;
  for (std::size_t i = 0; i < layers.size(); ++i)
    for (const Step& step : steps_of(layers, i)) steps.push_back(step);
  std::stable_sort(steps.begin(), steps.end(),
                   [](const Step& a, const Step& b) { return a.price() < b.price(); });
  for (const Step& step : steps) {
    if (limit.bytes && choice.bytes() <= *limit.bytes) break;
    if (!choice.reaches(step)) continue;
    if (limit.error && choice.square_after(step) > square(*limit.error)) continue;
    choice.take(step);
  }
  if (limit.bytes && choice.bytes() > *limit.bytes)
    raise<ArgumentError>("choose_types: the layers take at least ", choice.bytes(),
                         " bytes, but at most ", *limit.bytes, " are allowed");
  return choice.result();
}

}  // namespace rae
