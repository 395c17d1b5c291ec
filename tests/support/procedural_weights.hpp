// Weights of official size without a file: each number is a hash of its index, as in the golden
// cases "real_*".
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "rae/core/parallel.hpp"
#include "support/golden.hpp"

namespace rae::test {

/// offset + (v / 2^32 - 1/2) * scale, where v is a hash of the element's flat index and of the
/// tensor's position `index` in its checkpoint.
inline Tensor<float> procedural(const Shape& shape, std::uint32_t index, double scale,
                                double offset = 0) {
  Tensor<float> out(shape);  // of `shape`
  float* values = out.data();
  parallel_for(out.numel(), index_t{1} << 16, [=](index_t i) {
    std::uint32_t v = (static_cast<std::uint32_t>(i) + 1) * 2654435761u + index * 40503u;
    v ^= v >> 15;
    v *= 2246822519u;
    v ^= v >> 13;
    values[i] = static_cast<float>(offset) +
                static_cast<float>((static_cast<double>(v) / 4294967296.0 - 0.5) * scale);
  });
  return out;
}

/// The list "rules" of a golden configuration: [name, index, scale, offset] or [name, "table"] for
/// every tensor.
class ProceduralWeights {
 public:
  explicit ProceduralWeights(const ConfigNode& config) {
    for (const ConfigNode& rule : config.at("rules").elements()) {
      const auto fields = rule.elements();
      if (fields.size() == 4)
        rules_[fields[0].as_string()] = {fields[1].as<std::uint32_t>(), fields[2].as_number(),
                                         fields[3].as_number()};
    }
  }

  [[nodiscard]] bool contains(const std::string& name) const { return rules_.contains(name); }

  [[nodiscard]] Tensor<float> operator()(const std::string& name, const Shape& shape) const {
    const Rule& rule = rules_.at(name);
    return procedural(shape, rule.index, rule.scale, rule.offset);
  }

 private:
  struct Rule {
    std::uint32_t index = 0;
    double scale = 0, offset = 0;
  };
  std::map<std::string, Rule> rules_;
};

}  // namespace rae::test
