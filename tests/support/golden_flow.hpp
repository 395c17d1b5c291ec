// The tiny DiT^DH that the official samplers were run with: cases sample_ode and sample_sde, which
// share its weights.
#pragma once

#include <cstdint>
#include <vector>

#include "support/golden_model.hpp"

namespace rae::test {

/// The model's velocity at (x, t) for the labels of the case, which counts its evaluations.
class GoldenFlow {
 public:
  GoldenFlow() : model_(dit_dh_config(golden_config("sample_ode").at("model"))) {
    load(model_, Golden("sample_ode/weights.safetensors"));
    pack_parameters(model_);
    const Tensor<std::int64_t> y = Golden("sample_ode/io.safetensors").get<std::int64_t>("y");
    labels_.assign(y.span().begin(), y.span().end());
  }

  Tensor<float> operator()(const Tensor<float>& x, float t) {
    ++evaluations;
    return model_(x, Tensor<float>(Shape{x.extent(0)}, t), labels_);
  }

  index_t evaluations = 0;

 private:
  DitDh<Tensor<float>> model_;
  std::vector<std::int64_t> labels_;
};

}  // namespace rae::test
